package handlers_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers"
)

// oneBuild decides every event as one build, which is queued.
func (f *fake) oneBuild(e builder.Event) builder.Decision {
	b := builder.Build{ID: noBuild, EventID: e.ID, EventKind: e.Kind, Repository: e.Repository, Image: "x", Ref: e.Ref, Commit: e.Commit}
	f.builds[noBuild] = builder.Record{Build: b, Progress: builder.Progress{State: builder.Queued, Place: 1}}
	return builder.Decision{Builds: []builder.Build{b}}
}

// TestRequest: what each way of asking appends. The commit is always the
// repository's word, never the caller's beside a ref.
func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       builder.Event
	}{
		{"default branch", `{"repository": "acme/hello"}`,
			builder.Event{Repository: hello, Ref: "refs/heads/main", Commit: one, Request: &builder.Request{}}},
		{"branch", `{"repository": "acme/hello.git", "branch": "dev", "noCache": true}`,
			builder.Event{Repository: hello, Ref: "refs/heads/dev", Commit: two, Request: &builder.Request{NoCache: true}}},
		{"tag", `{"repository": "acme/hello", "tag": "v1", "image": "api"}`,
			builder.Event{Repository: hello, Ref: "refs/tags/v1", Commit: two, Request: &builder.Request{Image: "api"}}},
		{"commit", `{"repository": "acme/hello", "commit": "1111111"}`,
			builder.Event{Repository: hello, Commit: one, Request: &builder.Request{}}},
		{"upload", upload("acme/tools/up", "v1", "latest"),
			builder.Event{
				Repository: builder.Repository{Forge: "upload", ID: "acme/tools/up", Owner: "acme", Name: "tools/up"},
				Request:    &builder.Request{Dockerfile: "FROM scratch", Repository: "acme/tools/up", Tags: []string{"v1", "latest"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.decide = f.oneBuild
			a := start(t, f.server(t.Output()).Routes())
			var answer handlers.EventAnswer
			a.ask("POST", "/api/v1/builds", tt.body, 202, &answer)
			tt.want.Kind, tt.want.Actor, tt.want.ID = builder.Requested, "ada", answer.Event
			if diff := cmp.Diff([]builder.Event{tt.want}, f.appended()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if len(answer.Builds) != 1 || answer.Builds[0].ID != noBuild || answer.Builds[0].State != "queued" || answer.Pending {
				t.Errorf("answer %+v", answer)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	f := newFake()
	f.decide = f.oneBuild
	a := start(t, f.server(t.Output()).Routes())
	post := func(a *api, body, key string) string {
		t.Helper()
		var answer handlers.EventAnswer
		a.ask("POST", "/api/v1/builds", body, 202, &answer, "Idempotency-Key", key)
		return answer.Event
	}
	main, up := `{"repository": "acme/hello"}`, upload("acme/up", "x")
	first := post(a, main, "k:1")
	if again := post(a, `{"repository": "acme/hello", "branch": "main"}`, "k:1"); again != first {
		t.Errorf("the same request again is event %s, not %s", again, first)
	}
	post(a, up, "k:2")
	post(a, up, "k:2")
	if n := len(f.appended()); n != 2 {
		t.Fatalf("%d events, want 2", n)
	}
	for _, body := range []string{up, `{"repository": "acme/hello", "tag": "v1"}`, `{"repository": "acme/hello", "noCache": true}`} {
		if got := a.refused("POST", "/api/v1/builds", body, 422, "Idempotency-Key", "k:1"); !strings.Contains(got, "another request") {
			t.Errorf("%q", got)
		}
	}
	a.refused("POST", "/api/v1/builds", main, 400, "Idempotency-Key", strings.Repeat("k", 256))
	if fresh := post(a, main, ""); fresh == post(a, main, "") {
		t.Error("two requests without a key are one event")
	}

	s := f.server(t.Output())
	s.Access = anybody{}
	if somebody := post(start(t, s.Routes()), main, "k:1"); somebody == first {
		t.Error("two people share a key")
	}
}

// TestNothingBuilt: 422 says why, for each kind of why.
func TestNothingBuilt(t *testing.T) {
	for _, tt := range []struct {
		name     string
		decision builder.Decision
		want     handlers.EventAnswer
	}{
		{"no build file", builder.Decision{Hint: "commit one"}, handlers.EventAnswer{Hint: "commit one"}},
		{"build file is wrong", builder.Decision{Invalid: []config.Diagnostic{{File: ".registry-build.yml", Line: 3, Col: 5, Message: `unknown key "imge"`}}},
			handlers.EventAnswer{Errors: []string{`.registry-build.yml:3:5: unknown key "imge"`}}},
		{"no rule", builder.Decision{Reasons: []builder.Reason{{Image: "api", Message: "no"}}},
			handlers.EventAnswer{Reasons: []handlers.Reason{{Image: "api", Message: "no"}}}},
		{"commit is gone", builder.Decision{Failure: &builder.Failure{Message: "gone", Err: errors.New("not told")}},
			handlers.EventAnswer{Errors: []string{"gone"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.decide = func(builder.Event) builder.Decision { return tt.decision }
			a := start(t, f.server(t.Output()).Routes())
			var posted, got handlers.EventAnswer
			a.ask("POST", "/api/v1/builds", `{"repository": "acme/hello"}`, 422, &posted)
			tt.want.Event, tt.want.Builds = posted.Event, []handlers.Build{}
			if diff := cmp.Diff(tt.want, posted); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			a.ask("GET", "/api/v1/events/"+posted.Event, "", 200, &got)
			if diff := cmp.Diff(posted, got); diff != "" {
				t.Errorf("the event again (-first +later):\n%s", diff)
			}
		})
	}
}

// TestSlowDecision: who asked is not kept waiting for ever, and is never told
// to ask again for what is accepted.
func TestSlowDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		h := f.server(io.Discard).Routes()
		ask := func(method, path, body string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer ada")
			h.ServeHTTP(w, r)
			return w
		}
		began := time.Now()
		w := ask("POST", "/api/v1/builds", `{"repository": "acme/hello"}`)
		if took := time.Since(began); took != 10*time.Second || w.Code != 202 || !strings.Contains(w.Body.String(), `"pending":true`) {
			t.Errorf("%d after %s: %s", w.Code, took, w.Body)
		}
		id := f.appended()[0].ID
		if w := ask("GET", "/api/v1/events/"+id, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"pending":true`) {
			t.Errorf("event %d: %s", w.Code, w.Body)
		}
	})
}

func TestStoreLostAfterAppend(t *testing.T) {
	f := newFake()
	f.decide = func(e builder.Event) builder.Decision {
		f.down = builder.ErrUnavailable // for what comes after
		return f.oneBuild(e)
	}
	a := start(t, f.server(t.Output()).Routes())
	var answer handlers.EventAnswer
	a.ask("POST", "/api/v1/builds", `{"repository": "acme/hello"}`, 202, &answer)
	if !answer.Pending || answer.Event == "" {
		t.Errorf("answer %+v", answer)
	}
}

// TestCancelled: of two who cancel, the second hears how it stands now.
func TestCancelled(t *testing.T) {
	f := newFake()
	s := f.server(t.Output())
	s.Builds = overtaken{f}
	a := start(t, s.Routes())
	if got := a.refused("POST", "/api/v1/builds/"+helloBuild+"/cancel", "", 409); got != "build "+helloBuild+" is succeeded already" {
		t.Errorf("%q", got)
	}
}

// overtaken ends a build between looking at it and cancelling it.
type overtaken struct{ *fake }

func (overtaken) Cancel(context.Context, string, string) (builder.State, error) {
	return builder.Succeeded, builder.ErrState
}
