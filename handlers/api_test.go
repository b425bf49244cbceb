package handlers_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers"
)

// TestReference: README.md names every route, and no other.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`((?:GET|POST|DELETE|PUT|PATCH) /[^`?]*)[^`]*`").FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
	}
	served := map[string]bool{}
	for _, pattern := range handlers.Patterns() {
		served[pattern] = true
	}
	if diff := cmp.Diff(served, named); diff != "" {
		t.Errorf("routes and README.md (-routes +README):\n%s", diff)
	}
}

// TestUnseen: what somebody may not see answers like what is not there.
func TestUnseen(t *testing.T) {
	f := newFake()
	f.events["git:theirs"] = builder.Event{ID: "git:theirs", Repository: other}
	a := start(t, f.server(t.Output()).Routes())
	for _, tt := range []struct{ method, theirs, missing, body string }{
		{"GET", "/api/v1/builds/" + otherBuild, "/api/v1/builds/" + noBuild, ""},
		{"DELETE", "/api/v1/builds/" + otherBuild, "/api/v1/builds/" + noBuild, ""},
		{"POST", "/api/v1/builds/" + otherBuild + "/cancel", "/api/v1/builds/" + noBuild + "/cancel", ""},
		{"GET", "/api/v1/builds/" + otherBuild + "/log", "/api/v1/builds/" + noBuild + "/log", ""},
		{"GET", "/api/v1/builds/" + otherBuild + "/triggers", "/api/v1/builds/" + noBuild + "/triggers", ""},
		{"GET", "/api/v1/events/git:theirs", "/api/v1/events/git:nobody", ""},
		{"GET", "/api/v1/statuses/evil/corp/" + one, "/api/v1/statuses/evil/none/" + one, ""},
		{"GET", "/api/v1/builds?repository=evil/corp", "/api/v1/builds?repository=evil/none", ""},
		{"POST", "/api/v1/builds", "/api/v1/builds", `{"repository": "evil/NAME"}`},
	} {
		t.Run(tt.method+" "+tt.theirs, func(t *testing.T) {
			theirs := a.refused(tt.method, tt.theirs, strings.Replace(tt.body, "NAME", "corp", 1), 404)
			missing := a.refused(tt.method, tt.missing, strings.Replace(tt.body, "NAME", "none", 1), 404)
			same := strings.NewReplacer(otherBuild, "X", noBuild, "X", "git:theirs", "X", "git:nobody", "X", "corp", "X", "none", "X")
			if same.Replace(theirs) != same.Replace(missing) {
				t.Errorf("theirs: %q\nmissing: %q", theirs, missing)
			}
		})
	}
	var list handlers.BuildList
	a.ask("GET", "/api/v1/builds", "", 200, &list)
	if len(list.Builds) != 1 || list.Builds[0].ID != helloBuild {
		t.Errorf("the list shows %+v", list.Builds)
	}
	if len(f.appended()) != 0 || len(f.canceled) != 0 || len(f.builds) != 2 {
		t.Error("something was changed")
	}
}

func TestTokens(t *testing.T) {
	a := start(t, newFake().server(t.Output()).Routes())
	for _, pattern := range handlers.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		path = strings.NewReplacer("{id}", helloBuild, "{id...}", "e", "{owner}", "acme", "{name}", "hello", "{commit}", one).Replace(path)
		h := a.as("").ask(method, path, "", 401, nil)
		if got := h.Values("WWW-Authenticate"); len(got) != 2 || !strings.HasPrefix(got[0], "Basic ") {
			t.Errorf("%s: challenges %q", pattern, got)
		}
		a.as("wrong").refused(method, path, "", 401)
		a.as("puller").refused(method, path, "", 403)
	}
}

