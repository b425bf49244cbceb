package guard

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder/trigger"
)

const where = "the receiver"

func newGuard(t *testing.T, o Options) *Guard {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Client().CloseIdleConnections)
	return g
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func port(s *httptest.Server) string { return s.URL[strings.LastIndex(s.URL, ":"):] }

// post sends one POST and judges the answer, as triggers do.
func post(t *testing.T, g *Guard, u string) (Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "ours")
	a, err := g.Do(req, where)
	if err == nil {
		err = a.Err(where, time.Now())
	}
	return a, err
}

func TestRefused(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	p := port(s)
	g := newGuard(t, Options{Resolver: names(t, map[string][]string{
		"inside.example": {"127.0.0.1"}, "metadata.example": {"169.254.169.254"}, "private.example": {"10.0.0.1"}, "localhost": {"127.0.0.1"},
		"public.example": {"127.0.0.1"}, // never asked: the user name makes it another host
	})})
	tests := map[string]struct{ url, want string }{
		"loopback":                       {s.URL, "is a loopback address, and triggers may not reach it; the operator can allow it"},
		"all of 127/8":                   {"http://127.1.2.3" + p, "loopback"},
		"mapped":                         {"http://[::ffff:127.0.0.1]" + p, "loopback"},
		"mapped, hex":                    {"http://[::ffff:7f00:1]" + p, "loopback"},
		"mapped, metadata":               {"http://[::ffff:a9fe:a9fe]/latest/meta-data/", "metadata"},
		"IPv6 loopback":                  {"http://[::1]" + p, "loopback"},
		"6to4":                           {"http://[2002:7f00:1::]" + p, "stands for an IPv4"},
		"NAT64":                          {"http://[64:ff9b::7f00:1]" + p, "stands for an IPv4"},
		"Teredo":                         {"http://[2001:0:7f00:1::]" + p, "stands for an IPv4"},
		"IPv4-compatible":                {"http://[::7f00:1]" + p, "stands for an IPv4"},
		"link-local with a zone":         {"http://[fe80::1%25lo]" + p, "link-local"},
		"localhost":                      {"http://localhost" + p, "localhost (127.0.0.1) is a loopback address"},
		"localhost, dot":                 {"http://localhost." + p, "loopback"},
		"a name for loopback":            {"http://inside.example" + p, "inside.example (127.0.0.1) is a loopback address"},
		"a name for loopback, dot":       {"http://inside.example." + p, "loopback"},
		"a name for metadata":            {"http://metadata.example/", "metadata"},
		"a name for a private address":   {"http://private.example/", "private"},
		"unspecified":                    {"http://0.0.0.0" + p, "this host"},
		"unspecified, IPv6":              {"http://[::]" + p, "this host"},
		"decimal":                        {"http://2130706433" + p, "neither a host name nor an address"},
		"decimal, two parts":             {"http://127.1" + p, "neither a host name nor an address"},
		"octal":                          {"http://0177.0.0.1" + p, "neither a host name nor an address"},
		"hex":                            {"http://0x7f000001" + p, "neither a host name nor an address"},
		"hex, last part":                 {"http://127.0.0.0x1" + p, "neither a host name nor an address"},
		"address with a dot":             {"http://127.0.0.1." + p, "neither a host name nor an address"},
		"other digits":                   {"http://①②⑦.⓪.⓪.①" + p, "loopback"},
		"full-width digits":              {"http://１２７.０.０.１" + p, "loopback"},
		"user name":                      {"http://public.example@127.0.0.1" + p, "a user name in the address"},
		"user name, and a host behind":   {"http://public.example:80@inside.example" + p, "a user name in the address"},
		"metadata, Amazon":               {"http://169.254.169.254/latest/meta-data/", "metadata"},
		"metadata, Amazon's containers":  {"http://169.254.170.2/v2/credentials", "metadata"},
		"metadata, Amazon, IPv6":         {"http://[fd00:ec2::254]/", "metadata"},
		"metadata, Alibaba":              {"http://100.100.100.200/", "metadata"},
		"metadata, Azure":                {"http://168.63.129.16/", "metadata"},
		"metadata, Oracle":               {"http://192.0.0.192/", "metadata"},
		"metadata, Google, IPv6":         {"http://[fd20:ce::254]/", "metadata"},
		"mail":                           {"http://93.184.215.14:25/", "asked on port 25"},
		"ssh":                            {"http://93.184.215.14:22/", "asked on port 22"},
		"LDAP over TLS":                  {"https://93.184.215.14:636/", "asked on port 636"},
		"a socket":                       {"unix:///var/run/docker.sock", "neither https nor http"},
		"a file":                         {"file:///etc/passwd", "neither https nor http"},
		"gopher":                         {"gopher://127.0.0.1:6379/_FLUSHALL", "neither https nor http"},
		"an upgrade to a unix-like name": {"http+unix://%2Fvar%2Frun%2Fdocker.sock/", "neither https nor http"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := &http.Request{Method: http.MethodPost, Header: http.Header{}, Body: io.NopCloser(&bytes.Buffer{})}
			u, err := url.Parse(tt.url)
			if err != nil { // it would not get as far as the guard
				return
			}
			req.URL = u
			_, err = g.Do(req.WithContext(t.Context()), where)
			var refused *Refused
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want a Refused, …%s…", err, tt.want)
			}
			if _, again := trigger.IsTemporary(err); again {
				t.Errorf("temporary: %v", err)
			}
		})
	}
}

