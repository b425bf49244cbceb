package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// branch pushes a branch with one changed file, and opens a merge request.
func (w *world) open(t *testing.T, o gitlabtest.MergeOptions) (*gitlabtest.Merge, string) {
	t.Helper()
	if o.User == "" {
		o.User = "alice"
	}
	if o.Source == "" {
		o.Source = "feature"
	}
	from := w.project
	if o.From != nil {
		from = o.From
	}
	sha := must(from.Push(gitlabtest.Push{User: o.User, Branch: o.Source, Files: map[string]string{"Dockerfile": "FROM scratch\nCOPY a /\n"}}))(t)
	return must(w.project.OpenMerge(o))(t), sha
}

// actions are what the merge request's webhooks tell, in order.
func actions(t *testing.T, got []delivered) (list []string) {
	t.Helper()
	for _, d := range got {
		var p struct {
			Kind       string `json:"object_kind"`
			Attributes struct {
				Action, State, Oldrev string
				LastCommit            struct{ ID string } `json:"last_commit"`
			} `json:"object_attributes"`
			Changes map[string]any
		}
		if err := json.Unmarshal(d.body, &p); err != nil {
			t.Fatal(err)
		}
		if p.Kind != "merge_request" {
			continue
		}
		text := p.Attributes.Action + " " + p.Attributes.State
		if p.Attributes.Oldrev != "" {
			text += " oldrev"
		}
		for _, name := range []string{"title", "draft", "target_branch"} {
			if p.Changes[name] != nil {
				text += " " + name
			}
		}
		list = append(list, text)
	}
	return list
}