// TestRefusals: each wrong request gets one sentence.
func TestRefusals(t *testing.T) {
	f := newFake()
	a := start(t, f.server(t.Output()).Routes())
	long := `{"dockerfile": "` + strings.Repeat("x", 1<<20) + `"}`
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		want                     string // in the sentence
	}{
		{"unknown path", "GET", "/api/v1/nothing", "", 404, "there is no GET /api/v1/nothing"},
		{"no such forge", "POST", "/hooks/none", "", 404, `no forge "none"`},
		{"below a forge", "POST", "/hooks/double/x", "", 404, "there is no POST"},
		{"method", "PUT", "/api/v1/builds", "", 405, "it takes GET, HEAD, POST"},
		{"method of a build", "POST", "/api/v1/builds/" + helloBuild, "", 405, "it takes DELETE, GET, HEAD"},
		{"method of a hook", "GET", "/hooks/double", "", 405, "it takes POST"},
		{"method of health", "POST", "/healthz", "", 405, "it takes GET, HEAD"},
		{"no build ID", "GET", "/api/v1/builds/1", "", 404, `"1" is no build id`},
		{"limit", "GET", "/api/v1/builds?limit=0", "", 400, `limit is "0"; it must be a number from 1 to 200`},
		{"state", "GET", "/api/v1/builds?state=done", "", 400, `state is "done"; it must be one of queued, running`},
		{"before", "GET", "/api/v1/builds?before=x", "", 400, `before: "x" is no build id`},
		{"ref", "GET", "/api/v1/builds?ref=main", "", 400, "write it whole, such as refs/heads/main"},
		{"commit alone", "GET", "/api/v1/builds?commit=1111111", "", 400, "name its repository too"},
		{"commit that is not there", "GET", "/api/v1/builds?repository=acme/hello&commit=7777777", "", 404, "acme/hello has no commit 7777777"},
		{"parameter", "GET", "/api/v1/builds?limt=1", "", 400, `no parameter "limt"`},
		{"status of nothing", "GET", "/api/v1/statuses/acme/hello/7777777", "", 404, "acme/hello has no commit 7777777"},
		{"cancel what has ended", "POST", "/api/v1/builds/" + noBuild + "/cancel", "", 404, "there is no build"},
		{"delete what runs", "DELETE", "/api/v1/builds/" + helloBuild, "", 409, "cancel it first"},

		{"empty body", "POST", "/api/v1/builds", "", 400, "the body is empty"},
		{"no JSON", "POST", "/api/v1/builds", "repository=x", 400, "the body is no JSON"},
		{"half of it", "POST", "/api/v1/builds", `{"repository": `, 400, "ends before it is complete"},
		{"a list", "POST", "/api/v1/builds", `[]`, 400, "a JSON array; it must be an object"},
		{"two", "POST", "/api/v1/builds", `{}{}`, 400, "goes on after"},
		{"unknown key", "POST", "/api/v1/builds", `{"repo": "acme/hello"}`, 400, `unknown field "repo"`},
		{"tags no list", "POST", "/api/v1/builds", `{"tags": "x"}`, 400, `"tags" is a JSON string; it must be a list of strings`},
		{"noCache no bool", "POST", "/api/v1/builds", `{"noCache": "yes"}`, 400, `must be true or false`},
		{"too large", "POST", "/api/v1/builds", long, 413, "larger than 1 MiB"},
		{"nothing asked", "POST", "/api/v1/builds", `{}`, 400, `"repository" (owner/name) or "dockerfile"`},

		{"branch and commit", "POST", "/api/v1/builds", `{"repository": "acme/hello", "branch": "main", "commit": "` + one + `"}`, 400, "give one of"},
		{"tag and commit", "POST", "/api/v1/builds", `{"repository": "acme/hello", "tag": "v1", "commit": "` + one + `"}`, 400, "give one of"},
		{"branch and tag", "POST", "/api/v1/builds", `{"repository": "acme/hello", "branch": "main", "tag": "v1"}`, 400, "give one of"},
		{"whole ref", "POST", "/api/v1/builds", `{"repository": "acme/hello", "branch": "refs/heads/main"}`, 400, "write the branch or tag without"},
		{"commit too short", "POST", "/api/v1/builds", `{"repository": "acme/hello", "commit": "111"}`, 400, "7 to 64 hexadecimal digits"},
		{"commit that is an expression", "POST", "/api/v1/builds", `{"repository": "acme/hello", "commit": "HEAD~1"}`, 400, "7 to 64 hexadecimal digits"},
		{"ambiguous commit", "POST", "/api/v1/builds", `{"repository": "acme/hello", "commit": "1234567"}`, 422, "the beginning of 2 commits"},
		{"no such branch", "POST", "/api/v1/builds", `{"repository": "acme/hello", "branch": "no"}`, 404, "acme/hello has no branch no"},
		{"no such tag", "POST", "/api/v1/builds", `{"repository": "acme/hello", "tag": "no"}`, 404, "acme/hello has no tag no"},
		{"no such commit", "POST", "/api/v1/builds", `{"repository": "acme/hello", "commit": "7777777"}`, 404, "acme/hello has no commit 7777777"},
		{"no default branch", "POST", "/api/v1/builds", `{"repository": "acme/empty"}`, 422, "no default branch"},
		{"tags of a repository", "POST", "/api/v1/builds", `{"repository": "acme/hello", "tags": ["x"]}`, 400, "go with an uploaded"},
		{"destination of a repository", "POST", "/api/v1/builds", `{"repository": "acme/hello", "destination": "acme/x"}`, 400, "go with an uploaded"},

		{"upload and repository", "POST", "/api/v1/builds", `{"dockerfile": "FROM scratch", "repository": "acme/hello"}`, 400, "has no repository"},
		{"upload to nowhere", "POST", "/api/v1/builds", `{"dockerfile": "FROM scratch", "tags": ["x"]}`, 400, `needs "destination"`},
		{"upload without tags", "POST", "/api/v1/builds", `{"dockerfile": "FROM scratch", "destination": "acme/up", "tags": []}`, 400, "at least one of"},
		{"upload with a bad tag", "POST", "/api/v1/builds", upload("acme/up", "a b"), 400, `"a b" is no tag`},
		{"upload with many tags", "POST", "/api/v1/builds", upload("acme/up", strings.Split(strings.Repeat("x ", 101), " ")[:101]...), 400, "it may have 100"},
		{"upload to somebody else", "POST", "/api/v1/builds", upload("evil/up", "x"), 403, "token ada may not push to evil/up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := a.refused(tt.method, tt.path, tt.body, tt.status); !strings.Contains(got, tt.want) {
				t.Errorf("%q has no %q", got, tt.want)
			}
		})
	}
	a.as("watcher").refused("POST", "/api/v1/builds", upload("acme/up", "x"), 403)
	if n := len(f.appended()); n != 0 {
		t.Errorf("%d events were appended", n)
	}
}

