package page_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/page"
)

const (
	mine   = "06db3m8e7g0k5rqa"
	theirs = "06db3m8e7g0k5rqb"
	nobody = "06db3m8e7g0k5rqc"
)

// hostile is what somebody may write wherever people write something.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`

// fake is the record of builds, in memory.
type fake struct {
	records map[string]builder.Record
	runs    []builder.TriggerRun
	next    string
	filter  builder.BuildFilter

	runFilter builder.RunFilter
	err       error
}

func newFake() *fake {
	return &fake{records: map[string]builder.Record{
		mine:   {Build: builder.Build{ID: mine, Repository: builder.Repository{Owner: "acme", Name: "hello"}, Image: "hello", Destination: "acme/hello"}, Progress: builder.Progress{State: builder.Running}},
		theirs: {Build: builder.Build{ID: theirs, Repository: builder.Repository{Owner: "evil", Name: "corp"}, Image: "corp"}, Progress: builder.Progress{State: builder.Running}},
	}}
}

func (f *fake) Build(_ context.Context, id string) (builder.Record, error) {
	if f.err != nil {
		return builder.Record{}, f.err
	}
	if r, ok := f.records[id]; ok {
		return r, nil
	}
	return builder.Record{}, fmt.Errorf("build %s: %w", id, builder.ErrNotFound)
}

func (f *fake) Builds(_ context.Context, filter builder.BuildFilter) ([]builder.Record, string, error) {
	f.filter = filter
	var all []builder.Record
	for _, r := range f.records {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b builder.Record) int { return strings.Compare(b.ID, a.ID) })
	return all, f.next, f.err
}

func (f *fake) TriggerRuns(context.Context, string) ([]builder.TriggerRun, error) {
	return f.runs, f.err
}

func (f *fake) Runs(_ context.Context, filter builder.RunFilter) ([]builder.TriggerRun, string, error) {
	f.runFilter = filter
	return f.runs, f.next, f.err
}

var _ page.Builds = (*fake)(nil)

func pages(f *fake, log io.Writer) http.Handler {
	p := &page.Pages{
		Builds:   f,
		Registry: func() string { return "127.0.0.1:5080" },
		Log:      slog.New(slog.NewTextHandler(log, nil)),
		HasLink: func(r *http.Request) bool {
			return r.PathValue("id") != "" && r.URL.Query().Get("key") == "for-"+r.PathValue("id")
		},
		MaySee: func(r *http.Request) func(string) bool {
			switch _, password, _ := r.BasicAuth(); password {
			case "ada":
				return func(repository string) bool { return repository == "" || strings.Contains(repository, ":acme/") }
			case "puller":
				return func(string) bool { return false }
			}
			return nil
		},
	}
	return p.Routes()
}

func get(t *testing.T, h http.Handler, path, password string, want int) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	if password != "" {
		r.SetBasicAuth("any", password)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("GET %s: %d, want %d: %s", path, w.Code, want, w.Body)
	}
	return w
}

// has looks for texts as a reader sees them, without tags.
func has(t *testing.T, w *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	var seen strings.Builder
	z := html.NewTokenizer(bytes.NewReader(w.Body.Bytes()))
	for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
		if kind == html.TextToken {
			seen.WriteString(z.Token().Data)
		}
	}
	for _, text := range texts {
		if !strings.Contains(seen.String(), text) {
			t.Errorf("%q is not on the page:\n%s", text, seen.String())
		}
	}
}

func TestAccess(t *testing.T) {
	h := pages(newFake(), t.Output())
	for _, path := range []string{"/", "/builds/" + mine, "/triggers"} {
		for _, password := range []string{"", "wrong"} {
			w := get(t, h, path, password, 401)
			if got := w.Header().Get("WWW-Authenticate"); got != `Basic realm="registry-build", charset="UTF-8"` {
				t.Errorf("challenge %q", got)
			}
			has(t, w, "A token is needed")
		}
		has(t, get(t, h, path, "puller", 403), "no scope api")
	}
	// What she may not see is like what is not there.
	unseen, missing := get(t, h, "/builds/"+theirs, "ada", 404), get(t, h, "/builds/"+nobody, "ada", 404)
	if unseen.Body.String() != missing.Body.String() {
		t.Errorf("unseen:\n%s\nmissing:\n%s", unseen.Body, missing.Body)
	}
	get(t, h, "/builds/x", "ada", 404)
	get(t, h, "/?before=x", "ada", 404)
	get(t, h, "/nothing", "", 404)
	if w := get(t, h, "/", "ada", 200); strings.Contains(w.Body.String(), "corp") {
		t.Error("the list shows somebody else's build")
	}
}

