package githubtest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestLimits are requests that GitHub refuses, at the limit and one over it.
// What the description also says is a violation too.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	inst, head := w.asInstallation(t, nil), w.repo.Head("")
	must(w.repo.Push(githubtest.Push{Branch: "topic", Files: map[string]string{"x": "x"}}))(t)
	number := must(w.repo.OpenPull(githubtest.Pull{Head: "topic"}))(t)
	check := func(o github.CreateCheckRunOptions) func() error {
		o.Name, o.HeadSHA = "shop", head
		return func() error { _, _, err := inst.Checks.CreateCheckRun(w.ctx, "acme", "shop", o); return err }
	}
	output := func(summary, text int) func() error {
		return check(github.CreateCheckRunOptions{Output: &github.CheckRunOutput{
			Title: github.String("t"), Summary: github.String(strings.Repeat("ü", summary)), Text: github.String(strings.Repeat("ü", text)),
		}})
	}
	annotations := func(n int, change func(*github.CheckRunAnnotation)) func() error {
		o := &github.CheckRunOutput{Title: github.String("t"), Summary: github.String("s")}
		for range n {
			a := &github.CheckRunAnnotation{Path: github.String("Dockerfile"), StartLine: github.Int(1), EndLine: github.Int(1), AnnotationLevel: github.String("warning"), Message: github.String("m")}
			change(a)
			o.Annotations = append(o.Annotations, a)
		}
		return check(github.CreateCheckRunOptions{Output: o})
	}
	as := func(*github.CheckRunAnnotation) {}
	actions := func(n, label, description, identifier int) func() error {
		var list []*github.CheckRunAction
		for range n {
			list = append(list, &github.CheckRunAction{Label: strings.Repeat("l", label), Description: strings.Repeat("d", description), Identifier: strings.Repeat("i", identifier)})
		}
		return check(github.CreateCheckRunOptions{Actions: list})
	}
	status := func(sha, state string, description int) func() error {
		return func() error {
			_, _, err := inst.Repositories.CreateStatus(w.ctx, "acme", "shop", sha, &github.RepoStatus{State: &state, Description: github.String(strings.Repeat("ü", description)), Context: github.String("c")})
			return err
		}
	}
	comment := func(body string) func() error {
		return func() error {
			_, _, err := inst.Issues.CreateComment(w.ctx, "acme", "shop", number, &github.IssueComment{Body: &body})
			return err
		}
	}
	for _, test := range []struct {
		name     string
		do       func() error
		status   int // 0: it is taken
		violated bool
	}{
		{"texts at the limit", output(65535, 65535), 0, false},
		{"long summary", output(65536, 1), 422, true},
		{"long text", output(1, 65536), 422, true},
		{"50 annotations", annotations(50, as), 0, false},
		{"51 annotations", annotations(51, as), 422, true},
		{"columns over two lines", annotations(1, func(a *github.CheckRunAnnotation) { a.EndLine, a.StartColumn = github.Int(2), github.Int(1) }), 422, false},
		{"end before start", annotations(1, func(a *github.CheckRunAnnotation) { a.StartLine = github.Int(2) }), 422, false},
		{"line 0", annotations(1, func(a *github.CheckRunAnnotation) { a.StartLine, a.EndLine = github.Int(0), github.Int(0) }), 422, false},
		{"absolute path", annotations(1, func(a *github.CheckRunAnnotation) { a.Path = github.String("/Dockerfile") }), 422, false},
		{"unknown level", annotations(1, func(a *github.CheckRunAnnotation) { a.AnnotationLevel = github.String("error") }), 422, true},
		{"actions at the limit", actions(3, 20, 40, 20), 0, false},
		{"four actions", actions(4, 1, 1, 1), 422, true},
		{"long label", actions(1, 21, 1, 1), 422, true},
		{"long description", actions(1, 1, 41, 1), 422, true},
		{"long identifier", actions(1, 1, 1, 21), 422, true},
		{"completed without conclusion", check(github.CreateCheckRunOptions{Status: github.String("completed")}), 422, false},
		{"conclusion while running", check(github.CreateCheckRunOptions{Status: github.String("in_progress"), Conclusion: github.String("success")}), 422, false},
		{"unknown conclusion", check(github.CreateCheckRunOptions{Conclusion: github.String("superseded")}), 422, true},
		{"details that are no web page", check(github.CreateCheckRunOptions{DetailsURL: github.String("/builds/1")}), 422, false},
		{"check of no commit", func() error {
			_, _, err := inst.Checks.CreateCheckRun(w.ctx, "acme", "shop", github.CreateCheckRunOptions{Name: "shop", HeadSHA: strings.Repeat("a", 40)})
			return err
		}, 422, false},
		{"status at the limit", status(head, "success", 140), 0, false},
		{"long description of a status", status(head, "success", 141), 422, false},
		{"unknown state", status(head, "queued", 1), 422, true},
		{"status of no commit", status(strings.Repeat("a", 40), "success", 1), 422, false},
		{"comment at the limit", comment(strings.Repeat("ü", 65536)), 0, false},
		{"long comment", comment(strings.Repeat("ü", 65537)), 422, false},
		{"empty comment", comment(""), 422, false},
		{"unknown reaction", func() error {
			_, _, err := inst.Reactions.CreateIssueCommentReaction(w.ctx, "acme", "shop", 1, "tada")
			return err
		}, 404, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.do()
			var refused *github.ErrorResponse
			got := 0
			if errors.As(err, &refused) {
				got = refused.Response.StatusCode
			}
			if got != test.status || (err == nil) != (test.status == 0) {
				t.Errorf("got %v", err)
			}
			if v := w.Violations(); (len(v) > 0) != test.violated {
				t.Errorf("violations: %q", v)
			}
		})
	}
}