func upload(destination string, tags ...string) string {
	return fmt.Sprintf(`{"dockerfile": "FROM scratch", "destination": %q, "tags": ["%s"]}`, destination, strings.Join(tags, `","`))
}

// TestUploadHosts: a destination is a name in our registry, whatever it looks
// like, also for a token that may push everywhere.
func TestUploadHosts(t *testing.T) {
	f := newFake()
	s := f.server(t.Output())
	s.Access = anybody{}
	a := start(t, s.Routes())
	for _, name := range []string{
		"example.com/x", "localhost/x", "127.0.0.1:5000/x", "host:80/x", "[::1]/x", "x", "/x", "x/", "a//b",
		"../x", "a/../b", "a/b:tag", "a/b@sha256:" + strings.Repeat("0", 64), "A/b", "a/b\n", "a/" + strings.Repeat("b", 300),
		"docker.io/library/x", "http://a/b", "a/b c", "a/*",
	} {
		t.Run(name, func(t *testing.T) { a.refused("POST", "/api/v1/builds", upload(name, "x"), 400) })
	}
	if n := len(f.appended()); n != 0 {
		t.Errorf("%d events were appended", n)
	}
}

type anybody struct{}

func (anybody) Caller(*http.Request) handlers.Caller { return caller{"root", ""} }