// A link to one build shows that build and its log, and nothing else.
func TestLink(t *testing.T) {
	h := pages(newFake(), t.Output())
	page := get(t, h, "/builds/"+mine+"?key=for-"+mine, "", 200).Body.String()
	if log := `"/api/v1/builds/` + mine + `/log?key=for-` + mine + `"`; strings.Count(page, log) != 2 {
		t.Errorf("the page does not pass its key on to the log (%s):\n%s", log, page)
	}
	get(t, h, "/builds/"+mine+"?key=for-"+theirs, "", 401)
	get(t, h, "/builds/"+theirs+"?key=for-"+mine, "", 401)
	get(t, h, "/?key=for-"+mine, "", 401)
}

func TestHeaders(t *testing.T) {
	h := pages(newFake(), t.Output())
	for path, want := range map[string]int{"/": 200, "/builds/" + mine: 200, "/builds/" + nobody: 404, "/nothing": 404} {
		w := get(t, h, path, "ada", want)
		csp := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: policy %q has no %q", path, csp, part)
			}
		}
		if strings.Contains(csp, "unsafe") || w.Header().Get("Cache-Control") != "no-store" ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
	}
}

// TestHostileText: whatever people write, the page has our one script, and no
// element or attribute of theirs.
func TestHostileText(t *testing.T) {
	f := newFake()
	f.next = nobody
	f.runs = []builder.TriggerRun{{BuildID: mine, Repository: f.records[mine].Repository, Image: hostile, Trigger: hostile, Condition: hostile, Action: hostile,
		State: hostile, Error: hostile, Answer: hostile, AskedBy: hostile, URL: "javascript:alert(4)"}}
	f.records[mine] = builder.Record{
		Build: builder.Build{
			ID: mine, Repository: builder.Repository{Owner: "acme", Name: hostile}, Image: hostile, Ref: "refs/heads/" + hostile, Commit: hostile,
			Actor: hostile, Rule: hostile, Destination: hostile, Tags: []string{hostile}, Warnings: []string{hostile},
		},
		Progress: builder.Progress{State: builder.Failed, Attempt: 2},
		Result: builder.Result{
			Digest: hostile, From: hostile, Reason: hostile, Tagged: []builder.TagOutcome{{Tag: hostile, HeldBy: hostile}},
			Notes:   []builder.Note{{File: hostile, Line: 1, Message: hostile, URL: "javascript:alert(3)"}},
			Failure: &builder.Failure{Message: hostile, File: hostile, Excerpt: hostile, Output: hostile},
		},
	}
	h := pages(f, t.Output())
	for _, path := range []string{"/", "/builds/" + mine, "/triggers"} {
		w := get(t, h, path, "ada", 200)
		scripts := 0
		z := html.NewTokenizer(bytes.NewReader(w.Body.Bytes()))
		for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
			if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
				continue
			}
			token := z.Token()
			if token.Data == "script" {
				scripts++
			}
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(a.Val, "javascript:") || token.Data == "img" && a.Key == "src" && a.Val != "/assets/icon.svg" {
					t.Errorf("%s: <%s %s=%q>", path, token.Data, a.Key, a.Val)
				}
			}
		}
		if scripts != 1 {
			t.Errorf("%s: %d scripts, want 1", path, scripts)
		}
		has(t, w, `<script>alert(1)</script>`)
	}
}

func TestBuildPage(t *testing.T) {
	f := newFake()
	r := f.records[mine]
	r.Ref, r.Commit, r.Actor, r.Rule, r.Image = "refs/heads/main", strings.Repeat("1", 40), "ann", "branch: main", "api"
	r.AcceptedAt = time.Now().Add(-90 * time.Minute)
	r.StartedAt, r.FinishedAt = r.AcceptedAt, r.AcceptedAt.Add(2500*time.Millisecond)
	r.State, r.Digest, r.From = builder.Promoted, "sha256:abc", theirs
	r.Tagged = []builder.TagOutcome{{Tag: "v1", Moved: true}, {Tag: "latest", HeldBy: strings.Repeat("2", 40)}}
	r.Notes = []builder.Note{{File: "Dockerfile", Line: 3, Message: "use lower case", URL: "https://docs.docker.com/x"}}
	f.records[mine] = r
	f.runs = []builder.TriggerRun{{Trigger: "audit", Condition: "tags: all", Action: "webhook https://audit.example.com", State: "failed", Error: "answered 503", Attempts: 8, StartedAt: r.AcceptedAt, Took: 120 * time.Millisecond}}
	w := get(t, pages(f, t.Output()), "/builds/"+strings.ToUpper(mine), "ada", 200)
	has(t, w, "promoted", "acme/hello: api", "branch: main", "ann", "1 h ago", "took 2.5 s", "127.0.0.1:5080/acme/hello@sha256:abc",
		"v1", "latest left on 2222222, which is newer", theirs, "Dockerfile:3", "use lower case",
		"audit", "webhook https://audit.example.com", "answered 503", "120 ms")
	if body := w.Body.String(); strings.Contains(body, "data-live") || !strings.Contains(body, "data-ended") {
		t.Error("a page of a build that ended long ago is kept fresh")
	}

	r.State, r.Failure = builder.Failed, &builder.Failure{Message: "RUN fale: exit code 127", File: "Dockerfile", Line: 2, Excerpt: ">>> 2 | RUN fale", Output: "sh: fale: not found"}
	f.records[mine] = r
	has(t, get(t, pages(f, t.Output()), "/builds/"+mine, "ada", 200), "RUN fale: exit code 127", "Dockerfile:2", ">>> 2 | RUN fale", "sh: fale: not found")
}

