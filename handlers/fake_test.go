package handlers_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

var (
	one   = strings.Repeat("1", 40)
	two   = strings.Repeat("2", 40)
	hello = builder.Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello", DefaultBranch: "main"}
	other = builder.Repository{Forge: "git", ID: "evil/corp", Owner: "evil", Name: "corp", DefaultBranch: "main"}
	empty = builder.Repository{Forge: "git", ID: "acme/empty", Owner: "acme", Name: "empty"}
)

const (
	helloBuild = "06db3m8e7g0k5rqa"
	otherBuild = "06db3m8e7g0k5rqb"
	noBuild    = "06db3m8e7g0k5rqc"
)

// fake is everything below the handlers, in memory. A nil error lets a method
// do its work.
type fake struct {
	mu        sync.Mutex
	events    map[string]builder.Event
	order     []string // of the appended events
	builds    map[string]builder.Record
	log       []builder.LogChunk
	logErr    error // after the log
	down      error // of everything
	decide    func(builder.Event) builder.Decision
	filter    builder.BuildFilter // of the last list
	next      string
	canceled  []string
	retried   []string
	runFilter builder.RunFilter
	logGone   chan struct{} // closed when a followed log's reader is gone
}

func newFake() *fake {
	return &fake{
		events: map[string]builder.Event{},
		builds: map[string]builder.Record{
			helloBuild: {Build: builder.Build{ID: helloBuild, Repository: hello, Image: "hello", Destination: "acme/hello", Tags: []string{"latest"}},
				Progress: builder.Progress{State: builder.Running, Attempt: 1}},
			otherBuild: {Build: builder.Build{ID: otherBuild, Repository: other, Image: "corp", Destination: "evil/corp"},
				Progress: builder.Progress{State: builder.Succeeded}},
		},
		logGone: make(chan struct{}),
	}
}

func (f *fake) Append(_ context.Context, e builder.Event) (builder.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return builder.Receipt{}, f.down
	}
	if _, ok := f.events[e.ID]; ok {
		return builder.Receipt{Duplicate: true}, nil
	}
	f.events[e.ID] = e
	f.order = append(f.order, e.ID)
	return builder.Receipt{Seq: int64(len(f.order))}, nil
}

func (f *fake) appended() []builder.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []builder.Event
	for _, id := range f.order {
		all = append(all, f.events[id])
	}
	return all
}

func (f *fake) AwaitDecision(ctx context.Context, id string) (builder.Decision, error) {
	if f.decide == nil {
		<-ctx.Done()
		return builder.Decision{}, ctx.Err()
	}
	return f.Decision(ctx, id)
}

func (f *fake) Event(_ context.Context, id string) (builder.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.events[id]; ok {
		return e, f.down
	}
	return builder.Event{}, builder.ErrNotFound
}

func (f *fake) Decision(_ context.Context, id string) (builder.Decision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.decide == nil {
		return builder.Decision{}, builder.ErrState
	}
	return f.decide(f.events[id]), f.down
}

func (f *fake) Ping(context.Context) error { return f.down }

func (f *fake) Build(_ context.Context, id string) (builder.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.builds[id]
	switch {
	case f.down != nil:
		return r, f.down
	case !ok:
		return r, builder.ErrNotFound
	}
	return r, nil
}

func (f *fake) Builds(_ context.Context, filter builder.BuildFilter) ([]builder.Record, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	var page []builder.Record
	for _, r := range f.builds {
		page = append(page, r)
	}
	slices.SortFunc(page, func(a, b builder.Record) int { return strings.Compare(b.ID, a.ID) })
	return page, f.next, f.down
}

func (f *fake) Cancel(_ context.Context, id, reason string) (builder.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.builds[id]
	if r.State.Terminal() {
		return r.State, builder.ErrState
	}
	f.canceled = append(f.canceled, id+" "+reason)
	return r.State, f.down
}

func (f *fake) Delete(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.builds[id].State.Terminal() {
		return builder.ErrState
	}
	delete(f.builds, id)
	return f.down
}

// ReadLog returns the log's chunks after one; followed, it goes on until its
// reader is gone, unless logErr ends it.
func (f *fake) ReadLog(ctx context.Context, _, after string, follow bool) iter.Seq2[builder.LogChunk, error] {
	return func(yield func(builder.LogChunk, error) bool) {
		for _, c := range f.log {
			if c.ID > after && !yield(c, nil) {
				return
			}
		}
		switch {
		case f.logErr == io.EOF || f.logErr == nil && !follow:
		case f.logErr != nil:
			yield(builder.LogChunk{}, f.logErr)
		default:
			<-ctx.Done()
			close(f.logGone)
			yield(builder.LogChunk{}, ctx.Err())
		}
	}
}

func (f *fake) Statuses(_ context.Context, key, commit string) ([]builder.Report, error) {
	return []builder.Report{{Repository: hello, Commit: commit, Context: "registry-build", State: builder.StatusSuccess, Description: key}}, f.down
}

