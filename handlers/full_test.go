package handlers_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source"
	"github.com/registry-build/registry-build/builder/source/sourcetest"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
	"github.com/registry-build/registry-build/handlers"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

// house is the API on a real store, a real repository and a real dispatcher.
// Builds are run by the test: only what is in an image is not real.
type house struct {
	*api
	t     *testing.T
	redis *storetest.Server
	store *store.Store
	repo  *sourcetest.Repo
}

const buildFile = `version: 1
images:
  - name: api
    rules:
      - {branch: "*", tags: ["${branch}"]}
      - {tag: "v*", tags: ["${tag}"]}
  - name: web
    rules: [{branch: main, tags: [web]}]
`

func build(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, redis: storetest.Start(t)}
	h.store = h.redis.Store(t, store.Options{})
	h.repo = sourcetest.New(t, sourcetest.Files{".registry-build.yml": buildFile, "Dockerfile": "FROM scratch\n"})
	sources := source.New(source.Options{Dir: t.TempDir(), Origins: h})
	d := &builder.Dispatcher{Inbox: h.store, Sources: sources, Name: "test", Parallel: 1, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	s := newFake().server(t.Output())
	s.Events, s.Builds, s.Outcomes = h.store, h.store, h.store
	s.Repositories = named{newFake(), sources}
	h.api = start(t, s.Routes())
	return h
}

// Origin says where acme/hello is.
func (h *house) Origin(context.Context, builder.Repository) (builder.Origin, error) {
	return builder.Origin{Dir: h.repo.Dir}, nil
}

// named finds repositories as the fake does, and commits as sources do.
type named struct {
	*fake
	sources *source.Sources
}

func (n named) Resolve(ctx context.Context, repo builder.Repository, rev string) (string, error) {
	return n.sources.Resolve(ctx, repo, rev)
}

// request asks for a build by hand and returns what it came to.
func (h *house) request(body string, want int, headers ...string) (a handlers.EventAnswer) {
	h.t.Helper()
	h.ask("POST", "/api/v1/builds", body, want, &a, headers...)
	return a
}

func (h *house) claim() *builder.Lease {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	l, err := h.store.Claim(ctx, "worker")
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (h *house) write(w io.Writer, text string) {
	h.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) finish(l *builder.Lease, s builder.State, r builder.Result) {
	h.t.Helper()
	if err := h.store.Finish(h.t.Context(), l, s, r, "audit"); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) build(id string) (b handlers.Build) {
	h.t.Helper()
	h.ask("GET", "/api/v1/builds/"+id, "", 200, &b)
	return b
}

// TestByHand asks for each kind of thing that can be built, and for some that
// cannot.
func TestByHand(t *testing.T) {
	h := build(t)
	main := h.repo.Hash("refs/heads/main")
	dev := h.repo.Commit("refs/heads/feature/x", "more", sourcetest.Files{"a": "1", "Dockerfile": "FROM scratch\n", ".registry-build.yml": buildFile})
	h.repo.Git("tag", "-m", "first", "v1.0", main)

	for _, tt := range []struct{ name, body, want string }{
		{"default branch", `{"repository": "acme/hello"}`, "api refs/heads/main " + main + " main; web refs/heads/main " + main + " web"},
		{"one image", `{"repository": "acme/hello", "image": "web"}`, "web refs/heads/main " + main + " web"},
		{"branch", `{"repository": "acme/hello", "branch": "feature/x"}`, "api refs/heads/feature/x " + dev + " feature-x"},
		{"annotated tag", `{"repository": "acme/hello", "tag": "v1.0"}`, "api refs/tags/v1.0 " + main + " v1.0"},
		{"commit", `{"repository": "acme/hello", "commit": "` + dev[:8] + `", "image": "api"}`, "api  " + dev + " " + dev[:6]},
		{"upload", upload("acme/tool", "v1", "v1", "x"), "tool   v1,x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, b := range h.request(tt.body, 202).Builds {
				var names []string
				for _, tag := range b.Tags {
					names = append(names, tag.Name)
				}
				got = append(got, strings.Join([]string{b.Image, b.Ref, b.Commit, strings.Join(names, ",")}, " "))
				if b.State != "queued" || b.Actor != "ada" || b.Place == 0 {
					t.Errorf("%+v", b)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "; ")); diff != "" {
				t.Errorf("builds (-want +got):\n%s", diff)
			}
		})
	}

	refused := h.request(`{"repository": "acme/hello", "image": "ap"}`, 422)
	if len(refused.Reasons) != 1 || !strings.Contains(refused.Reasons[0].Message, `did you mean "api"`) {
		t.Errorf("unknown image: %+v", refused)
	}
	for _, branch := range []string{"main~1", "@{-1}", "--help", "*", "x..y", "a b"} {
		resp := h.send("POST", "/api/v1/builds", fmt.Sprintf(`{"repository": "acme/hello", "branch": %q}`, branch))
		if resp.StatusCode != 404 && resp.StatusCode != 422 {
			t.Errorf("branch %q: %d", branch, resp.StatusCode)
		}
	}

	again := []string{"Idempotency-Key", "k"}
	first := h.request(`{"repository": "acme/hello"}`, 202, again...)
	second := h.request(`{"repository": "acme/hello"}`, 202, again...)
	if diff := cmp.Diff(first.Builds[0].ID, second.Builds[0].ID); diff != "" || first.Event != second.Event {
		t.Errorf("the same request twice: %s", diff)
	}
	h.refused("POST", "/api/v1/builds", `{"repository": "acme/hello", "tag": "v1.0"}`, 422, again...)
	// The answer was lost, and the branch has moved on before the second try.
	h.repo.Commit("refs/heads/main", "later", sourcetest.Files{"a": "2"})
	if third := h.request(`{"repository": "acme/hello"}`, 202, again...); third.Event != first.Event || third.Builds[0].Commit != main {
		t.Errorf("the same request after another push: %+v", third)
	}
}