// TestStoreDown: 503 with Retry-After, on every route that needs it.
func TestStoreDown(t *testing.T) {
	f := newFake()
	f.down = fmt.Errorf("dial: %w", builder.ErrUnavailable)
	var log bytes.Buffer
	a := start(t, f.server(&log).Routes())
	for _, tt := range []struct{ method, path, body string }{
		{"GET", "/readyz", ""},
		{"GET", "/api/v1/builds", ""},
		{"GET", "/api/v1/builds/" + helloBuild, ""},
		{"GET", "/api/v1/builds/" + helloBuild + "/log", ""},
		{"POST", "/api/v1/builds", `{"repository": "acme/hello"}`},
		{"GET", "/api/v1/statuses/acme/hello/" + one, ""},
	} {
		var e handlers.Error
		h := a.ask(tt.method, tt.path, tt.body, 503, &e)
		if h.Get("Retry-After") != "5" || strings.Contains(e.Error, "dial") {
			t.Errorf("%s: Retry-After %q, %q", tt.path, h.Get("Retry-After"), e.Error)
		}
	}
	a.as("").ask("GET", "/healthz", "", 200, nil)
	if !strings.Contains(log.String(), "dial") {
		t.Error("the cause is not in the log")
	}
}

// TestOurFault: the cause stays with the operator, and one request that
// panics ends no other.
func TestOurFault(t *testing.T) {
	f := newFake()
	f.down = errors.New("WRONGTYPE secret detail")
	var log bytes.Buffer
	a := start(t, f.server(&log).Routes())
	if got := a.refused("GET", "/api/v1/builds", "", 500); strings.Contains(got, "secret detail") {
		t.Errorf("the cause was told: %q", got)
	}
	if !strings.Contains(log.String(), "secret detail") {
		t.Error("the cause is not in the log")
	}
	s := f.server(&log)
	s.Outcomes = nil
	a = start(t, s.Routes())
	f.down = nil
	a.refused("GET", "/api/v1/builds/"+helloBuild+"/triggers", "", 500)
	a.ask("GET", "/api/v1/builds", "", 200, nil)
	if !strings.Contains(log.String(), "panic") {
		t.Error("the panic is not in the log")
	}
}

// TestOtherSites: a browser sends the pages' password along with what other
// sites make it ask for.
func TestOtherSites(t *testing.T) {
	f := newFake()
	a := start(t, f.server(t.Output()).Routes())
	cancel := "/api/v1/builds/" + helloBuild + "/cancel"
	a.refused("POST", cancel, "", 403, "Sec-Fetch-Site", "cross-site")
	a.refused("POST", cancel, "", 403, "Origin", "https://evil.example")
	a.refused("DELETE", "/api/v1/builds/"+helloBuild, "", 403, "Sec-Fetch-Site", "same-site")
	if len(f.canceled) != 0 {
		t.Fatal("cancelled for another site")
	}
	a.ask("POST", cancel, "", 202, nil, "Sec-Fetch-Site", "same-origin")
	if diff := cmp.Diff([]string{helloBuild + " by ada"}, f.canceled); diff != "" {
		t.Error(diff)
	}
}

func TestHead(t *testing.T) {
	f := newFake()
	a := start(t, f.server(t.Output()).Routes())
	a.ask("HEAD", "/healthz", "", 200, nil)
	a.ask("HEAD", "/api/v1/builds/"+helloBuild, "", 200, nil)
}

