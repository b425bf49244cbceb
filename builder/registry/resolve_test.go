package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/registry"
)

func TestResolve(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			repo := serve(t, open(t))
			c := registry.New(registry.Options{})
			digest := pushImage(t, repo)
			if _, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest")); err != nil {
				t.Fatal(err)
			}
			for _, reference := range []string{repo + ":latest", repo, repo + "@" + digest} {
				got, err := c.Resolve(t.Context(), reference, login(repo))
				if err != nil || got != digest {
					t.Errorf("%s: got %s, %v, want %s", reference, got, err, digest)
				}
			}
			for _, reference := range []string{repo + ":absent", repo + "/absent:latest", repo + "@sha256:" + strings.Repeat("a", 64)} {
				if _, err := c.Resolve(t.Context(), reference, login(repo)); !errors.Is(err, builder.ErrNotFound) {
					t.Errorf("%s: got %v, want not found", reference, err)
				}
			}
		})
	}
}

func TestResolveWithoutHead(t *testing.T) {
	f := &front{Handler: distribution(t, false)}
	repo := serve(t, f)
	digest := pushImage(t, repo)
	c := registry.New(registry.Options{})
	if _, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest")); err != nil {
		t.Fatal(err)
	}
	for name, head := range map[string]func(http.ResponseWriter){
		"HEAD is refused":            func(w http.ResponseWriter) { w.WriteHeader(405) },
		"HEAD leaves the digest out": func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/plain") },
	} {
		t.Run(name, func(t *testing.T) {
			f.on(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if r.Method == http.MethodHead {
					head(w)
				}
				return r.Method == http.MethodHead
			})
			if got, err := c.Resolve(t.Context(), repo+":latest", login(repo)); err != nil || got != digest {
				t.Errorf("got %s, %v, want %s", got, err, digest)
			}
		})
	}
}

// dialer connects to one server, whatever the name, or fails.
func dialer(s *httptest.Server, err error) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}}
}

