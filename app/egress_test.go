package app

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOutside(t *testing.T) {
	for resolved, want := range map[string]string{
		"140.82.112.3:443": "", "140.82.112.3:80": "", "140.82.112.3:5000": "", "[2606:50c0:8000::153]:443": "",
		"127.0.0.1:443": "a loopback address", "[::1]:443": "a loopback address", "[::ffff:127.0.0.1]:443": "a loopback address",
		"10.0.0.1:443": "a private address", "192.168.1.1:443": "a private address", "[fd00::1]:443": "a private address",
		"169.254.169.254:80": "metadata", "100.64.0.1:443": "carrier-grade", "0.0.0.0:443": "this host", "[::]:443": "this host",
		"[64:ff9b::7f00:1]:443": "stands for an IPv4", "[fe80::1%25eth0]:443": "link-local",
		"140.82.112.3:22": "asked on port 22", "140.82.112.3:25": "asked on port 25",
	} {
		err := outside("registry.example.com", resolved)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", resolved, err)
		case want != "" && (!errors.As(err, new(*notOutside)) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "registry.example.com is ")):
			t.Errorf("%s: %v; want %q", resolved, err, want)
		}
	}
}

func TestEgressMirrors(t *testing.T) {
	e := newEgress([]string{"127.0.0.1:5000", "mirror.example.com/hub", "10.0.0.1:5000/path", "localhost", "[::1]:5000"}, slog.New(slog.DiscardHandler))
	if diff := cmp.Diff([]string{"127.0.0.1:5000", "mirror.example.com:443", "mirror.example.com:80", "10.0.0.1:5000", "localhost:443", "localhost:80", "[::1]:5000"}, e.mirrors); diff != "" {
		t.Errorf("mirrors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"127.0.0.1:5000", "localhost:443", "localhost:80", "[::1]:5000"}, e.local()); diff != "" {
		t.Errorf("on the loopback (-want +got):\n%s", diff)
	}
}

// A proxy that lets mirrors through, and nobody else, with TLS and without.
func TestEgressProxy(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.URL.RequestURI()) })
	plain, secure := httptest.NewServer(hello), httptest.NewTLSServer(hello)
	defer plain.Close()
	defer secure.Close()
	strip := func(s string) string { _, host, _ := strings.Cut(s, "://"); return host }
	for _, c := range []struct {
		name    string
		mirrors []string
		want    string // of the answer or the error
	}{
		{"mirrors", []string{strip(plain.URL), strip(secure.URL)}, "hello /x?y=z"},
		{"others", nil, "127.0.0.1 is a loopback address, which a fork's build may not reach"},
	} {
		proxy := httptest.NewServer(newEgress(c.mirrors, slog.New(slog.DiscardHandler)))
		at, err := url.Parse(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		transport := secure.Client().Transport.(*http.Transport).Clone()
		// Not by the environment, which never has a proxy for the loopback.
		transport.Proxy = http.ProxyURL(at)
		for _, target := range []string{plain.URL, secure.URL} {
			t.Run(c.name+" "+target[:5], func(t *testing.T) {
				got := ""
				resp, err := (&http.Client{Transport: transport}).Get(target + "/x?y=z")
				if err != nil {
					got = err.Error()
				} else {
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					got = string(body)
				}
				if !strings.Contains(got, c.want) {
					t.Errorf("%q; want %q", got, c.want)
				}
			})
		}
		transport.CloseIdleConnections()
		proxy.Close()
	}
	// Asked like a server it is none.
	w := httptest.NewRecorder()
	newEgress(nil, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("status %d", w.Code)
	}
}