func (w *world) hook(t *testing.T) {
	t.Helper()
	_, _, err := w.as(t, w.AddUser("alice")).Projects.AddProjectHook(w.project.ID(), &gitlab.AddProjectHookOptions{
		URL: gitlab.Ptr(w.hooks.URL), MergeRequestsEvents: gitlab.Ptr(true), NoteEvents: gitlab.Ptr(true), PushEvents: gitlab.Ptr(false),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMergeLife: what is told of a merge request, step by step.
func TestMergeLife(t *testing.T) {
	w := newWorld(t)
	w.hook(t)
	m, first := w.open(t, gitlabtest.MergeOptions{Title: "Draft: more"})
	ref := fmt.Sprintf("refs/merge-requests/%d/head", m.IID())
	if got := w.project.Head(ref); got != first {
		t.Errorf("%s is %s, want %s", ref, got, first)
	}
	second := must(w.project.Push(gitlabtest.Push{User: "alice", Branch: "feature", Files: map[string]string{"b": "b"}}))(t)
	if got := w.project.Head(ref); got != second {
		t.Errorf("%s is %s, want %s", ref, got, second)
	}
	must(w.project.Push(gitlabtest.Push{User: "alice", Branch: "release", Files: map[string]string{"c": "c"}}))(t)
	steps := []error{
		m.SetDraft("alice", false), m.SetTarget("alice", "release"), m.SetTarget("alice", "main"), m.Close("alice"), m.Reopen("alice"),
		m.Accept("alice"),
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	w.settle(t)
	_, got := w.hooks.take()
	want := []string{
		"open opened", "update opened oldrev", "update opened title draft", "update opened target_branch", "update opened target_branch", "close closed",
		"reopen opened", "merge merged",
	}
	if diff := cmp.Diff(want, actions(t, got)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.project.Merge(m.IID()); err != nil || m.State().State != "merged" {
		t.Errorf("%+v, %v", m.State(), err)
	}
	if !strings.Contains(w.project.Head("main"), "") || w.project.Head("main") == first {
		t.Error("main did not move")
	}
}

// TestMergeEnds: how a merge request ends without anybody pressing a button.
func TestMergeEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(w *world) error
		want string
	}{
		"its branch is deleted":   {func(w *world) error { return w.project.Delete("alice", "feature") }, "closed"},
		"its commits are in main": {func(w *world) error { return w.project.SetRef("alice", "refs/heads/main", w.project.Head("feature")) }, "merged"},
		"main moves elsewhere": {func(w *world) error {
			_, err := w.project.Push(gitlabtest.Push{User: "alice", Files: map[string]string{"z": "z"}})
			return err
		}, "opened"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m, _ := w.open(t, gitlabtest.MergeOptions{})
			if err := tc.do(w); err != nil {
				t.Fatal(err)
			}
			if got := m.State().State; got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestMergeFromFork(t *testing.T) {
	w := newWorld(t)
	w.hook(t)
	fork := must(w.project.Fork("mallory"))(t)
	m, sha := w.open(t, gitlabtest.MergeOptions{User: "mallory", From: fork})
	one, _, err := w.as(t, w.AddUser("alice")).MergeRequests.GetMergeRequest(w.project.ID(), int64(m.IID()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if one.SourceProjectID != fork.ID() || one.TargetProjectID != w.project.ID() || one.SHA != sha || one.DiffRefs.HeadSha != sha {
		t.Errorf("%+v", one)
	}
	// The fork's commit is in the target project, but on no branch.
	alice := w.AddUser("alice")
	if code, body, _ := w.ask(t, alice, "POST", w.path("/statuses/%s", sha), fields{"state": "success"}); code != 404 || message(body) != "404 References for commit Not Found" {
		t.Errorf("%d %v", code, body)
	}
	// With a ref it can have a status, which is not the merge request's.
	w.project.PipelinesMustSucceed(true)
	w.ask(t, alice, "POST", w.path("/statuses/%s", sha), fields{"state": "success", "ref": "feature"})
	if got := m.State().Status; got != "ci_must_pass" {
		t.Errorf("%s, want ci_must_pass", got)
	}
	// Only one in the fork is.
	fork.SetMember("alice", gitlabtest.Developer)
	w.ask(t, alice, "POST", fmt.Sprintf("/projects/%d/statuses/%s", fork.ID(), sha), fields{"state": "success", "ref": "feature"})
	if got := m.State().Status; got != "mergeable" {
		t.Errorf("%s, want mergeable", got)
	}
	must(fork.Push(gitlabtest.Push{User: "mallory", Branch: "feature", Files: map[string]string{"b": "b"}}))(t)
	w.settle(t)
	_, got := w.hooks.take()
	if diff := cmp.Diff([]string{"open opened", "update opened oldrev"}, actions(t, got)); diff != "" {
		t.Error(diff)
	}
}

// TestMergeGate: the statuses of the head gate it where pipelines must succeed.
func TestMergeGate(t *testing.T) {
	w := newWorld(t)
	w.project.PipelinesMustSucceed(true)
	m, sha := w.open(t, gitlabtest.MergeOptions{})
	token := w.AddUser("alice")
	for _, step := range []struct{ state, want string }{{"", "ci_must_pass"}, {"pending", "ci_still_running"}, {"running", "ci_still_running"}, {"failed", "ci_must_pass"}, {"success", "mergeable"}} {
		if step.state != "" {
			w.ask(t, token, "POST", w.path("/statuses/%s", sha), fields{"state": step.state, "name": "rb", "ref": "feature"})
		}
		if got := m.State().Status; got != step.want {
			t.Errorf("%s: %s, want %s", step.state, got, step.want)
		}
		if err := m.Accept("alice"); (err == nil) != (step.want == "mergeable") {
			t.Errorf("%s: merged: %v", step.state, err)
		}
	}
}

// TestMergeLag: a new merge request has no diff yet.
func TestMergeLag(t *testing.T) {
	w := newWorld(t, func(o *gitlabtest.Options) { o.MergeLag = 1 })
	m, sha := w.open(t, gitlabtest.MergeOptions{})
	token := w.AddUser("alice")
	_, body, _ := w.ask(t, token, "GET", w.path("/merge_requests/%d", m.IID()), nil)
	if one := body.(map[string]any); one["diff_refs"] != nil || one["detailed_merge_status"] != "preparing" || one["sha"] != sha {
		t.Errorf("at first: %v %v", one["diff_refs"], one["detailed_merge_status"])
	}
	_, body, _ = w.ask(t, token, "GET", w.path("/merge_requests/%d", m.IID()), nil)
	if one := body.(map[string]any); one["diff_refs"] == nil || one["detailed_merge_status"] != "mergeable" {
		t.Errorf("later: %v %v", one["diff_refs"], one["detailed_merge_status"])
	}
}

func TestMergeLists(t *testing.T) {
	w := newWorld(t)
	first, sha := w.open(t, gitlabtest.MergeOptions{Source: "one"})
	w.clock.add(60e9)
	second, _ := w.open(t, gitlabtest.MergeOptions{Source: "two"})
	w.clock.add(60e9)
	if err := first.Close("alice"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]int{
		"":                     {2, 1},
		"?state=opened":        {2},
		"?state=closed":        {1},
		"?source_branch=one":   {1},
		"?order_by=updated_at": {1, 2},
		"?sort=asc":            {1, 2},
		"?iids[]=2":            {2},
		"?per_page=1&page=2":   {1},
		"?updated_after=" + w.clock.now().Add(-30e9).Format("2006-01-02T15:04:05Z"): {1},
	} {
		_, body, header := w.ask(t, w.AddUser("alice"), "GET", w.path("/merge_requests%s", query), nil)
		var got []int
		for _, one := range body.([]any) {
			got = append(got, int(one.(map[string]any)["iid"].(float64)))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
		if header.Get("X-Total") == "" || header.Get("Link") == "" {
			t.Errorf("%s: no headers of pages: %v", query, header)
		}
	}
	_, body, _ := w.ask(t, w.AddUser("alice"), "GET", w.path("/repository/commits/%s/merge_requests", sha), nil)
	if list := body.([]any); len(list) != 1 || list[0].(map[string]any)["state"] != "closed" {
		t.Errorf("of the commit: %v", list)
	}
	_ = second
}

func TestCreateMerge(t *testing.T) {
	w := newWorld(t)
	must(w.project.Push(gitlabtest.Push{User: "alice", Branch: "feature", Files: map[string]string{"a": "a"}}))(t)
	for _, step := range []struct {
		name   string
		params fields
		code   int
		want   string
	}{
		{"no title", fields{"source_branch": "feature", "target_branch": "main"}, 400, "title is missing"},
		{"a long title", fields{"title": strings.Repeat("x", 256), "source_branch": "feature", "target_branch": "main"}, 400, `{"title":["is too long (maximum is 255 characters)"]}`},
		{"into itself", fields{"title": "x", "source_branch": "main", "target_branch": "main"}, 422, `["You can't use same project/branch for source and target"]`},
		{"the first", fields{"title": "x", "source_branch": "feature", "target_branch": "main"}, 201, ""},
		{"the same again", fields{"title": "x", "source_branch": "feature", "target_branch": "main"}, 409, `["Another open merge request already exists for this source branch: !1"]`},
	} {
		code, body, _ := w.ask(t, w.AddUser("alice"), "POST", w.path("/merge_requests"), step.params)
		if got := message(body); code != step.code || got != step.want {
			t.Errorf("%s: %d %q, want %d %q", step.name, code, got, step.code, step.want)
		}
	}
	m := must(w.project.Merge(1))(t)
	for _, step := range []struct {
		params fields
		want   gitlabtest.MergeState
	}{
		{fields{"title": "y", "description": "z"}, gitlabtest.MergeState{Title: "y", Description: "z", State: "opened"}},
		{fields{"state_event": "close"}, gitlabtest.MergeState{Title: "y", Description: "z", State: "closed"}},
		{fields{"state_event": "reopen"}, gitlabtest.MergeState{Title: "y", Description: "z", State: "opened"}},
	} {
		code, body, _ := w.ask(t, w.AddUser("alice"), "PUT", w.path("/merge_requests/1"), step.params)
		got := m.State()
		if code != 200 || got.Title != step.want.Title || got.Description != step.want.Description || got.State != step.want.State {
			t.Errorf("%v: %d %v, %+v", step.params, code, message(body), got)
		}
	}
}
