package source

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

// TestOwnAuthority fetches from a server whose certificate only its own
// authority knows.
func TestOwnAuthority(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	server := httptest.NewTLSServer(served(t, r))
	defer server.Close()
	origin := at(server, r)

	s := New(Options{Dir: t.TempDir(), Origins: origin})
	if _, err := s.Refs(t.Context(), hello); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("refs without the authority: %v", err)
	}
	origin.CA = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(origin.CA, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_SSL_CAINFO", "/nonexistent") // ours is for others
	s = New(Options{Dir: t.TempDir(), Origins: origin})
	refs, err := s.Refs(t.Context(), hello)
	if err != nil || refs["refs/heads/main"] != r.Hash("main") {
		t.Errorf("refs %v, %v", refs, err)
	}
	openIn(t, s, r.Hash("main"))
}

// TestProxy fetches by a name that only the proxy knows.
func TestProxy(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	server := httptest.NewTLSServer(served(t, r))
	defer server.Close()
	var tunnels atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodConnect || req.Host != "example.com:443" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		there, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		tunnels.Add(1)
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(there, here)
			there.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(here, there)
	}))
	defer proxy.Close()

	origin := at(server, r)
	origin.URL = strings.Replace(origin.URL, server.URL, "https://example.com", 1) // a name of the certificate's
	origin.CA = filepath.Join(t.TempDir(), "ca.pem")
	origin.Proxy = proxy.URL
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(origin.CA, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(Options{Dir: t.TempDir(), Origins: origin})
	refs, err := s.Refs(t.Context(), hello)
	if err != nil || refs["refs/heads/main"] != r.Hash("main") || tunnels.Load() == 0 {
		t.Errorf("refs %v, %v by %d tunnels", refs, err, tunnels.Load())
	}
}
