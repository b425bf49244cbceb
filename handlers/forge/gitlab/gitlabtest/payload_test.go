package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// TestPayloads holds our webhooks against the examples of GitLab's
// documentation that its Go client carries: every key is there, with the same
// type of JSON.
func TestPayloads(t *testing.T) {
	w := newWorld(t)
	system := receive(t)
	w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL, Token: secret})
	w.AddSystemHook(gitlabtest.HookOptions{URL: system.URL})
	head := must(w.project.Push(gitlabtest.Push{User: "alice", Branch: "topic", Files: map[string]string{"x": "x"}}))(t)
	must(0, w.project.Tag("alice", "v1", "topic", "Version one"))(t)
	merge := must(w.project.OpenMerge(gitlabtest.MergeOptions{User: "alice", Source: "topic"}))(t)
	must(merge.Comment("alice", "/build"))(t)
	must(w.project.CommentCommit("alice", head, "/build"))(t)
	w.settle(t)
	events, all := w.hooks.take()
	if diff := cmp.Diff([]string{"Push Hook", "Tag Push Hook", "Merge Request Hook", "Note Hook", "Note Hook"}, events); diff != "" {
		t.Fatal(diff)
	}
	for i, test := range []struct {
		sample string
		but    []string // why: below
	}{
		{"webhooks/push.json", nil},
		{"webhooks/tag_push.json", nil},
		{"webhooks/merge_request.json", mergeOnly},
		{"webhooks/note_merge_request.json", noteOnly},
		{"webhooks/note_commit.json", []string{"object_attributes.st_diff", "object_attributes.line_code"}},
	} {
		t.Run(test.sample, func(t *testing.T) { compare(t, test.sample, all[i].body, test.but) })
	}
	_, all = system.take()
	for _, test := range []struct{ sample, event string }{
		{"systemhooks/push.json", "push"}, {"systemhooks/tag_push.json", "tag_push"}, {"systemhooks/repository_update.json", "repository_update"},
		{"systemhooks/merge_request.json", "merge_request"},
	} {
		t.Run(test.sample, func(t *testing.T) {
			for _, d := range all {
				var named struct {
					EventName  string `json:"event_name"`
					ObjectKind string `json:"object_kind"`
				}
				must(0, json.Unmarshal(d.body, &named))(t)
				if named.EventName == test.event || named.ObjectKind == test.event {
					compare(t, test.sample, d.body, mergeOnly)
					return
				}
			}
			t.Error("no such event came")
		})
	}
}

var (
	// mergeOnly are keys of an example that has labels, changes, assignees and
	// reviewers, which ours has not.
	mergeOnly = []string{
		"assignees", "reviewers", "changes", "labels", "object_attributes.labels", "object_attributes.assignee", "object_attributes.system_action",
		"object_attributes.last_edited_at", "object_attributes.last_edited_by_id",
		// of GitLab 10
		"object_attributes.deleted_at", "object_attributes.in_progress_merge_commit_sha", "object_attributes.lock_version", "object_attributes.merge_jid",
		"object_attributes.ref_fetched",
	}
	// noteOnly are keys of an example that comments on a line and quotes an old
	// merge request.
	noteOnly = []string{"object_attributes.st_diff", "object_attributes.line_code", "merge_request.assignee", "merge_request.labels", "merge_request.position"}
)

func compare(t *testing.T, sample string, body []byte, but []string) {
	t.Helper()
	var want, got any
	must(0, json.Unmarshal(example(t, sample), &want))(t)
	must(0, json.Unmarshal(body, &got))(t)
	for _, line := range lacks("", want, got) {
		key, _, _ := strings.Cut(line, ":")
		if !slices.ContainsFunc(but, func(b string) bool { return key == b || strings.HasPrefix(key, b+".") }) {
			t.Error(line)
		}
	}
}

// lacks lists keys that only the example has, or has with another type. Null
// is of every type; of arrays the first elements are compared.
func lacks(at string, want, got any) (out []string) {
	if want == nil || got == nil {
		return nil
	}
	if a, b := fmt.Sprintf("%T", want), fmt.Sprintf("%T", got); a != b {
		return []string{fmt.Sprintf("%s: %s in the example, %s here", at, a, b)}
	}
	switch want := want.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(want)) {
			name := strings.TrimPrefix(at+"."+k, ".")
			if v, found := got.(map[string]any)[k]; found {
				out = append(out, lacks(name, want[k], v)...)
			} else {
				out = append(out, name+": missing")
			}
		}
	case []any:
		if list := got.([]any); len(want) > 0 && len(list) > 0 {
			return lacks(at+"[]", want[0], list[0])
		}
	}
	return out
}

func example(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gitlab.com/gitlab-org/api/client-go").Output()
	if err != nil {
		t.Fatalf("go list: %v; get the module: go mod download gitlab.com/gitlab-org/api/client-go", err)
	}
	return must(os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", name)))(t)
}
