package gitlabtest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryRouteHasAShape: what the double answers is held against something.
func TestEveryRouteHasAShape(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(routes())) {
		if _, known := shapes[name]; !known {
			t.Errorf("%s has no row in shapetable.go", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		if _, known := routes()[name]; !known {
			t.Errorf("shapetable.go has a row for %s, which the double has not", name)
		}
	}
}

func TestShapes(t *testing.T) {
	const (
		post    = "POST /projects/{id}/statuses/{sha}"
		list    = "GET /projects/{id}/merge_requests"
		discuss = "POST /projects/{id}/merge_requests/{iid}/discussions"
	)
	for name, tc := range map[string]struct {
		route, query, body, answer string
		kind                       string // default application/json
		want                       []string
	}{
		"all is well":                     {post, "", `{"state":"success","name":"x"}`, `{"id":1,"status":"success","author":{"id":1,"locked":false}}`, "", nil},
		"a parameter that is none":        {post, "", `{"state":"success","url":"x"}`, `{}`, "", []string{`body: "SetCommitStatusOptions.url" is no parameter`}},
		"a parameter of another type":     {post, "", `{"state":"success","pipeline_id":"x"}`, `{}`, "", []string{`body: json: cannot unmarshal string into Go struct field SetCommitStatusOptions.pipeline_id of type int`}},
		"below another":                   {discuss, "", `{"body":"x","position":{"line":1}}`, `{}`, "", []string{`body: "PositionOptions.line" is no parameter`}},
		"in a form":                       {post, "", "state=success&url=x", `{}`, "application/x-www-form-urlencoded", []string{`query: "url" is no parameter`}},
		"in the query":                    {list, "state=opened&colour=red", "", `[]`, "", []string{`query: "colour" is no parameter`}},
		"lists in the query":              {list, "iids[]=1&iids[]=2&not[labels]=x", "", `[]`, "", nil},
		"one that only the page knows":    {"GET /projects/{id}/repository/commits/{sha}/statuses", "pipeline_id=1", "", `[]`, "", nil},
		"a key that the client has not":   {list, "", "", `[{"id":1,"colour":"red"}]`, "", []string{"answer: the client knows no MergeRequest.colour"}},
		"below another in the answer":     {list, "", "", `[{"author":{"colour":"red"}}]`, "", []string{"answer: the client knows no BasicUser.colour"}},
		"a key of another type":           {list, "", "", `[{"id":"1"}]`, "", []string{"answer: json: cannot unmarshal string into Go struct field alias.id of type int"}},
		"an object where a list belongs":  {list, "", "", `{}`, "", []string{"answer: json: cannot unmarshal object into Go value of type []gitlab.MergeRequest"}},
		"a body of something that has no": {"GET /user", "", `{"x":1}`, `{}`, "", []string{`body: "none.x" is no parameter`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{}
			method, _, _ := strings.Cut(tc.route, " ")
			c := &call{r: httptest.NewRequest(method, "/", nil)}
			c.r.Header.Set("Content-Type", "application/json")
			if tc.kind != "" {
				c.r.Header.Set("Content-Type", tc.kind)
			}
			s.checkShape(tc.route, c, &Request{Method: method, Query: tc.query, Body: []byte(tc.body), Status: http.StatusOK, Answer: []byte(tc.answer)})
			for i, v := range s.violations {
				s.violations[i] = strings.TrimPrefix(v, tc.route+": ")
			}
			if diff := cmp.Diff(tc.want, s.violations); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMergeRequestSamples: the double's merge requests have what GitLab's own
// have, in the samples of the client's successor.
func TestMergeRequestSamples(t *testing.T) {
	s := New(t)
	p, err := s.AddProject("acme/shop", ProjectOptions{Files: map[string]string{"a": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	sha, err := p.Push(Push{Branch: "feature", Files: map[string]string{"b": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.OpenMerge(MergeOptions{Source: "feature"})
	if err != nil {
		t.Fatal(err)
	}
	p.AddPipeline("root", sha, "feature", "test", "success")
	s.mu.Lock()
	one, brief, diff := m.json(nil), m.brief(), m.changedFiles()[0].json()
	s.unlock()
	for sample, got := range map[string]object{"get_merge_request.json": one, "get_merge_requests.json": brief, "list_merge_request_diff.json": diff} {
		t.Run(sample, func(t *testing.T) {
			var want any
			if err := json.Unmarshal(readSample(t, sample), &want); err != nil {
				t.Fatal(err)
			}
			if list, is := want.([]any); is {
				want = list[0]
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var ours any
			if err := json.Unmarshal(text, &ours); err != nil {
				t.Fatal(err)
			}
			for _, wrong := range differences(want, ours, "") {
				if !strings.HasPrefix(wrong, "approvals_before_merge") && wrong != "illustration" { // what is sold
					t.Error(wrong)
				}
			}
		})
	}
}

// differences lists the keys of a sample that are missing, or have another
// type; null goes with any, and lists are not looked into.
func differences(want, got any, at string) (list []string) {
	w, isObject := want.(map[string]any)
	g, hasObject := got.(map[string]any)
	if !isObject || !hasObject {
		if want != nil && got != nil && kindOf(want) != kindOf(got) {
			return []string{at + ": " + kindOf(got) + ", not " + kindOf(want)}
		}
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(w)) {
		below := strings.TrimPrefix(at+"."+key, ".")
		if value, there := g[key]; there {
			list = append(list, differences(w[key], value, below)...)
		} else {
			list = append(list, below+" is missing")
		}
	}
	return list
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case float64:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	}
	return "an object"
}

func readSample(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gitlab.com/gitlab-org/api/client-go").Output()
	if err != nil {
		t.Fatalf("the folder of client-go: %v; run go mod download gitlab.com/gitlab-org/api/client-go", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
