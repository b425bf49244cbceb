package gitlab

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// connected is a Forge of that server.
func connected(t *testing.T, c config.GitLab) *Forge {
	t.Helper()
	if c.Name == "" {
		c.Name = "gitlab"
	}
	if c.Token == "" {
		c.Token = "glpat-secret"
	}
	f, err := New(Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	f.wire.first = soon
	return f
}

// soon is when tests repeat what failed.
const soon = time.Millisecond

// sevens is project 7 as GitLab has it.
const sevens = `{"id":7,"path_with_namespace":"acme/platform/shop","default_branch":"main","visibility":"private"}`

func shop() builder.Repository {
	return builder.Repository{Forge: "gitlab", ID: "7", Owner: "acme/platform", Name: "shop"}
}

// answers is a server that answers by path below /api/v4; others are 404. It
// counts what was asked.
type answers struct {
	mu    sync.Mutex
	says  map[string]string // path, or path?query
	asked map[string]int
	last  *http.Request
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4/")
	if a.asked == nil {
		a.asked = map[string]int{}
	}
	a.asked[path]++
	a.last = r
	w.Header().Set("Content-Type", "application/json")
	text, ok := a.says[path+"?"+r.URL.RawQuery]
	if !ok {
		text, ok = a.says[path]
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		text = `{"message":"404 Not Found"}`
	}
	if status, rest, found := strings.Cut(text, " "); found && len(status) == 3 {
		var code int
		if _, err := fmt.Sscan(status, &code); err == nil {
			w.WriteHeader(code)
			text = rest
		}
	}
	io.WriteString(w, text)
}

// served starts a server of those answers and a Forge that asks it.
func served(t *testing.T, says map[string]string) (*Forge, *answers) {
	t.Helper()
	a := &answers{says: says}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return connected(t, config.GitLab{URL: s.URL}), a
}

func (a *answers) set(path, says string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.says[path] = says
}

func (a *answers) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[path]
}

func TestRequestsOfTheClient(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		io.WriteString(w, sevens)
	}))
	defer s.Close()
	f := connected(t, config.GitLab{URL: s.URL + "/git/lab"})
	if _, err := f.project(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if got.URL.Path != "/git/lab/api/v4/projects/7" || got.Header.Get("PRIVATE-TOKEN") != "glpat-secret" || got.UserAgent() != "registry-build" {
		t.Errorf("asked %s with the token %q as %q", got.URL.Path, got.Header.Get("PRIVATE-TOKEN"), got.UserAgent())
	}
	if _, err := f.Find(t.Context(), "acme/platform/shop"); err != nil || got.URL.EscapedPath() != "/git/lab/api/v4/projects/acme%2Fplatform%2Fshop" {
		t.Errorf("asked %s, %v", got.URL.EscapedPath(), err)
	}
}

func TestOwnAuthorities(t *testing.T) {
	s := httptest.NewTLSServer(&answers{says: map[string]string{"projects/7": sevens}})
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, append([]byte("# ours\n"), certificate...), 0o600); err != nil {
		t.Fatal(err)
	}
	f := connected(t, config.GitLab{URL: s.URL, CA: ca})
	at, err := f.Origin(t.Context(), shop())
	if err != nil || at.CA != ca {
		t.Errorf("with the authority: %+v, %v", at, err)
	}
	t.Chdir(filepath.Dir(ca)) // git runs elsewhere
	if at, err := connected(t, config.GitLab{URL: s.URL, CA: "ca.pem"}).Origin(t.Context(), shop()); err != nil || at.CA != ca {
		t.Errorf("with its relative name: %+v, %v", at, err)
	}
	var unusable *Unusable
	if _, err := connected(t, config.GitLab{URL: s.URL}).Check(t.Context()); !errors.As(err, &unusable) || !strings.Contains(unusable.Mend, "ca") {
		t.Errorf("without it: %v; want what to mend", err)
	}
	elsewhere := connected(t, config.GitLab{URL: strings.Replace(s.URL, "127.0.0.1", "localhost", 1), CA: ca})
	if _, err := elsewhere.Check(t.Context()); !errors.As(err, &unusable) || !strings.Contains(unusable.Message, "for another name") {
		t.Errorf("by another name: %v", err)
	}
}

