package gitlabtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

type fields = map[string]any

// ask calls the API without a client, so that a test sees what it answers.
func (w *world) ask(t *testing.T, token, method, path string, params fields) (status int, body any, header http.Header) {
	t.Helper()
	text := must(json.Marshal(params))(t)
	req := must(http.NewRequestWithContext(w.ctx, method, w.API+path, bytes.NewReader(text)))(t)
	if params == nil {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.Header.Set("Private-Token", token)
	req.Header.Set("Content-Type", "application/json")
	res := must(http.DefaultClient.Do(req))(t)
	defer func() { _ = res.Body.Close() }()
	var got bytes.Buffer
	_ = must(got.ReadFrom(res.Body))(t)
	if json.Unmarshal(got.Bytes(), &body) != nil {
		body = got.String()
	}
	return res.StatusCode, body, res.Header
}

// path is the address of the world's project.
func (w *world) path(format string, args ...any) string {
	return fmt.Sprintf("/projects/%d", w.project.ID()) + fmt.Sprintf(format, args...)
}

// message is what GitLab says went wrong, as JSON where it is no text.
func message(body any) string {
	all, _ := body.(map[string]any)
	for _, key := range []string{"message", "error"} {
		switch m := all[key].(type) {
		case string:
			return m
		case nil:
		default:
			text, _ := json.Marshal(m)
			return string(text)
		}
	}
	return ""
}

func TestStatusTransitions(t *testing.T) {
	const refused = `Cannot transition status via :%[1]s from :%[2]s (Reason(s): Status cannot transition via "%[1]s")`
	for name, tc := range map[string]struct {
		before []string // states that are posted first
		then   string
		want   string // the error; "" for none
		jobs   int    // that there are at the end
	}{
		"pending at first":           {nil, "pending", "", 1},
		"running at first":           {nil, "running", "", 1},
		"success at first":           {nil, "success", "", 1},
		"skipped at first":           {nil, "skipped", "", 1},
		"pending, pending":           {[]string{"pending"}, "pending", fmt.Sprintf(refused, "enqueue", "pending"), 1},
		"pending, running":           {[]string{"pending"}, "running", "", 1},
		"running, running":           {[]string{"running"}, "running", fmt.Sprintf(refused, "run", "running"), 1},
		"running, pending":           {[]string{"running"}, "pending", fmt.Sprintf(refused, "enqueue", "running"), 1},
		"running, skipped":           {[]string{"running"}, "skipped", fmt.Sprintf(refused, "skip", "running"), 1},
		"pending, success":           {[]string{"pending"}, "success", "", 1},
		"running, failed":            {[]string{"running"}, "failed", "", 1},
		"running, canceled":          {[]string{"running"}, "canceled", "", 1},
		"success again is a new job": {[]string{"success"}, "success", "", 2},
		"a rebuild is a new job":     {[]string{"pending", "running", "failed"}, "pending", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			sha, token := w.project.Head(""), w.AddUser("alice")
			for _, state := range tc.before {
				if code, body, _ := w.ask(t, token, "POST", w.path("/statuses/%s", sha), fields{"state": state, "name": "rb", "description": "before"}); code != 201 {
					t.Fatalf("%s: %d %v", state, code, body)
				}
			}
			code, body, _ := w.ask(t, token, "POST", w.path("/statuses/%s", sha), fields{"state": tc.then, "name": "rb", "description": "after"})
			if got := message(body); got != tc.want || (code == 400) != (tc.want != "") {
				t.Errorf("%s: %d %q, want %q", tc.then, code, got, tc.want)
			}
			all := w.project.Statuses(sha)
			if len(all) != tc.jobs {
				t.Fatalf("%d jobs, want %d: %+v", len(all), tc.jobs, all)
			}
			want := "after"
			if tc.want != "" {
				want = "before" // nothing changes, the description neither
			}
			if all[0].Description != want {
				t.Errorf("description %q, want %q", all[0].Description, want)
			}
			if tc.jobs == 2 && !all[1].Retried {
				t.Error("the older job is not marked as retried")
			}
			if n := len(w.project.Pipelines(sha)); n != 1 {
				t.Errorf("%d pipelines", n)
			}
		})
	}
}