func TestAllowedHostIsReached(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := newGuard(t, Options{
		AllowHosts: []string{"inside.example"},
		Resolver:   names(t, map[string][]string{"inside.example": {"127.0.0.1"}, "other.example": {"127.0.0.1"}}),
	})
	if _, err := post(t, g, "http://inside.example"+port(s)); err != nil {
		t.Error(err)
	}
	// The connection to the allowed name is idle now; it is no other name's.
	if _, err := post(t, g, "http://other.example"+port(s)); err == nil {
		t.Error("another name for the same address is let through")
	}
}

// twice serves the same port on 127.0.0.2, which the guard of the rebinding
// tests lets through, and on 127.0.0.1, which it does not.
func twice(t *testing.T, front http.HandlerFunc) (port string, reached *atomic.Int32) {
	t.Helper()
	outer, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	port = strings.TrimPrefix(outer.Addr().String(), "127.0.0.2")
	inner, err := net.Listen("tcp", "127.0.0.1"+port)
	if err != nil {
		t.Fatal(err)
	}
	reached = new(atomic.Int32)
	for l, h := range map[net.Listener]http.HandlerFunc{outer: front, inner: func(http.ResponseWriter, *http.Request) { reached.Add(1) }} {
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
		s.Start()
		t.Cleanup(s.Close)
	}
	return port, reached
}

// The first look-up names an address that may be reached; the server there
// sends the delivery on to the same name, which now is loopback's.
func TestRebindingAcrossARedirectIsRefused(t *testing.T) {
	var redirected atomic.Int32
	p, reached := twice(t, func(w http.ResponseWriter, r *http.Request) {
		redirected.Add(1)
		w.Header().Set("Connection", "close") // or the redirect goes to the checked address once more
		http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
	})
	g := newGuard(t, Options{
		AllowHosts: []string{"127.0.0.2"},
		Resolver:   names(t, map[string][]string{"rebind.example": {"127.0.0.2", "127.0.0.1"}}),
	})
	_, err := post(t, g, "http://rebind.example"+p)
	if err == nil || !strings.Contains(err.Error(), "rebind.example (127.0.0.1) is a loopback address") {
		t.Errorf("error %v", err)
	}
	if redirected.Load() != 1 || reached.Load() != 0 {
		t.Errorf("redirected %d times, loopback reached %d times", redirected.Load(), reached.Load())
	}
}