// TestLife follows one build from a webhook to its deletion.
func TestLife(t *testing.T) {
	h := build(t)
	main := h.repo.Hash("refs/heads/main")
	asked := h.request(`{"repository": "acme/hello", "image": "api"}`, 202)
	id := asked.Builds[0].ID
	h.refused("DELETE", "/api/v1/builds/"+id, "", 409)

	l := h.claim()
	if b := h.build(id); b.State != "running" || b.StartedAt == nil || b.Source != "api" {
		t.Errorf("claimed: %+v", b)
	}
	log := h.store.OpenLog(t.Context(), l)
	h.write(log, "#1 first\n")
	follow := h.send("GET", "/api/v1/builds/"+id+"/log", "", "Accept", "text/event-stream")
	before := readSSE(t, follow.Body, "log")
	if got := textOf(t, before); got != "#1 first\n" {
		t.Errorf("while it runs: %q", got)
	}
	follow.Body.Close()

	// The reader is away, the log goes on, the build ends, the log is sealed.
	h.write(log, "#2 dö")
	h.write(log, "ne\n")
	log.Close()
	h.finish(l, builder.Succeeded, builder.Result{Digest: "sha256:abc", Tagged: []builder.TagOutcome{{Tag: "main", Moved: true}}})
	resumed := readSSE(t, h.send("GET", "/api/v1/builds/"+id+"/log", "", "Accept", "text/event-stream", "Last-Event-ID", before[0].ID).Body, "")
	if got := textOf(t, resumed); got != "#2 döne\n" {
		t.Errorf("resumed: %q", got)
	}
	if end := resumed[len(resumed)-1]; end.Event != "end" || !strings.Contains(end.Data, `"state":"succeeded"`) {
		t.Errorf("end %+v", end)
	}
	text, err := io.ReadAll(h.send("GET", "/api/v1/builds/"+id+"/log", "").Body)
	if err != nil || string(text) != "#1 first\n#2 döne\n" {
		t.Errorf("log %q, %v", text, err)
	}

	b := h.build(id)
	if b.Digest != "sha256:abc" || !b.Tags[0].Put || b.FinishedAt == nil || b.Reference != "127.0.0.1:5080/acme/hello/api@sha256:abc" {
		t.Errorf("finished: %+v", b)
	}
	if got := h.refused("POST", "/api/v1/builds/"+id+"/cancel", "", 409); got != "build "+id+" is succeeded already" {
		t.Errorf("%q", got)
	}

	run := builder.TriggerRun{BuildID: id, Repository: hello, Trigger: "audit", State: "succeeded", Attempts: 2}
	due, err := h.store.NextEffects(t.Context(), "test", builder.LaneTriggers, 1)
	if err != nil {
		t.Fatal(err)
	}
	report := builder.Report{Repository: hello, Commit: main, Context: "registry-build/api", State: builder.StatusSuccess, Seq: 1, UpdatedAt: time.Unix(9, 0).UTC()}
	_, err = h.store.PutStatus(t.Context(), report)
	for _, err := range []error{h.store.Settle(t.Context(), due[0], run, builder.Telling{}), err} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var runs handlers.TriggerRunList
	h.ask("GET", "/api/v1/builds/"+id+"/triggers", "", 200, &runs)
	if diff := cmp.Diff([]handlers.TriggerRun{{Build: id, Repository: "acme/hello", Trigger: "audit", State: "succeeded", Attempts: 2}}, runs.Runs); diff != "" {
		t.Errorf("triggers (-want +got):\n%s", diff)
	}
	for _, rev := range []string{main, main[:7], url.PathEscape("refs/heads/main")} {
		var list handlers.StatusList
		h.ask("GET", "/api/v1/statuses/acme/hello/"+rev, "", 200, &list)
		if diff := cmp.Diff([]handlers.Status{{Context: "registry-build/api", State: "success", UpdatedAt: report.UpdatedAt}}, list.Statuses); diff != "" {
			t.Errorf("statuses of %s (-want +got):\n%s", rev, diff)
		}
	}

	h.ask("DELETE", "/api/v1/builds/"+id, "", 204, nil)
	for _, path := range []string{"", "/log", "/triggers"} {
		h.refused("GET", "/api/v1/builds/"+id+path, "", 404)
	}
	var event handlers.EventAnswer
	h.ask("GET", "/api/v1/events/"+asked.Event, "", 200, &event)
	if len(event.Builds) != 0 || event.Pending {
		t.Errorf("its event: %+v", event)
	}
}