func TestStatusRefusals(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, tc := range map[string]struct {
		sha    string // "" for the head
		params fields
		code   int
		want   string
	}{
		"no state":            {"", fields{}, 400, "state is missing, state does not have a valid value"},
		"a wrong state":       {"", fields{"state": "error"}, 400, "state does not have a valid value"},
		"no such commit":      {strings.Repeat("1", 40), fields{"state": "pending"}, 404, "404 Commit Not Found"},
		"a long description":  {"", fields{"state": "pending", "description": long}, 400, `{"description":["is too long (maximum is 255 characters)"]}`},
		"a long ref":          {"", fields{"state": "pending", "ref": long}, 400, `{"ref":["is too long (maximum is 255 characters)"]}`},
		"another scheme":      {"", fields{"state": "pending", "target_url": "git://example.com"}, 400, `{"target_url":["is blocked: Only allowed schemes are http, https"]}`},
		"no URL":              {"", fields{"state": "pending", "target_url": "invalid url"}, 400, `{"target_url":["is blocked: Only allowed schemes are http, https"]}`},
		"an empty name":       {"", fields{"state": "pending", "name": ""}, 400, `{"name":["can't be blank"]}`},
		"a foreign pipeline":  {"", fields{"state": "pending", "pipeline_id": 1}, 404, "404 Pipeline for pipeline_id, sha and ref Not Found"},
		"a ref that is none":  {"", fields{"state": "pending", "ref": "nowhere"}, 201, ""},
		"255 characters fit":  {"", fields{"state": "pending", "description": strings.Repeat("ä", 255)}, 201, ""},
		"a name has no limit": {"", fields{"state": "pending", "name": long}, 201, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			sha := tc.sha
			if sha == "" {
				sha = w.project.Head("")
			}
			code, body, _ := w.ask(t, w.AddUser("alice"), "POST", w.path("/statuses/%s", sha), tc.params)
			if got := message(body); code != tc.code || got != tc.want {
				t.Errorf("%d %q, want %d %q", code, got, tc.code, tc.want)
			}
		})
	}
}

func TestStatusRights(t *testing.T) {
	for name, tc := range map[string]struct {
		level     gitlabtest.Level
		protected bool
		want      int
	}{
		"a Reporter":                          {gitlabtest.Reporter, false, 403},
		"a Developer":                         {gitlabtest.Developer, false, 201},
		"a Developer at a protected branch":   {gitlabtest.Developer, true, 403},
		"a Maintainer at a protected branch":  {gitlabtest.Maintainer, true, 201},
		"somebody who does not see the thing": {gitlabtest.NoAccess, false, 404},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.project.SetMember("bob", tc.level)
			w.project.Protect("main", tc.protected)
			code, body, _ := w.ask(t, w.AddUser("bob"), "POST", w.path("/statuses/%s", w.project.Head("")), fields{"state": "pending", "ref": "main"})
			if code != tc.want {
				t.Errorf("%d %v, want %d", code, body, tc.want)
			}
		})
	}
}

