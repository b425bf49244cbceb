package buildkit

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
)

// guard is a token server and the registry's check of its tokens. A token is
// the list of its scopes; anonymous ones may pull what is public.
type guard struct {
	realm string

	mu    sync.Mutex
	asked []string // "user: scopes", once each
}

func newGuard(t *testing.T) *guard {
	g := &guard{}
	server := httptest.NewServer(http.HandlerFunc(g.token))
	t.Cleanup(server.Close)
	g.realm = server.URL
	return g
}

func (g *guard) token(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	scopes := r.URL.Query()["scope"]
	g.mu.Lock()
	if line := user + ": " + strings.Join(scopes, " "); !slices.Contains(g.asked, line) {
		g.asked = append(g.asked, line)
	}
	g.mu.Unlock()
	if user != "" && password != "secret" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	granted := "public"
	if user != "" {
		granted = strings.Join(scopes, " ")
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": granted, "expires_in": 300})
}

// protect asks for a token and lets it do what its scopes say; reading
// acme/public takes any token.
func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/v2/")
		var repository string
		for _, part := range []string{"/blobs/", "/manifests/", "/tags/"} {
			if i := strings.Index(path, part); i > 0 {
				repository = path[:i]
			}
		}
		action := "pull"
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			action = "push"
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if ok && (allows(token, repository, action) || repository == "acme/public" && action == "pull") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+g.realm+`",service="test",scope="repository:`+repository+`:`+action+`"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}`, http.StatusUnauthorized)
	})
}

func allows(token, repository, action string) bool {
	for _, scope := range strings.Fields(token) {
		rest, ok := strings.CutPrefix(scope, "repository:"+repository+":")
		if ok && slices.Contains(strings.Split(rest, ","), action) {
			return true
		}
	}
	return false
}

// TestLoginIsForTheDestinationOnly builds on a public image of the same
// registry, and on a private one that the login's owner might read.
func TestLoginIsForTheDestinationOnly(t *testing.T) {
	s := newSolver(t)
	g := newGuard(t)
	host := buildkittest.Registry(t, g.protect)
	login := builder.Login{Host: host, Username: "robot", Password: "secret"}

	public := request(shell, nil)
	public.Destination, public.Login = host+"/acme/public", login
	base, _ := solve(t, s, public)

	r := request("FROM "+public.Destination+"@"+base.Digest+"\nCOPY busybox /again\n", nil)
	r.Destination, r.Login = host+"/acme/api", login
	solve(t, s, r)

	want := []string{
		": repository:acme/public:pull",
		"robot: repository:acme/api:pull,push",
		"robot: repository:acme/public:pull,push",
	}
	slices.Sort(g.asked)
	if diff := cmp.Diff(want, g.asked); diff != "" {
		t.Errorf("tokens asked for (-want +got):\n%s", diff)
	}

	private := request("FROM "+host+"/acme/private:1\n", nil)
	private.Destination, private.Login = host+"/acme/api", login
	_, err := s.Solve(t.Context(), private, io.Discard)
	var f *builder.Failure
	if !errors.As(err, &f) || !strings.HasSuffix(f.Message, "acme/private:1 cannot be pulled: it is not there, or not public") {
		t.Errorf("failure %v", err)
	}
	for _, line := range g.asked {
		if strings.HasPrefix(line, "robot") && strings.Contains(line, "private") {
			t.Errorf("the login was used: %s", line)
		}
	}
}

// TestLoginIsForItsHostOnly builds on an image of another registry, whose path
// is the destination's.
func TestLoginIsForItsHostOnly(t *testing.T) {
	s := newSolver(t)
	g := newGuard(t)
	var mu sync.Mutex
	var sent []string // to the registry that asks for a password
	basic := func(next http.Handler) http.Handler {
		next = basicAuth(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if a := r.Header.Get("Authorization"); a != "" {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, a)
			}
			next.ServeHTTP(w, r)
		})
	}
	destination := buildkittest.Registry(t)
	for _, other := range []string{buildkittest.Registry(t, g.protect), buildkittest.Registry(t, basic)} {
		r := request("FROM "+other+"/acme/api:1\n", nil)
		r.Destination = destination + "/acme/api"
		r.Login = builder.Login{Host: destination, Username: "robot", Password: "secret"}
		_, err := s.Solve(t.Context(), r, io.Discard)
		var f *builder.Failure
		if !errors.As(err, &f) || !strings.HasSuffix(f.Message, "/acme/api:1 cannot be pulled: it is not there, or not public") {
			t.Errorf("failure %v", err)
		}
	}
	if diff := cmp.Diff([]string{": repository:acme/api:pull"}, g.asked); diff != "" {
		t.Errorf("tokens asked for (-want +got):\n%s", diff)
	}
	if len(sent) > 0 {
		t.Errorf("the password went to another host: %q", sent)
	}
}

// TestLoginIsReadForEachSolve ends a login between two solves: a token that
// the daemon holds from the first must not serve the second.
func TestLoginIsReadForEachSolve(t *testing.T) {
	s := newSolver(t)
	for _, basic := range []bool{false, true} {
		host, protect := "", newGuard(t).protect
		if basic {
			protect = basicAuth
		}
		host = buildkittest.Registry(t, protect)
		r := request(shell, nil)
		r.Destination = host + "/acme/api"
		r.Login = builder.Login{Host: host, Username: "robot", Password: "secret"}
		solve(t, s, r)

		r.Dockerfile = append(r.Dockerfile, "COPY busybox /other\n"...)
		r.Login.Password = "ended"
		_, err := s.Solve(t.Context(), r, io.Discard)
		var f *builder.Failure
		want := "the registry refused the push to " + r.Destination + ": the login may not write there"
		if !errors.As(err, &f) || f.Stage != builder.StagePush || f.Message != want {
			t.Errorf("basic %t: failure %v", basic, err)
		}

		r.Login = builder.Login{}
		if _, err = s.Solve(t.Context(), r, io.Discard); !errors.As(err, &f) || f.Message != want {
			t.Errorf("basic %t, no login: failure %v", basic, err)
		}
	}
}