func TestStop(t *testing.T) {
	h := build(t)
	running := h.request(`{"repository": "acme/hello", "image": "api"}`, 202).Builds[0].ID
	l := h.claim()
	queued := h.request(`{"repository": "acme/hello", "image": "web"}`, 202).Builds[0].ID

	var b handlers.Build
	h.ask("POST", "/api/v1/builds/"+queued+"/cancel", "", 202, &b)
	if b.State != "cancelled" || b.Reason != "by ada" {
		t.Errorf("queued: %+v", b)
	}
	h.ask("POST", "/api/v1/builds/"+running+"/cancel", "", 202, &b)
	if b.State != "running" || b.Status != "stopping: by ada" {
		t.Errorf("running: %+v", b)
	}
	stop, err := h.store.Heartbeat(t.Context(), l)
	if err != nil || stop == nil || stop.State != builder.Cancelled {
		t.Fatalf("the worker hears %+v, %v", stop, err)
	}
	h.finish(l, stop.State, builder.Result{Reason: stop.Reason})
	if got := h.build(running).Status; got != "cancelled: by ada" {
		t.Errorf("status %q", got)
	}
}

func TestList(t *testing.T) {
	h := build(t)
	h.request(`{"repository": "acme/hello"}`, 202)
	h.request(upload("acme/tool", "x"), 202)
	ids := func(query string) (names []string, next string) {
		t.Helper()
		var list handlers.BuildList
		h.ask("GET", "/api/v1/builds?"+query, "", 200, &list)
		for _, b := range list.Builds {
			names = append(names, b.Image)
		}
		return names, list.Next
	}
	if names, _ := ids(""); len(names) != 3 || names[0] != "tool" {
		t.Errorf("all, newest first: %q", names)
	}
	first, next := ids("limit=2")
	rest, end := ids("limit=2&before=" + next)
	if len(first) != 2 || len(rest) != 1 || end != "" {
		t.Errorf("pages %q, %q", first, rest)
	}
	for query, want := range map[string]int{
		"repository=acme/hello":                                              2,
		"repository=acme/hello&image=web":                                    1,
		"ref=refs/heads/main":                                                2,
		"commit=" + h.repo.Hash("refs/heads/main"):                           2,
		"repository=acme/hello&commit=" + h.repo.Hash("refs/heads/main")[:7]: 2,
		"state=queued":                                                       3,
		"state=failed":                                                       0,
		"ref=refs/heads/none":                                                0,
	} {
		if names, _ := ids(query); len(names) != want {
			t.Errorf("%s: %q, want %d", query, names, want)
		}
	}
}

// TestRedisDown: a delivery is refused with 503, and nothing of it is there
// when Redis is back; the forge's second delivery is accepted.
func TestRedisDown(t *testing.T) {
	h := build(t)
	header, body := forgetest.Double{Secret: secret}.Push(forgetest.DoublePush{
		Delivery: "d1", Repository: "acme/hello", Ref: "refs/heads/main", Commit: h.repo.Hash("refs/heads/main")})
	const id = "double:d1:refs/heads/main"
	h.redis.Kill(t)
	began := time.Now()
	deliver(h.api, header, body, 503, nil)
	h.refused("GET", "/readyz", "", 503)
	h.refused("POST", "/api/v1/builds", `{"repository": "acme/hello"}`, 503)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("three refusals took %s; a forge waits ten seconds at most", took)
	}
	h.redis.Restart(t)
	eventually(t, "readiness", func() bool { return h.send("GET", "/readyz", "").StatusCode == 200 })
	h.refused("GET", "/api/v1/events/"+id, "", 404)
	deliver(h.api, header, body, 202, nil)
	deliver(h.api, header, body, 202, nil)
	eventually(t, "the builds", func() bool {
		var a handlers.EventAnswer
		h.ask("GET", "/api/v1/events/"+id, "", 200, &a)
		return len(a.Builds) == 2
	})
	var list handlers.BuildList
	h.ask("GET", "/api/v1/builds", "", 200, &list)
	if len(list.Builds) != 2 {
		t.Errorf("%d builds of one push, want 2", len(list.Builds))
	}
}