func TestBadAuthorities(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{empty: "holds no certificate", empty + ".gone": "there is no file"} {
		_, err := New(Options{Config: config.GitLab{Name: "gitlab", URL: "https://gitlab.example.com", CA: file}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%v; want that %s %s", err, file, want)
		}
	}
}

// proxy is an HTTP proxy that makes tunnels only, for one login.
type proxy struct{ tunnels, refused atomic.Int64 }

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != login {
		p.refused.Add(1)
		http.Error(w, "no", http.StatusProxyAuthRequired)
		return
	}
	there, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	p.tunnels.Add(1)
	go func() {
		io.Copy(there, buffered)
		there.Close()
	}()
	io.Copy(here, there)
}

func TestProxy(t *testing.T) {
	s := httptest.NewTLSServer(&answers{says: map[string]string{"projects/7": sevens}})
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	tunnel := httptest.NewServer(p)
	defer tunnel.Close()
	address := strings.Replace(tunnel.URL, "http://", "http://ann:secret@", 1)
	f := connected(t, config.GitLab{URL: s.URL, CA: ca, Proxy: address})
	at, err := f.Origin(t.Context(), shop())
	if err != nil || p.tunnels.Load() != 1 || at.Proxy != address {
		t.Errorf("%+v, %v over %d tunnels; want 1", at, err, p.tunnels.Load())
	}
	_, err = connected(t, config.GitLab{URL: s.URL, CA: ca, Proxy: tunnel.URL}).project(once(t.Context()), 7)
	if err == nil || p.refused.Load() == 0 {
		t.Errorf("without its login: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	var leaked atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { leaked.Add(1) }))
	defer thief.Close()
	var writes atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v4/projects/7", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("PRIVATE-TOKEN") == "" {
			t.Error("the token was lost on the way")
		}
		io.WriteString(w, sevens)
	})
	mux.Handle("GET /api/v4/projects/6", http.RedirectHandler("/api/v4/projects/7", http.StatusMovedPermanently))
	mux.Handle("GET /api/v4/projects/8", http.RedirectHandler(thief.URL+"/api/v4/projects/8", http.StatusFound))
	mux.Handle("GET /api/v4/projects/9", http.RedirectHandler("/users/sign_in", http.StatusFound))
	mux.Handle("GET /api/v4/projects/10", http.RedirectHandler("/api/v4/projects/10", http.StatusFound))
	mux.HandleFunc("/api/v4/projects/7/statuses/", func(w http.ResponseWriter, r *http.Request) {
		if writes.Add(1) > 1 {
			t.Errorf("the write arrived as %s %s", r.Method, r.URL)
		}
		http.Redirect(w, r, "/api/v4/projects/7/statuses/x", http.StatusMovedPermanently)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	f := connected(t, config.GitLab{URL: s.URL})

	var p project
	if _, err := f.get(t.Context(), "projects/6", nil, &p); err != nil || p.ID != 7 {
		t.Errorf("a project that was moved: %+v, %v", p, err)
	}
	for path, want := range map[string]string{
		"projects/8":  "sends us on to " + thief.URL,
		"projects/9":  "/users/sign_in, which is not GitLab's API",
		"projects/10": "in a circle",
	} {
		if _, err := f.get(once(t.Context()), path, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
	req, err := f.api.NewRequest(http.MethodPost, "projects/7/statuses/"+anyCommit, map[string]string{"state": "pending"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.api.Do(req, nil); err == nil || !strings.Contains(err.Error(), "a write is not sent on") {
		t.Errorf("a write: %v", err)
	}
	if leaked.Load() > 0 {
		t.Error("another server was asked")
	}
}

// Errors are logged; the token must not be in them.
func TestTokenIsInNoError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	f := connected(t, config.GitLab{URL: s.URL})
	_, refused := f.project(once(t.Context()), 7)
	s.Close()
	_, away := f.project(once(t.Context()), 7)
	for _, err := range []error{refused, away} {
		if err == nil || strings.Contains(fmt.Sprintf("%+v %#v", err, err), "glpat-secret") {
			t.Errorf("error %v", err)
		}
		var address *url.Error
		if errors.As(err, &address) && strings.Contains(address.URL, "glpat") {
			t.Errorf("address %s", address.URL)
		}
	}
}
