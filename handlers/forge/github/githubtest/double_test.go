package githubtest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// receiver is where an app's webhooks go.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []delivered
	came   chan delivered
}

type delivered struct {
	event, guid, signature string
	body                   []byte
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusAccepted, came: make(chan delivered, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		d := delivered{req.Header.Get("X-GitHub-Event"), req.Header.Get("X-GitHub-Delivery"), req.Header.Get("X-Hub-Signature-256"), body}
		r.got = append(r.got, d)
		w.WriteHeader(r.status)
		r.came <- d
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// wait answers the next delivery of an event that comes.
func (r *receiver) wait(t *testing.T, event string) delivered {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		select {
		case d := <-r.came:
			if d.event == event {
				return d
			}
		case <-ctx.Done():
			t.Fatalf("no %s event came", event)
		}
	}
}

// take answers what came, as event names with their actions, and forgets it.
func (r *receiver) take() (names []string, all []delivered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.got {
		var named struct{ Action string }
		_ = json.Unmarshal(d.body, &named)
		name := d.event
		if named.Action != "" {
			name += "." + named.Action
		}
		names = append(names, name)
	}
	all, r.got = r.got, nil
	return names, all
}

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a double with an app in one organisation.
type world struct {
	*githubtest.Server
	app   *githubtest.App
	inst  *githubtest.Installation
	repo  *githubtest.Repo
	hooks *receiver
	ctx   context.Context
}

func newWorld(t *testing.T, change ...func(*githubtest.Options)) *world {
	t.Helper()
	w := &world{Server: githubtest.New(t, change...), hooks: receive(t), ctx: t.Context()}
	w.repo = must(w.AddRepo("acme/shop", githubtest.RepoOptions{Private: true, Files: map[string]string{
		"Dockerfile": "FROM scratch\n", "src/main.go": "package main\n", "README.md": "# Shop\n",
	}}))(t)
	w.app = must(w.AddApp(githubtest.AppOptions{HookURL: w.hooks.URL}))(t)
	w.inst = must(w.app.Install("acme"))(t)
	w.settle(t)
	w.hooks.take()
	return w
}

func (w *world) settle(t *testing.T) {
	t.Helper()
	if err := w.Settle(w.ctx); err != nil {
		t.Fatal(err)
	}
}

// asApp is a client with the app's JWT, asInstallation one with a token.
func (w *world) asApp(t *testing.T) *github.Client {
	t.Helper()
	transport := must(ghinstallation.NewAppsTransport(http.DefaultTransport, w.app.ID, []byte(w.app.PrivateKeyPEM)))(t)
	transport.BaseURL = w.API
	return must(github.NewClient(&http.Client{Transport: transport}).WithEnterpriseURLs(w.API, w.API))(t)
}

func (w *world) asInstallation(t *testing.T, options *github.InstallationTokenOptions) *github.Client {
	t.Helper()
	transport := must(ghinstallation.New(http.DefaultTransport, w.app.ID, w.inst.ID, []byte(w.app.PrivateKeyPEM)))(t)
	transport.BaseURL = w.API
	if options != nil {
		token, _, err := w.asApp(t).Apps.CreateInstallationToken(w.ctx, w.inst.ID, options)
		if err != nil {
			t.Fatal(err)
		}
		return must(github.NewClient(nil).WithAuthToken(token.GetToken()).WithEnterpriseURLs(w.API, w.API))(t)
	}
	return must(github.NewClient(&http.Client{Transport: transport}).WithEnterpriseURLs(w.API, w.API))(t)
}

// asInstallationAt is asInstallation by another clock.
func (w *world) asInstallationAt(t *testing.T, at time.Time) *github.Client {
	t.Helper()
	key := must(jwt.ParseRSAPrivateKeyFromPEM([]byte(w.app.PrivateKeyPEM)))(t)
	assertion := must(jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: w.app.ClientID, IssuedAt: jwt.NewNumericDate(at.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(at.Add(time.Minute)),
	}).SignedString(key))(t)
	app := must(github.NewClient(nil).WithAuthToken(assertion).WithEnterpriseURLs(w.API, w.API))(t)
	token, _, err := app.Apps.CreateInstallationToken(w.ctx, w.inst.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	return must(github.NewClient(nil).WithAuthToken(token.GetToken()).WithEnterpriseURLs(w.API, w.API))(t)
}

// must ends the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func gitCommand(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=alice", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=alice", "GIT_COMMITTER_EMAIL=a@example.com")
	return cmd
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := gitCommand(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