// TestLive: a page is kept fresh while something will change.
func TestLive(t *testing.T) {
	due := []config.Trigger{{Name: "audit"}}
	for _, tt := range []struct {
		name     string
		state    builder.State
		ended    time.Duration // ago
		triggers []config.Trigger
		run      string
		want     bool
	}{
		{"queued", builder.Queued, 0, nil, "", true},
		{"running", builder.Running, 0, nil, "", true},
		{"ended", builder.Succeeded, time.Second, nil, "", false},
		{"its triggers are due", builder.Succeeded, time.Second, due, "", true},
		{"its triggers were due", builder.Succeeded, time.Hour, due, "", false},
		{"a trigger waits", builder.Failed, time.Hour, due, "waiting", true},
		{"a trigger is done", builder.Failed, time.Hour, due, "succeeded", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			r := f.records[mine]
			r.State, r.FinishedAt, r.Triggers = tt.state, time.Now().Add(-tt.ended), tt.triggers
			f.records[mine] = r
			if tt.run != "" {
				f.runs = []builder.TriggerRun{{State: builder.RunState(tt.run)}}
			}
			body := get(t, pages(f, t.Output()), "/builds/"+mine, "ada", 200).Body.String()
			if got := strings.Contains(body, "data-live"); got != tt.want {
				t.Errorf("live %t, want %t", got, tt.want)
			}
		})
	}
}

func TestListPage(t *testing.T) {
	f := newFake()
	f.next = nobody
	w := get(t, pages(f, t.Output()), "/?before="+nobody, "ada", 200)
	if f.filter.Before != nobody {
		t.Errorf("filter %+v", f.filter)
	}
	if body := w.Body.String(); !strings.Contains(body, `href="/?before=`+nobody) || strings.Contains(body, "data-live") {
		t.Error("an older page has no link to the next, or is kept fresh")
	}
	delete(f.records, mine)
	w = get(t, pages(f, t.Output()), "/", "ada", 200)
	has(t, w, "None of these are yours", "Older")
	f.records, f.next = nil, ""
	has(t, get(t, pages(f, t.Output()), "/", "ada", 200), "No builds yet")
}

func TestErrors(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	h := pages(f, &log)
	f.err = fmt.Errorf("dial: %w", builder.ErrUnavailable)
	for _, path := range []string{"/", "/builds/" + mine, "/triggers"} {
		if w := get(t, h, path, "ada", 503); w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "dial") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	f.err = errors.New("WRONGTYPE detail")
	w := get(t, h, "/", "ada", 500)
	if strings.Contains(w.Body.String(), "detail") || !strings.Contains(log.String(), "WRONGTYPE detail") {
		t.Errorf("page: %s\nlog: %s", w.Body, &log)
	}
}

func TestAssets(t *testing.T) {
	h := pages(newFake(), t.Output())
	for path, want := range map[string]string{
		"/assets/page.css": "text/css", "/assets/page.js": "text/javascript", "/assets/icon.svg": "image/svg+xml",
	} {
		w := get(t, h, path, "", 200)
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", path, got)
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		again := httptest.NewRecorder()
		h.ServeHTTP(again, r)
		if again.Code != 304 {
			t.Errorf("%s again: %d, want 304", path, again.Code)
		}
	}
	for _, path := range []string{"/assets/", "/assets/page.html", "/assets/../page.go", "/page.html"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 200 {
			t.Errorf("%s is served", path)
		}
	}
}

// A link is read by everybody who can read the code; what a trigger was
// answered is for people with a token.
func TestLinkKeepsAnswersOfTriggers(t *testing.T) {
	f := newFake()
	f.runs = []builder.TriggerRun{{Trigger: "audit", State: "failed", Error: "answered 503", Answer: "internal details"}}
	h := pages(f, t.Output())
	address := "/builds/" + mine + "?key=for-" + mine
	for password, told := range map[string]bool{"": false, "puller": false, "ada": true} {
		body := get(t, h, address, password, 200).Body.String()
		for _, text := range []string{"answered 503", "internal details"} {
			if strings.Contains(body, text) != told {
				t.Errorf("with the link and token %q: %q is told: %t", password, text, !told)
			}
		}
		if !strings.Contains(body, "audit") {
			t.Errorf("the trigger is not shown: %s", body)
		}
	}
}