// A connection that is kept goes on to the address that was checked, whatever
// its name resolves to now; the next one that is dialled is checked again.
func TestRebindingBetweenDeliveries(t *testing.T) {
	var from sync.Map
	p, reached := twice(t, func(_ http.ResponseWriter, r *http.Request) { from.Store(r.RemoteAddr, true) })
	g := newGuard(t, Options{
		AllowHosts: []string{"127.0.0.2"},
		Resolver:   names(t, map[string][]string{"rebind.example": {"127.0.0.2", "127.0.0.1"}}),
	})
	for range 3 {
		if _, err := post(t, g, "http://rebind.example"+p); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	from.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d connections for 3 deliveries, want 1", n)
	}
	g.Client().CloseIdleConnections()
	if _, err := post(t, g, "http://rebind.example"+p); err == nil || !strings.Contains(err.Error(), "loopback") || reached.Load() != 0 {
		t.Errorf("error %v, loopback reached %d times", err, reached.Load())
	}
	// A guard with other rules has connections of its own.
	strict := newGuard(t, Options{Resolver: names(t, map[string][]string{"rebind.example": {"127.0.0.2"}})})
	if _, err := post(t, strict, "http://rebind.example"+p); err == nil {
		t.Error("a stricter guard uses what another one dialled")
	}
}

