package gitlab

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// hookRig is a GitLab server whose webhooks come to a receiver of ours, and
// the operator's side of it.
type hookRig struct {
	*gitlabtest.Server
	t        *testing.T
	forge    *Forge
	memory   *forgetest.Memory
	clock    *noteClock
	receiver *httptest.Server
	said     strings.Builder
	logged   *hookLog

	mu       sync.Mutex
	answer   int // of the receiver, 0: as it likes
	tried    int // deliveries that started nothing
	events   []builder.Event
	appended []builder.Event
	known    map[string]builder.Repository
}

type hookLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *hookLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *hookLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHookRig(t *testing.T, change ...func(*gitlabtest.Options)) *hookRig {
	t.Helper()
	r := &hookRig{t: t, known: map[string]builder.Repository{}, clock: &noteClock{}, logged: &hookLog{}}
	change = append(change, func(o *gitlabtest.Options) { o.Now = r.clock.now })
	r.Server = gitlabtest.New(t, change...)
	r.receiver = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(r.receiver.Close)
	r.memory = forgetest.NewMemory()
	r.memory.Now = r.clock.now
	return r
}

// as lets us in with a token.
func (r *hookRig) as(token string, change ...func(*config.GitLab)) *hookRig {
	r.t.Helper()
	c := config.GitLab{Name: "gitlab", URL: r.URL, Token: token, Events: config.ByWebhook}
	for _, f := range change {
		f(&c)
	}
	f, err := New(Options{
		Config: c, Secrets: fixedSecrets{secrets: []string{"the secret of our webhooks"}}, Memory: r.memory, Now: r.clock.now,
		BuildURL: func(id string) string { return "https://builds.example.com/builds/" + id }, Host: func() string { return "registry.example.com" },
		HookURL: func() string { return r.receiver.URL + "/hooks/gitlab" }, Log: slog.New(slog.NewTextHandler(r.logged, nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	f.wire.first = soon
	r.forge = f
	return r
}

// receive is the intake.
func (r *hookRig) receive(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil || req.URL.Path != "/hooks/gitlab" {
		http.NotFound(w, req)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != 0 {
		http.Error(w, "the proxy is asleep", r.answer)
		return
	}
	if err := r.forge.Verify(req.Header, body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	events, err := r.forge.Events(req.Header, body)
	switch {
	case errors.Is(err, forge.ErrIgnored):
		r.tried++
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.events = append(r.events, events...)
	w.WriteHeader(http.StatusAccepted)
}

func (r *hookRig) answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = status
}

// heard are the events that webhooks brought.
func (r *hookRig) heard() (list []builder.Event, tried int) {
	r.t.Helper()
	if err := r.Settle(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events), r.tried
}

// Append implements builder.Events as the server's store does.
func (r *hookRig) Append(_ context.Context, e builder.Event) (builder.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.appended, func(o builder.Event) bool { return o.ID == e.ID }) {
		return builder.Receipt{Duplicate: true}, nil
	}
	r.appended = append(r.appended, e)
	if e.Withdrawn {
		delete(r.known, e.Repository.Key())
	} else {
		r.known[e.Repository.Key()] = e.Repository
	}
	return builder.Receipt{}, nil
}

// ActiveRepositories implements Projects.
func (r *hookRig) ActiveRepositories(context.Context, time.Time) ([]builder.Repository, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []builder.Repository
	for _, repo := range r.known {
		list = append(list, repo)
	}
	slices.SortFunc(list, func(a, b builder.Repository) int { return strings.Compare(a.FullName(), b.FullName()) })
	return list, nil
}

func (r *hookRig) names() (names []string) {
	list, _ := r.ActiveRepositories(r.t.Context(), time.Time{})
	for _, repo := range list {
		names = append(names, repo.FullName())
	}
	return names
}

func (r *hookRig) installer() *Installer {
	r.said.Reset()
	return &Installer{Forge: r.forge, Events: r, Projects: r, Say: func(line string) { r.said.WriteString(line + "\n") }}
}

// install installs and returns what was said.
func (r *hookRig) install(name string) (said string, changed bool) {
	r.t.Helper()
	changed, err := r.installer().Install(r.t.Context(), name)
	if err != nil {
		r.t.Fatalf("install %s: %v\n%s", name, err, r.said.String())
	}
	return r.said.String(), changed
}

func (r *hookRig) uninstall(name string) string {
	r.t.Helper()
	if err := r.installer().Uninstall(r.t.Context(), name); err != nil {
		r.t.Fatalf("uninstall %s: %v\n%s", name, err, r.said.String())
	}
	return r.said.String()
}

// addProject makes a project with one commit.
func (r *hookRig) addProject(path string) *gitlabtest.Project {
	r.t.Helper()
	p, err := r.AddProject(path, gitlabtest.ProjectOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *hookRig) push(p *gitlabtest.Project, file string) string {
	r.t.Helper()
	sha, err := p.Push(gitlabtest.Push{User: "alice", Files: map[string]string{file: r.clock.now().String()}})
	if err != nil {
		r.t.Fatal(err)
	}
	return sha
}

func idOf(h gitlabtest.HookState) string { return strconv.FormatInt(h.ID, 10) }