// TestStatusPipelines: which pipeline a status goes to.
func TestStatusPipelines(t *testing.T) {
	w := newWorld(t)
	token, sha := w.AddUser("alice"), w.project.Head("")
	w.project.SetMember("bob", gitlabtest.Maintainer)
	post := func(token string, params fields) float64 {
		t.Helper()
		code, body, _ := w.ask(t, token, "POST", w.path("/statuses/%s", sha), params)
		if code != 201 {
			t.Fatalf("%d %v", code, body)
		}
		return body.(map[string]any)["pipeline_id"].(float64)
	}
	first := post(token, fields{"state": "pending", "name": "a"})
	if second := post(token, fields{"state": "pending", "name": "b"}); second != first {
		t.Errorf("another name made pipeline %v beside %v", second, first)
	}
	other := post(token, fields{"state": "pending", "name": "a", "ref": "v1"})
	if other == first {
		t.Error("another ref did not make another pipeline")
	}
	if newest := post(token, fields{"state": "pending", "name": "c"}); newest != other {
		t.Errorf("without a ref it went to pipeline %v, not to the newest, %v", newest, other)
	}
	if asked := post(token, fields{"state": "running", "name": "a", "pipeline_id": first}); asked != first {
		t.Errorf("asked for pipeline %v, went to %v", first, asked)
	}
	// Somebody else's running status of the name is not ours to change: a new
	// one takes its place.
	post(w.AddUser("bob"), fields{"state": "running", "name": "a", "pipeline_id": first})
	all := w.project.Statuses(sha)
	if len(all) != 5 || all[0].Author != "bob" || all[0].State != "running" {
		t.Errorf("%+v", all)
	}
	code, body, _ := w.ask(t, token, "GET", w.path("/repository/commits/%s/statuses?pipeline_id=%v", sha, first), nil)
	var names []string
	for _, one := range body.([]any) {
		names = append(names, one.(map[string]any)["name"].(string))
	}
	if diff := cmp.Diff([]string{"b", "a"}, names); code != 200 || diff != "" {
		t.Errorf("%d, the newest of each name: %s", code, diff)
	}
}

// TestStatusOfNoBranch: a commit that is on no branch needs a ref.
func TestStatusOfNoBranch(t *testing.T) {
	w := newWorld(t)
	sha := must(w.project.Push(gitlabtest.Push{User: "alice", Branch: "gone", Files: map[string]string{"a": "1"}}))(t)
	if err := w.project.Tag("alice", "v1", sha, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.project.Delete("alice", "gone"); err != nil {
		t.Fatal(err)
	}
	token := w.AddUser("alice")
	code, body, _ := w.ask(t, token, "POST", w.path("/statuses/%s", sha), fields{"state": "pending"})
	if code != 404 || message(body) != "404 References for commit Not Found" {
		t.Errorf("%d %v", code, body)
	}
	if code, body, _ = w.ask(t, token, "POST", w.path("/statuses/%s", sha), fields{"state": "pending", "ref": "v1"}); code != 201 {
		t.Errorf("with a ref: %d %v", code, body)
	}
}

func TestStatusLock(t *testing.T) {
	w := newWorld(t)
	sha, token := w.project.Head(""), w.AddUser("alice")
	release := w.project.HoldStatuses(sha)
	code, body, _ := w.ask(t, token, "POST", w.path("/statuses/%s", sha), fields{"state": "pending"})
	if code != 409 || !strings.Contains(message(body), "in progress") {
		t.Errorf("%d %v", code, body)
	}
	release()
	if code, body, _ = w.ask(t, token, "POST", w.path("/statuses/%s", sha), fields{"state": "pending"}); code != 201 {
		t.Errorf("afterwards: %d %v", code, body)
	}
}

func TestPipelineStatus(t *testing.T) {
	for want, states := range map[string][]string{
		"pending":  {"pending", "pending"},
		"running":  {"success", "pending"},
		"success":  {"success", "skipped"},
		"failed":   {"success", "failed"},
		"canceled": {"success", "canceled"},
		"skipped":  {"skipped"},
	} {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t)
			sha := w.project.Head("")
			for i, state := range states {
				w.ask(t, w.AddUser("alice"), "POST", w.path("/statuses/%s", sha), fields{"state": state, "name": fmt.Sprint(i), "ref": "main"})
			}
			if got := w.project.Pipelines(sha); len(got) != 1 || got[0].Status != want {
				t.Errorf("%+v", got)
			}
		})
	}
}