func TestFilters(t *testing.T) {
	f := newFake()
	f.next = noBuild
	a := start(t, f.server(t.Output()).Routes())
	for query, want := range map[string]builder.BuildFilter{
		"":                             {Limit: 50},
		"limit=200&state=failed":       {Limit: 200, State: builder.Failed},
		"repository=acme/hello.git":    {Limit: 50, Repository: "git:acme/hello"},
		"ref=refs/heads/main&image=up": {Limit: 50, Ref: "refs/heads/main", Image: "up"},
		"commit=" + one:                {Limit: 50, Commit: one},
		"repository=acme/hello&commit=" + one[:7]: {Limit: 50, Repository: "git:acme/hello", Commit: one},
		"before=" + strings.ToUpper(noBuild):      {Limit: 50, Before: noBuild},
	} {
		var list handlers.BuildList
		a.ask("GET", "/api/v1/builds?"+query, "", 200, &list)
		if diff := cmp.Diff(want, f.filter); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
		if list.Next != noBuild {
			t.Errorf("%s: next %q", query, list.Next)
		}
	}
	if diff := cmp.Diff(handlers.States(), allStates()); diff != "" {
		t.Errorf("states (-handlers +test):\n%s", diff)
	}
}

func allStates() []builder.State {
	return []builder.State{"queued", "running", "pushing", "succeeded", "promoted", "failed", "cancelled", "superseded", "skipped", "pushed"}
}

// TestBuildJSON: what the API promises.
func TestBuildJSON(t *testing.T) {
	began := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	f := newFake()
	r := f.builds[helloBuild]
	r.EventID, r.EventKind, r.Ref, r.Commit, r.Actor, r.Rule = "git:1", builder.BranchPushed, "refs/heads/main", one, "ann", "branch: main"
	r.Priority = builder.PriorityBranch
	r.AcceptedAt, r.StartedAt, r.FinishedAt = began, began.Add(time.Second), began.Add(3500*time.Millisecond)
	r.State, r.Digest = builder.Succeeded, "sha256:abc"
	r.Tagged = []builder.TagOutcome{{Tag: "v1", Moved: true}, {Tag: "latest", HeldBy: two}}
	r.Spec.Args = map[string]string{"PASSWORD": "hidden"}
	f.builds[helloBuild] = r
	a := start(t, f.server(t.Output()).Routes())
	text, err := io.ReadAll(a.send("GET", "/api/v1/builds/"+strings.ToUpper(helloBuild), "").Body)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"06db3m8e7g0k5rqa","state":"succeeded","status":"pushed v1 in 2.5 s; latest left on 222222","source":"push",` +
		`"repository":"acme/hello","forge":"git","image":"hello","ref":"refs/heads/main","commit":"` + one + `","actor":"ann","event":"git:1","rule":"branch: main",` +
		`"destination":"127.0.0.1:5080/acme/hello","tags":[{"name":"v1","put":true},{"name":"latest","put":false,"heldBy":"` + two + `"}],` +
		`"digest":"sha256:abc","reference":"127.0.0.1:5080/acme/hello@sha256:abc","attempt":1,"acceptedAt":"2026-11-21T10:00:00Z",` +
		`"startedAt":"2026-11-21T10:00:01Z","finishedAt":"2026-11-21T10:00:03.5Z","durationSeconds":2.5,"url":"http://127.0.0.1:5080/builds/06db3m8e7g0k5rqa"}` + "\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("build (-want +got):\n%s", diff)
	}
}

func TestTagsOfFailure(t *testing.T) {
	b := handlers.BuildOf(builder.Record{
		Progress: builder.Progress{State: builder.Failed},
		Result: builder.Result{
			Tagged:  []builder.TagOutcome{{Tag: "v1", Moved: true}},
			Failure: &builder.Failure{Stage: builder.StageTag, Message: "told", Err: errors.New("not told")},
		},
	}, "r", "u")
	if b.Tags[0].Put {
		t.Error("a tag of a build that failed counts as put")
	}
	if b.Failure.Message != "told" || b.Failure.Stage != "tag" {
		t.Errorf("failure %+v", b.Failure)
	}
}