func TestRedirects(t *testing.T) {
	var (
		mu    sync.Mutex
		posts []string
	)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		posts = append(posts, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		mu.Unlock()
		code, to := http.StatusPermanentRedirect, ""
		switch q := r.URL.Query(); {
		case r.URL.Path == "/moved":
			code, to = http.StatusMovedPermanently, "/done"
		case r.URL.Path == "/other":
			to = strings.Replace("http://"+r.Host, "127.0.0.1", "127.0.0.2", 1) + "/done"
		case r.URL.Path == "/metadata":
			to = "http://169.254.169.254/latest/meta-data/"
		case r.URL.Path == "/user":
			to = "http://ada:pw@" + r.Host + "/done"
		case r.URL.Path == "/scheme":
			to = "ftp://" + r.Host + "/done"
		case r.URL.Path == "/socket":
			to = "unix:///var/run/docker.sock"
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
	g := newGuard(t, Options{AllowPrivate: true})
	tests := map[string]struct {
		path, want string
		posts      int
	}{
		"one":           {"/n?n=1", "", 2},
		"three":         {"/n?n=3", "", 4},
		"four":          {"/n?n=4", "more than 3 times", 4},
		"for ever":      {"/for-ever", "more than 3 times", 4},
		"as a GET":      {"/moved", "a delivery follows 307 and 308 only; write the new address instead", 1},
		"another host":  {"/other", "another host, 127.0.0.2; write that address instead", 1},
		"metadata":      {"/metadata", "another host, 169.254.169.254", 1},
		"user name":     {"/user", "a URL with a user name", 1},
		"other schemes": {"/scheme", "redirected from http to ftp", 1},
		"a socket":      {"/socket", "another host", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			posts = nil
			_, err := post(t, g, s.URL+tt.path)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want …%s…", err, tt.want)
			}
			if _, again := trigger.IsTemporary(err); again {
				t.Errorf("temporary: %v", err)
			}
			if len(posts) != tt.posts {
				t.Errorf("requests %q; want %d", posts, tt.posts)
			}
			for _, p := range posts {
				if !strings.HasPrefix(p, "POST ") || !strings.HasSuffix(p, " ours") {
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

func TestStatuses(t *testing.T) {
	later := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	tests := map[string]struct {
		status     int
		retryAfter string
		ok, again  bool
		low, high  time.Duration
	}{
		"200":                 {status: 200, ok: true},
		"204":                 {status: 204, ok: true},
		"301":                 {status: 301},
		"304":                 {status: 304},
		"400":                 {status: 400},
		"410":                 {status: 410},
		"408":                 {status: 408, again: true},
		"425":                 {status: 425, again: true},
		"429":                 {status: 429, again: true},
		"429 with seconds":    {status: 429, retryAfter: "120", again: true, low: 2 * time.Minute, high: 2 * time.Minute},
		"500":                 {status: 500, again: true},
		"503 with a date":     {status: 503, retryAfter: later, again: true, low: 59 * time.Minute, high: time.Hour},
		"503 with a past one": {status: 503, retryAfter: "Sun, 06 Nov 1994 08:49:37 GMT", again: true},
		"503 with nonsense":   {status: 503, retryAfter: "-5 soon", again: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := Answer{Code: tt.status, Status: fmt.Sprint(tt.status), Header: http.Header{"Retry-After": {tt.retryAfter}}}
			err := a.Err(where, time.Now())
			after, again := trigger.IsTemporary(err)
			if (err == nil) != tt.ok || again != tt.again || after < tt.low || after > tt.high {
				t.Errorf("error %v, temporary %t after %s", err, again, after)
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/headers" {
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaders))
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 2*maxBody))
	})
	g := newGuard(t, Options{AllowPrivate: true})
	a, err := post(t, g, s.URL+"/body")
	if err != nil || len(a.Body) != maxBody {
		t.Errorf("a body of %d bytes, %v", len(a.Body), err)
	}
	if _, err = post(t, g, s.URL+"/headers"); err == nil {
		t.Error("endless headers are read")
	}
}

// A server may close an idle connection in the moment in which a delivery is
// sent on it; that must not cost an attempt.
func TestStaleConnection(t *testing.T) {
	var served atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			_, _ = c.Read(buf)
			served.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") // and keeps it, as it seems
			_, _ = c.Read(buf)                                                       // the next request
			_ = c.Close()
		}
	}()
	g := newGuard(t, Options{AllowPrivate: true})
	for range 2 {
		if _, err := post(t, g, "http://"+l.Addr().String()+"/"); err != nil {
			t.Fatal(err)
		}
	}
	if served.Load() != 2 {
		t.Errorf("served %d", served.Load())
	}
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	_, err := post(t, newGuard(t, Options{AllowPrivate: true}), s.URL+"/secret?k=v")
	if _, again := trigger.IsTemporary(err); !again || !strings.HasPrefix(err.Error(), where+" cannot be reached") || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "k=v") {
		t.Errorf("error %v, temporary %t", err, again)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	o := Options{AllowPrivate: true}
	if _, err := post(t, newGuard(t, o), s.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(s.Certificate())
	if _, err := post(t, newGuard(t, o), s.URL); err != nil {
		t.Error(err)
	}
}

func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g := newGuard(t, Options{AllowPrivate: true})
	c, err := g.Dial(t.Context(), "tcp", l.Addr().String(), 25)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	tests := map[string]struct {
		network, addr string
		ports         []uint16
		want          string
	}{
		"a port of the web only":  {"tcp", "127.0.0.1:25", nil, "asked on port 25"},
		"another protocol's port": {"tcp", "127.0.0.1:465", []uint16{25}, "asked on port 465"},
		"a socket":                {"unix", "/var/run/docker.sock", nil, "over TCP only"},
		"UDP":                     {"udp", "127.0.0.1:53", nil, "over TCP only"},
		"no port":                 {"tcp", "mail.example", nil, "missing port"},
		"the caller's ports":      {"tcp", "127.0.0.1:25", []uint16{25}, "refused"}, // by the kernel: nobody listens
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := g.Dial(t.Context(), tt.network, tt.addr, tt.ports...)
			if err == nil {
				_ = c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want …%s…", err, tt.want)
			}
		})
	}
	strict := newGuard(t, Options{})
	var refused *Refused
	if _, err := strict.Dial(t.Context(), "tcp", l.Addr().String(), 25); !errors.As(err, &refused) {
		t.Errorf("loopback: %v", err)
	}
}