func (f *fake) TriggerRuns(_ context.Context, id string) ([]builder.TriggerRun, error) {
	return []builder.TriggerRun{{BuildID: id, Repository: hello, Trigger: "audit", State: "succeeded"}}, f.down
}

func (f *fake) Runs(_ context.Context, filter builder.RunFilter) ([]builder.TriggerRun, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runFilter = filter
	return []builder.TriggerRun{
		{BuildID: helloBuild, Repository: hello, Trigger: "audit", State: "succeeded", Memo: "our own"},
		{BuildID: otherBuild, Repository: other, Trigger: "audit", State: "failed"},
	}, f.next, f.down
}

func (f *fake) RetryTrigger(_ context.Context, _ builder.Repository, id, trigger, by string) (builder.RunState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.down != nil:
		return "", f.down
	case trigger == "busy":
		return builder.RunRunning, builder.ErrState
	case trigger != "audit":
		return "", builder.ErrNotFound
	}
	f.retried = append(f.retried, id+" "+trigger+" by "+by)
	return builder.RunWaiting, nil
}

func (f *fake) Find(_ context.Context, name string) (builder.Repository, error) {
	for _, r := range []builder.Repository{hello, other, empty} {
		if r.FullName() == name {
			return r, nil
		}
	}
	return builder.Repository{}, builder.ErrNotFound
}

func (f *fake) Resolve(_ context.Context, _ builder.Repository, rev string) (string, error) {
	switch rev {
	case "refs/heads/main", one, one[:7]:
		return one, nil
	case "refs/tags/v1", "refs/heads/dev":
		return two, nil
	case "1234567":
		return "", &builder.Failure{Stage: builder.StageSource, Message: "1234567 is the beginning of 2 commits: give more of its characters"}
	}
	return "", builder.ErrNotFound
}

// Caller knows two tokens: ada's for acme/*, and nobody's, without a scope.
func (f *fake) Caller(r *http.Request) handlers.Caller {
	switch r.Header.Get("Authorization") {
	case "Bearer ada":
		return caller{"ada", "acme/"}
	case "Bearer puller":
		return caller{"puller", "none/"}
	case "Bearer watcher":
		return watcher{caller{"watcher", "acme/"}}
	}
	return nil
}

type caller struct{ name, prefix string }

func (c caller) Name() string { return c.name }
func (c caller) MayUseAPI(repository string) bool {
	if _, name, ok := strings.Cut(repository, ":"); ok {
		repository = name
	}
	return c.prefix != "none/" && (repository == "" || strings.HasPrefix(repository, c.prefix))
}

func (c caller) MayPush(image string) bool { return strings.HasPrefix(image, c.prefix) }

// MayNotify: of pushes to HOST/acme/* where the prefix is acme/.
func (c caller) MayNotify(image string) bool {
	return c.prefix != "none/" && (image == "" || strings.Contains(image, "/"+c.prefix))
}

// watcher may use the API and push no image.
type watcher struct{ caller }

func (watcher) MayPush(string) bool { return false }

var (
	_ handlers.Events       = (*fake)(nil)
	_ handlers.Builds       = (*fake)(nil)
	_ handlers.Outcomes     = (*fake)(nil)
	_ handlers.Repositories = (*fake)(nil)
	_ handlers.Access       = (*fake)(nil)
	_ handlers.Caller       = watcher{}
)

const secret = "It's a Secret to Everybody"

func (f *fake) server(log io.Writer) *handlers.Server {
	return &handlers.Server{
		Events: f, Builds: f, Outcomes: f, Repositories: f, Access: f,
		Forges:   map[string]forge.Verifier{"double": forgetest.Double{Secret: secret}},
		Registry: func() string { return "127.0.0.1:5080" }, URL: func() string { return "http://127.0.0.1:5080" },
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// start serves what is below the handlers over HTTP.
func start(t *testing.T, h http.Handler) *api {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &api{t, s.URL, "ada"}
}

// api is somebody with a token who asks a server.
type api struct {
	t          *testing.T
	url, token string
}

func (a *api) as(token string) *api { return &api{a.t, a.url, token} }

// send sends a request; headers come in pairs of name and value.
func (a *api) send(method, path, body string, headers ...string) *http.Response {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// ask sends a request and decodes the answer into out, if any. It wants a
// status.
func (a *api) ask(method, path, body string, want int, out any, headers ...string) http.Header {
	a.t.Helper()
	resp := a.send(method, path, body, headers...)
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode != want {
		a.t.Fatalf("%s %s answers %d, want %d: %s", method, path, resp.StatusCode, want, data)
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			a.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return resp.Header
}

// refused sends a request and returns the sentence of its refusal.
func (a *api) refused(method, path, body string, want int, headers ...string) string {
	a.t.Helper()
	var e handlers.Error
	h := a.ask(method, path, body, want, &e, headers...)
	if e.Error == "" || h.Get("Content-Type") != "application/json" {
		a.t.Errorf("%s %s: %d without a sentence in JSON", method, path, want)
	}
	return e.Error
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not in 20 s", what)
		case <-tick.C:
		}
	}
}