// Each thing that can be wrong is one sentence: which registry, which
// repository, what to do. The login is in none of them.
func TestSentences(t *testing.T) {
	open := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer open.Close()
	secure := httptest.NewTLSServer(open.Config.Handler)
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	closed := httptest.NewServer(distribution(t, true))
	defer closed.Close()
	answer := func(status int) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			// A registry that repeats what it was sent.
			w.WriteHeader(status)
			_, password, _ := r.BasicAuth()
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"no\nto %s and %s."}]}`, password, strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
		}))
		t.Cleanup(s.Close)
		return s
	}
	forbidding, limiting := answer(403), answer(400)
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	dead := httptest.NewServer(nil)
	dead.Close()
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	const image = "/acme/hello:latest"

	for name, tc := range map[string]struct {
		reference string
		transport http.RoundTripper
		password  string
		want      string
	}{
		"not a name": {"ACME hello", nil, "", `"ACME hello" is not the name of an image: write registry/name:tag or registry/name@sha256:…`},
		"no login": {host(closed) + image, nil, "",
			"the registry HOST asks for a login to read acme/hello, and there is none for it (a token is required: log in with any user name and the token as password): add its credentials, or check the name"},
		"wrong login": {host(closed) + image, nil, "wrong",
			"the registry HOST does not accept the login for acme/hello (a token is required: log in with any user name and the token as password): renew its user name and password or token"},
		"forbidden, and the login repeated": {host(forbidding) + image, nil, token,
			"the login for the registry HOST may not read acme/hello (no to *** and ***): grant it that right, or check the name"},
		"refused otherwise": {host(limiting) + image, nil, token,
			"the registry HOST refused to read acme/hello (status 400) (no to *** and ***)"},
		"no such name": {"registry.example.com" + image, dialer(nil, &net.DNSError{Err: "no such host", IsNotFound: true}), "",
			"there is no registry named registry.example.com (its name is not in the DNS): check the spelling of registry.example.com/acme/hello"},
		"DNS is down": {"registry.example.com" + image, dialer(nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}), "",
			"the name of the registry registry.example.com could not be looked up: try again later, or tell the operator that the DNS does not answer"},
		"unknown authority": {"registry.example.com" + image, dialer(secure, nil), "",
			"the registry registry.example.com shows a certificate of an authority that is not known here: the operator has to add the authority to this machine"},
		"unknown authority, on loopback": {host(secure) + image, nil, "",
			"the registry HOST shows a certificate of an authority that is not known here: the operator has to add the authority to this machine"},
		"plain HTTP": {"registry.example.com" + image, dialer(open, nil), "",
			"the registry registry.example.com does not speak HTTPS: if plain HTTP is meant, the operator lists it under registry.insecure"},
		"plain HTTP at a private address": {"10.1.2.3:5000" + image, dialer(open, nil), "",
			"the registry 10.1.2.3:5000 does not speak HTTPS: if plain HTTP is meant, the operator lists it under registry.insecure"},
		"nobody there": {host(dead) + image, nil, "",
			"no registry answers at HOST (connection refused): check the name and the port, or start it"},
		"not a registry": {host(page) + image, nil, "",
			"HOST is no registry (it has no /v2/): check the name and the port"},
	} {
		t.Run(name, func(t *testing.T) {
			c := registry.New(registry.Options{Transport: tc.transport})
			registryHost, _, _ := strings.Cut(tc.reference, "/")
			_, err := c.Resolve(t.Context(), tc.reference, builder.Login{Host: registryHost, Username: "build", Password: tc.password})
			repo := "none/"
			if strings.HasPrefix(tc.reference, "127.") {
				repo = tc.reference
			}
			if got := sentence(t, err, repo); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if tc.password != "" && strings.Contains(err.Error(), tc.password) {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

func TestInsecureRegistry(t *testing.T) {
	s := httptest.NewServer(distribution(t, true))
	defer s.Close()
	digest := pushImage(t, s.Listener.Addr().String()+"/acme/hello")
	for _, host := range []string{"registry.example.com:5000", "10.1.2.3:5000"} {
		c := registry.New(registry.Options{Insecure: []string{host}, Transport: dialer(s, nil)})
		repo := host + "/acme/hello"
		if _, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest")); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if got, err := c.Resolve(t.Context(), repo+":latest", login(repo)); err != nil || got != digest {
			t.Errorf("%s: got %s, %v", host, got, err)
		}
	}
}

// A login goes to its own registry and to no other.
func TestLoginStaysAtHome(t *testing.T) {
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(401)
	}))
	defer s.Close()
	c := registry.New(registry.Options{})
	_, err := c.Resolve(t.Context(), s.Listener.Addr().String()+"/acme/hello", builder.Login{Host: "registry.example.com", Username: "u", Password: token})
	if err == nil {
		t.Error("resolved without a login")
	}
	if strings.Join(seen, "") != "" {
		t.Errorf("the login was sent to another registry: %q", seen)
	}
}

// Registries outside mostly give tokens for scopes.
func TestTokenServer(t *testing.T) {
	f := &front{Handler: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))}
	var scopes []string
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if _, password, _ := r.BasicAuth(); password != token {
				w.WriteHeader(401)
				return
			}
			scopes = append(scopes, r.URL.Query()["scope"]...)
			_ = json.NewEncoder(w).Encode(map[string]string{"token": "minted"})
			return
		}
		if r.Header.Get("Authorization") != "Bearer minted" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test"`, s.URL))
			w.WriteHeader(401)
			return
		}
		f.ServeHTTP(w, r)
	}))
	defer s.Close()
	repo := s.Listener.Addr().String() + "/acme/hello"
	digest := pushImage(t, repo)
	scopes = nil
	c := registry.New(registry.Options{Ledger: newLedger()})
	if _, err := c.Put(t.Context(), request(repo, digest, at("a", 1), "latest", "main")); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Resolve(t.Context(), repo+":main", login(repo)); err != nil || got != digest {
		t.Errorf("got %s, %v", got, err)
	}
	// The right to delete is asked for only when a tag has to be taken back.
	f.on(refuse("bad", 403))
	if _, err := c.Put(t.Context(), request(repo, digest, at("b", 2), "new", "bad")); err == nil {
		t.Error("a refused tag is no error")
	}
	if tags := tagsOf(t, repo); tags["new"] != "" {
		t.Error("a new tag was left")
	}
	if diff := cmp.Diff([]string{"repository:acme/hello:push,pull", "repository:acme/hello:pull", "repository:acme/hello:push,pull"}, scopes[:3]); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if !slices.Contains(scopes, "repository:acme/hello:push,pull,delete") {
		t.Errorf("the right to delete was not asked for: %v", scopes)
	}
}

// A mirror is asked first, and the registry itself where no mirror has it.
func TestMirrors(t *testing.T) {
	origin, mirror := serve(t, ggcr.New()), serve(t, ggcr.New())
	host, path, _ := strings.Cut(origin, "/")
	mirrorHost, _, _ := strings.Cut(mirror, "/")
	mirrored := pushImage(t, mirrorHost+"/"+path)
	own := pushImage(t, host+"/own")
	c := registry.New(registry.Options{Mirrors: map[string][]string{host: {"127.0.0.1:1", mirrorHost}, "docker.io": {mirrorHost}}, Budget: 1})
	for reference, want := range map[string]string{
		host + "/" + path + "@" + mirrored:   mirrored,
		host + "/own@" + own:                 own,
		"docker.io/" + path + "@" + mirrored: mirrored,
	} {
		if got, err := c.Resolve(t.Context(), reference, builder.Login{}); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", reference, got, err, want)
		}
	}
}
