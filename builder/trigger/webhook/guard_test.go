package webhook

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/triggertest"
)

func TestClassify(t *testing.T) {
	tests := map[string]struct {
		why     string
		private bool
	}{
		"93.184.215.14":            {"", false},
		"2606:2800:21f:cb07::1":    {"", false},
		"127.0.0.1":                {"loopback", true},
		"127.255.255.254":          {"loopback", true},
		"::1":                      {"loopback", true},
		"10.1.2.3":                 {"private", true},
		"172.16.0.1":               {"private", true},
		"172.32.0.1":               {"", false},
		"192.168.1.1":              {"private", true},
		"fd12:3456::1":             {"private", true},
		"169.254.1.1":              {"link-local", true},
		"fe80::1":                  {"link-local", true},
		"169.254.169.254":          {"metadata", false},
		"fd00:ec2::254":            {"metadata", false},
		"fd20:ce::254":             {"metadata", false},
		"fd00:c1::a9fe:a9fe":       {"metadata", false},
		"100.100.100.200":          {"metadata", false},
		"168.63.129.16":            {"metadata", false},
		"100.64.0.1":               {"carrier-grade", true},
		"224.0.0.1":                {"multicast", false},
		"ff02::1":                  {"multicast", false},
		"0.0.0.0":                  {"this host", true},
		"::":                       {"this host", true},
		"64:ff9b::7f00:1":          {"stands for an IPv4", false},
		"64:ff9b:1::a00:1":         {"stands for an IPv4", false},
		"2002:7f00:1::":            {"stands for an IPv4", false},
		"2001:0:7f00:1::":          {"stands for an IPv4", false},
		"::7f00:1":                 {"stands for an IPv4", false},
		"255.255.255.255":          {"reserved", false},
		"192.0.2.1":                {"reserved", false},
		"2001:db8::1":              {"reserved", false},
		"::ffff:127.0.0.1":         {"loopback", true},
		"::ffff:169.254.169.254":   {"metadata", false},
		"0:0:0:0:0:ffff:a01:203":   {"private", true},
		"::ffff:93.184.215.14":     {"", false},
		"::ffff:0:127.0.0.1":       {"stands for an IPv4", false},
		"2a00:1450:4001:830::200e": {"", false},
	}
	for in, want := range tests {
		t.Run(in, func(t *testing.T) {
			why, private := classify(netip.MustParseAddr(in).Unmap())
			if !strings.Contains(why, want.why) || (why == "") != (want.why == "") || private != want.private {
				t.Errorf("%q, private %t; want %q, %t", why, private, want.why, want.private)
			}
		})
	}
}

func TestGuardCheck(t *testing.T) {
	tests := map[string]struct {
		o       Options
		address string
		want    string // "" is let through
	}{
		"public":                       {Options{}, "93.184.215.14:443", ""},
		"public, high port":            {Options{}, "93.184.215.14:8443", ""},
		"public, mail":                 {Options{}, "93.184.215.14:25", "asked on port 25, where no web server should be"},
		"private":                      {Options{}, "10.1.2.3:443", `hook.example (10.1.2.3) is a private address, and webhooks may not reach it; the operator can allow it in the server file with triggers.allowHosts: ["hook.example"] or triggers.allowPrivate: true`},
		"mapped":                       {Options{}, "[::ffff:127.0.0.1]:443", "(127.0.0.1) is a loopback address"},
		"zone":                         {Options{}, "[fe80::1%lo]:443", "is a link-local address"},
		"allowPrivate":                 {Options{AllowPrivate: true}, "10.1.2.3:443", ""},
		"allowPrivate, mapped":         {Options{AllowPrivate: true}, "[::ffff:10.1.2.3]:8080", ""},
		"allowPrivate, ssh":            {Options{AllowPrivate: true}, "10.1.2.3:22", "port 22"},
		"allowPrivate is not metadata": {Options{AllowPrivate: true}, "169.254.169.254:80", `metadata service, and webhooks may not reach it; the operator can allow it in the server file with triggers.allowHosts: ["hook.example"]`},
		"allowPrivate is not NAT64":    {Options{AllowPrivate: true}, "[64:ff9b::a00:1]:80", "stands for an IPv4"},
		"address":                      {Options{AllowHosts: []string{"169.254.169.254"}}, "169.254.169.254:80", ""},
		"network":                      {Options{AllowHosts: []string{"10.0.0.0/8"}}, "10.1.2.3:22", ""},
		"network, mapped":              {Options{AllowHosts: []string{"10.0.0.0/8"}}, "[::ffff:10.1.2.3]:80", ""},
		"beside the network":           {Options{AllowHosts: []string{"10.0.0.0/16"}}, "10.1.2.3:80", "private"},
		"no address":                   {Options{}, "unix", "dial hook.example"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, err := newGuard(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			err = g.check("hook.example", tt.address)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant …%s…", err, tt.want)
			}
		})
	}
}