func TestStatusesOfOneContext(t *testing.T) {
	w := newWorld(t, func(o *githubtest.Options) { o.Validator = nil })
	inst, head := w.asInstallation(t, nil), w.repo.Head("")
	post := func(context string) error {
		_, _, err := inst.Repositories.CreateStatus(w.ctx, "acme", "shop", head, &github.RepoStatus{State: github.String("success"), Context: &context})
		return err
	}
	for i := range 1000 {
		if err := post("c"); err != nil {
			t.Fatalf("status %d: %v", i+1, err)
		}
	}
	if err := post("c"); err == nil || !strings.Contains(err.Error(), "maximum number of statuses") {
		t.Errorf("status 1001: %v", err)
	}
	if err := post("other"); err != nil {
		t.Errorf("another context: %v", err)
	}
}

func TestAnnotationsAreAppended(t *testing.T) {
	w := newWorld(t)
	inst, head := w.asInstallation(t, nil), w.repo.Head("")
	run, _, err := inst.Checks.CreateCheckRun(w.ctx, "acme", "shop", github.CreateCheckRunOptions{Name: "shop", HeadSHA: head})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		_, _, err := inst.Checks.UpdateCheckRun(w.ctx, "acme", "shop", run.GetID(), github.UpdateCheckRunOptions{Name: "shop", Output: &github.CheckRunOutput{
			Title: github.String("t"), Summary: github.String(fmt.Sprint(i)), Annotations: []*github.CheckRunAnnotation{{
				Path: github.String("Dockerfile"), StartLine: github.Int(i + 1), EndLine: github.Int(i + 1), AnnotationLevel: github.String("notice"), Message: github.String("m"),
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, ok := w.repo.CheckRun(head, "shop")
	if !ok || len(got.Annotations) != 3 || got.Summary != "2" || got.Updates != 3 {
		t.Errorf("%+v", got)
	}
	other := must(w.AddApp(githubtest.AppOptions{Name: "other"}))(t)
	w.app, w.inst = other, must(other.Install("acme"))(t)
	_, res, err := w.asInstallation(t, nil).Checks.UpdateCheckRun(w.ctx, "acme", "shop", run.GetID(), github.UpdateCheckRunOptions{Name: "mine"})
	if res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("another app's check run: %v", err)
	}
}

func TestPrimaryLimit(t *testing.T) {
	c := &clock{at: time.Now()}
	w := newWorld(t, func(o *githubtest.Options) { o.Now, o.RateLimit = c.now, 3 })
	inst := w.asInstallation(t, &github.InstallationTokenOptions{})
	get := func() (*github.Response, error) {
		_, res, err := inst.Repositories.Get(w.ctx, "acme", "shop")
		return res, err
	}
	for want := 2; want >= 0; want-- {
		res, err := get()
		if err != nil || res.Rate.Remaining != want || res.Rate.Limit != 3 {
			t.Fatalf("%+v, %v; want %d left", res.Rate, err, want)
		}
	}
	var limited *github.RateLimitError
	if _, err := get(); !errors.As(err, &limited) || !limited.Rate.Reset.Equal(github.Timestamp{Time: c.now().Add(time.Hour).Truncate(time.Second)}) {
		t.Errorf("over the limit: %v", err)
	}
	c.add(time.Hour)
	inst = w.asInstallationAt(t, c.now())
	if _, err := get(); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestSecondaryLimit(t *testing.T) {
	c := &clock{at: time.Now()}
	w := newWorld(t, func(o *githubtest.Options) { o.Now, o.SecondaryLimits = c.now, true })
	inst := w.asInstallation(t, &github.InstallationTokenOptions{})
	write := func() error {
		_, _, err := inst.Repositories.CreateStatus(w.ctx, "acme", "shop", w.repo.Head(""), &github.RepoStatus{State: github.String("success")})
		return err
	}
	for i := range 80 {
		if err := write(); err != nil {
			t.Fatalf("write %d: %v", i+1, err)
		}
	}
	var limited *github.AbuseRateLimitError
	err := write()
	if !errors.As(err, &limited) || limited.GetRetryAfter() < 59*time.Second || limited.GetRetryAfter() > 61*time.Second {
		t.Fatalf("write 81: %v", err)
	}
	c.add(limited.GetRetryAfter())
	inst = w.asInstallationAt(t, c.now()) // the old client itself waits by the real clock
	if err := write(); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestConditionalRequests(t *testing.T) {
	w := newWorld(t)
	token, _, err := w.asApp(t).Apps.CreateInstallationToken(w.ctx, w.inst.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(tag string) *http.Response {
		t.Helper()
		req := must(http.NewRequestWithContext(w.ctx, http.MethodGet, w.API+"/repos/acme/shop/git/matching-refs/heads/", nil))(t)
		req.Header.Set("Authorization", "Bearer "+token.GetToken())
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		res := must(http.DefaultClient.Do(req))(t)
		defer func() { _ = res.Body.Close() }()
		if body := must(io.ReadAll(res.Body))(t); (res.StatusCode == http.StatusNotModified) != (len(body) == 0) {
			t.Errorf("%d with %q", res.StatusCode, body)
		}
		return res
	}
	first := get("")
	second := get(first.Header.Get("ETag"))
	must(w.repo.Push(githubtest.Push{Files: map[string]string{"x": "x"}}))(t)
	third := get(first.Header.Get("ETag"))
	got := []any{first.StatusCode, second.StatusCode, third.StatusCode, second.Header.Get("X-RateLimit-Used")}
	if diff := cmp.Diff([]any{200, 304, 200, first.Header.Get("X-RateLimit-Used")}, got); diff != "" {
		t.Error(diff)
	}
}