func basicAuth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestGrantAllows(t *testing.T) {
	g := grant{repositories: []string{"acme/api"}, push: true}
	for _, c := range []struct {
		name string
		ask  []string
		want []string
	}{
		{"the destination", []string{"repository:acme/api:pull,push"}, []string{"repository:acme/api:pull,push"}},
		{"deleting", []string{"repository:acme/api:pull,push,delete"}, []string{"repository:acme/api:pull,push"}},
		{"everything", []string{"repository:acme/api:*"}, nil},
		{"a mount from elsewhere", []string{"repository:acme/api:push repository:other/x:pull"}, []string{"repository:acme/api:push"}},
		{"below the destination", []string{"repository:acme/api/x:pull"}, nil},
		{"the catalog", []string{"registry:catalog:*"}, nil},
		{"nothing", nil, nil},
		{"nonsense", []string{"repository", ":", "repository:acme/api"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, g.allowed(c.ask)); diff != "" {
				t.Errorf("allowed (-want +got):\n%s", diff)
			}
		})
	}
	g.push = false
	if diff := cmp.Diff([]string{"repository:acme/api:pull"}, g.allowed([]string{"repository:acme/api:pull,push"})); diff != "" {
		t.Errorf("a base's (-want +got):\n%s", diff)
	}
	if got := g.allowed([]string{"repository:acme/api:push"}); got != nil {
		t.Errorf("a base's: %q", got)
	}
}

// TestBaseLogins builds on private images: the login of each is used for that
// image only, to pull.
func TestBaseLogins(t *testing.T) {
	s := newSolver(t)
	g := newGuard(t)
	host := buildkittest.Registry(t, g.protect)
	robot := builder.Login{Host: host, Username: "robot", Password: "secret"}
	var digests []string
	for _, repository := range []string{"/acme/base", "/acme/other"} {
		r := request(shell+"COPY busybox "+repository+"\n", nil)
		r.Destination, r.Login = host+repository, robot
		base, _ := solve(t, s, r)
		digests = append(digests, base.Digest)
	}
	puller := builder.BaseLogin{Login: builder.Login{Host: host, Username: "puller", Password: "secret"}, Repositories: []string{"acme/base"}}
	build := func(s *Solver, from string) (*guard, error) {
		g.mu.Lock()
		g.asked = nil
		g.mu.Unlock()
		r := request("FROM "+host+from+"\nCOPY busybox /"+from[1:3]+"\n", nil)
		r.Destination, r.Login, r.BaseLogins = host+"/acme/api", robot, []builder.BaseLogin{puller}
		_, err := s.Solve(t.Context(), r, io.Discard)
		return g, err
	}
	// Another daemon: the first one has the bases.
	fresh := freshSolver(t)
	if _, err := build(fresh, "/acme/base@"+digests[0]); err != nil {
		t.Fatal(err)
	}
	want := []string{"puller: repository:acme/base:pull", "robot: repository:acme/api:pull,push"}
	slices.Sort(g.asked)
	if diff := cmp.Diff(want, g.asked); diff != "" {
		t.Errorf("tokens asked for (-want +got):\n%s", diff)
	}
	_, err := build(freshSolver(t), "/acme/other@"+digests[1])
	var f *builder.Failure
	if !errors.As(err, &f) || !strings.HasSuffix(f.Message, " cannot be pulled: it is not there, or not public") {
		t.Errorf("failure %v", err)
	}
	puller.Password = "ended"
	if _, err = build(freshSolver(t), "/acme/base@"+digests[0]); !errors.As(err, &f) || f.Stage != builder.StageBuild ||
		f.Message != "Dockerfile:1: the image cannot be pulled: its registry refused the login that the operator keeps for it; renew that credential" {
		t.Errorf("failure %v", err)
	}

	if r := (builder.SolveRequest{BaseLogins: []builder.BaseLogin{puller}}); !strings.HasSuffix(
		reason(errors.New("failed to resolve source metadata for "+host+"/acme/base:1: 403 Forbidden"), "FROM x", r), "or the login for its registry may not read it") {
		t.Error("a login that may not read is not told")
	}

	// A registry that takes passwords is asked with the first base's.
	plain := buildkittest.Registry(t, basicAuth)
	r := request(shell, nil)
	r.Destination, r.Login = plain+"/acme/base", builder.Login{Host: plain, Username: "robot", Password: "secret"}
	base, _ := solve(t, s, r)
	r = request("FROM "+plain+"/acme/base@"+base.Digest+"\nCOPY busybox /x\n", nil)
	r.BaseLogins = []builder.BaseLogin{{Login: builder.Login{Host: plain, Username: "puller", Password: "secret"}, Repositories: []string{"acme/base"}}}
	solve(t, freshSolver(t), r)

	// A fork gets none of it.
	r.Lane = builder.ForkLane
	if _, err := freshSolver(t).Solve(t.Context(), r, io.Discard); err == nil {
		t.Error("a fork pulled a private base")
	}
}

// freshSolver builds with a daemon of its own, whose cache is empty.
func freshSolver(t *testing.T) *Solver {
	t.Helper()
	d, err := buildkittest.Start(buildkittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(t.Context(), Options{Address: d.Address()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
