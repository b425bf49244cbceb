package gitlabtest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// receiver is where webhooks go.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []delivered
}

type delivered struct {
	event, token, key string
	header            http.Header
	body              []byte
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusAccepted}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, delivered{req.Header.Get("X-Gitlab-Event"), req.Header.Get("X-Gitlab-Token"), req.Header.Get("Idempotency-Key"), req.Header, body})
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, "answered "+http.StatusText(r.status))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// take answers what came, and forgets it.
func (r *receiver) take() (events []string, all []delivered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.got {
		events = append(events, d.event)
	}
	all, r.got = r.got, nil
	return events, all
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

// world is a double with a project in a group below a group, and a maintainer.
type world struct {
	*gitlabtest.Server
	project *gitlabtest.Project
	hooks   *receiver
	ctx     context.Context
	clock   *clock
}

const secret = "hook-secret"

func newWorld(t *testing.T, change ...func(*gitlabtest.Options)) *world {
	t.Helper()
	w := &world{hooks: receive(t), ctx: t.Context(), clock: &clock{at: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}}
	w.Server = gitlabtest.New(t, append([]func(*gitlabtest.Options){func(o *gitlabtest.Options) { o.Now = w.clock.now }}, change...)...)
	w.project = must(w.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{Files: map[string]string{
		"Dockerfile": "FROM scratch\n", "src/main.go": "package main\n",
	}}))(t)
	w.project.SetMember("alice", gitlabtest.Maintainer)
	return w
}

func (w *world) settle(t *testing.T) {
	t.Helper()
	if err := w.Settle(w.ctx); err != nil {
		t.Fatal(err)
	}
}

// as is a client with a token.
func (w *world) as(t *testing.T, token string) *gitlab.Client {
	t.Helper()
	return must(gitlab.NewClient(token, gitlab.WithBaseURL(w.API), gitlab.WithoutRetries()))(t)
}

// status is what a call was answered with.
func status(res *gitlab.Response) int {
	if res == nil {
		return 0
	}
	return res.StatusCode
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