func TestAllowHosts(t *testing.T) {
	g, err := newGuard(Options{AllowHosts: []string{"Hooks.lan", "*.corp.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"hooks.lan": true, "HOOKS.LAN.": true, "a.hooks.lan": false, "xhooks.lan": false,
		"a.corp.example": true, "a.b.corp.example": true, "corp.example": false, ".corp.example": false, "xcorp.example": false, "": false,
	} {
		if got := g.hostAllowed(host); got != want {
			t.Errorf("hostAllowed(%q) = %t", host, got)
		}
	}
	for _, bad := range []string{"", "https://hooks.lan", "hooks.lan:80", "*.*.lan", "a*", "10.0.0.0/99"} {
		if _, err := newGuard(Options{AllowHosts: []string{bad}}); err == nil || !strings.Contains(err.Error(), "triggers.allowHosts") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// names is a DNS server that answers each name's A queries with its addresses
// in turn, and stays at the last: what a rebinding attacker runs.
func names(t *testing.T, addrs map[string][]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := answerName(buf[:n], addrs); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() { _ = conn.Close(); wg.Wait() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func answerName(query []byte, addrs map[string][]string) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	name := strings.TrimSuffix(q.Name.String(), ".")
	if left := addrs[name]; q.Type == dnsmessage.TypeA && len(left) > 0 {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(left[0]).As4()},
		}}
		if len(left) > 1 {
			addrs[name] = left[1:]
		}
	}
	out, _ := m.Pack()
	return out
}

func fireAt(t *testing.T, o Options, u string) (string, error) {
	t.Helper()
	answer, err := newKind(t, o).Fire(t.Context(), triggertest.Firing(hook(u), 1))
	if _, again := trigger.IsTemporary(err); again {
		t.Errorf("%s: temporary: %v", u, err)
	}
	return answer.Text, err
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	o := Options{Resolver: names(t, map[string][]string{"inside.example": {"127.0.0.1"}})}
	for name, u := range map[string]string{
		"loopback":    s.URL,
		"mapped":      "http://[::ffff:127.0.0.1]" + port,
		"mapped, hex": "http://[::ffff:7f00:1]" + port,
		"localhost":   "http://localhost" + port,
		"by name":     "http://inside.example" + port,
		"unspecified": "http://0.0.0.0" + port,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fireAt(t, o, u)
			var refused *Refused
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), "webhooks may not reach it; the operator can allow it") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAllowedHostIsReached(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	o := Options{
		AllowHosts: []string{"inside.example"},
		Resolver:   names(t, map[string][]string{"inside.example": {"127.0.0.1"}, "other.example": {"127.0.0.1"}}),
	}
	if _, err := fireAt(t, o, "http://inside.example"+port); err != nil {
		t.Error(err)
	}
	if _, err := fireAt(t, o, "http://other.example"+port); err == nil {
		t.Error("another name for the same address is let through")
	}
}

// The first look-up names an address that may be reached; the server there
// sends the delivery on to the same name, which now is loopback's.
func TestRebindingAcrossARedirectIsRefused(t *testing.T) {
	front, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strings.TrimPrefix(front.Addr().String(), "127.0.0.2")
	back, err := net.Listen("tcp", "127.0.0.1"+port)
	if err != nil {
		t.Fatal(err)
	}
	var redirected, reached atomic.Int32
	go func() {
		_ = http.Serve(front, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			redirected.Add(1)
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		}))
	}()
	go func() {
		_ = http.Serve(back, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	}()
	defer front.Close()
	defer back.Close()

	o := Options{
		AllowHosts: []string{"127.0.0.2"},
		Resolver:   names(t, map[string][]string{"rebind.example": {"127.0.0.2", "127.0.0.1"}}),
	}
	_, err = fireAt(t, o, "http://rebind.example"+port)
	if err == nil || !strings.Contains(err.Error(), "rebind.example (127.0.0.1) is a loopback address") {
		t.Errorf("error %v", err)
	}
	if redirected.Load() != 1 || reached.Load() != 0 {
		t.Errorf("redirected %d times, loopback reached %d times", redirected.Load(), reached.Load())
	}
}

func TestRedirects(t *testing.T) {
	var (
		mu    sync.Mutex
		posts []string
	)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		posts = append(posts, r.Method+" "+r.URL.Path+" "+r.Header.Get(SignatureHeader))
		mu.Unlock()
		code, to := http.StatusPermanentRedirect, ""
		switch q := r.URL.Query(); {
		case r.URL.Path == "/moved":
			code, to = http.StatusMovedPermanently, "/done"
		case r.URL.Path == "/other":
			to = strings.Replace("http://"+r.Host, "127.0.0.1", "127.0.0.2", 1) + "/done"
		case r.URL.Path == "/user":
			to = "http://ada:pw@" + r.Host + "/done"
		case r.URL.Path == "/scheme":
			to = "ftp://" + r.Host + "/done"
		case r.URL.Path == "/for-ever":
			to = "/for-ever"
		case q.Get("n") != "" && q.Get("n") != "0":
			to = "/n?n=" + string(q.Get("n")[0]-1)
		}
		if to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(code)
		}
	})
	tests := map[string]struct {
		path, want string
		posts      int
	}{
		"one":           {"/n?n=1", "", 2},
		"three":         {"/n?n=3", "", 4},
		"four":          {"/n?n=4", "more than 3 times", 4},
		"for ever":      {"/for-ever", "more than 3 times", 4},
		"as a GET":      {"/moved", "a delivery follows 307 and 308 only; write the new address into the trigger", 1},
		"another host":  {"/other", "another host, 127.0.0.2; write that address into the trigger", 1},
		"user name":     {"/user", "a URL with a user name", 1},
		"other schemes": {"/scheme", "redirected from", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			posts = nil
			_, err := fireAt(t, local(), s.URL+tt.path)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want …%s…", err, tt.want)
			}
			if len(posts) != tt.posts {
				t.Errorf("requests %q; want %d", posts, tt.posts)
			}
			for _, p := range posts {
				if !strings.HasPrefix(p, "POST ") || !strings.Contains(p, "v1=") {
					t.Errorf("request %s", p)
				}
			}
		})
	}
}

func TestRedirectNeverLeavesTLS(t *testing.T) {
	req := func(raw string) *http.Request {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{Method: http.MethodPost, URL: u}
	}
	for to, ok := range map[string]bool{"https://a.example/b": true, "http://a.example/b": false, "https://A.example:8443/": true, "https://b.example/": false} {
		if err := checkRedirect(req(to), []*http.Request{req("https://a.example/")}); (err == nil) != ok {
			t.Errorf("https://a.example/ to %s: %v", to, err)
		}
	}
	if err := checkRedirect(req("https://a.example/"), []*http.Request{req("http://a.example/")}); err != nil {
		t.Errorf("from http to https: %v", err)
	}
}
