package githubtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestPeople does everything that a person can do and looks at the webhooks:
// which come, that go-github reads them, and that nothing is missing that all
// of GitHub's examples have.
func TestPeople(t *testing.T) {
	w := newWorld(t)
	shapes := exampleShapes(t)
	inst := w.asInstallation(t, nil)
	head := must(w.repo.Push(githubtest.Push{User: "alice", Branch: "topic", Files: map[string]string{"x": "x"}}))(t)
	run, _, err := inst.Checks.CreateCheckRun(w.ctx, "acme", "shop", github.CreateCheckRunOptions{
		Name: "shop", HeadSHA: head, Conclusion: github.String("failure"),
		Actions: []*github.CheckRunAction{{Label: "No cache", Description: "Build again from nothing", Identifier: "no-cache"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	w.hooks.take()
	var number int
	var comment githubtest.Comment
	var other *githubtest.Repo
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"branch", func() error { return w.repo.SetRef("alice", "refs/heads/b", head) }, []string{"create", "push", "check_suite.requested"}},
		{"tag", func() error { return w.repo.Tag("alice", "v1", "main", "one") }, []string{"create", "push"}},
		{"delete", func() error { return w.repo.SetRef("alice", "refs/heads/b", "") }, []string{"delete", "push"}},
		{"open", func() (err error) {
			number, err = w.repo.OpenPull(githubtest.Pull{User: "alice", Head: "topic"})
			return
		}, []string{"pull_request.opened"}},
		{"comment", func() (err error) { comment, err = w.repo.Comment(number, "alice", "/build"); return }, []string{"issue_comment.created"}},
		{"edit comment", func() error { return w.repo.EditComment(comment.ID, "alice", "/rebuild") }, []string{"issue_comment.edited"}},
		{"commit comment", func() error { _, err := w.repo.CommentCommit(head, "alice", "/build"); return err }, []string{"commit_comment.created"}},
		{"button", func() error { return w.repo.PressButton(run.GetID(), "no-cache", "alice") }, []string{"check_run.requested_action"}},
		{"re-run", func() error { return w.repo.RerunCheck(run.GetID(), "alice") }, []string{"check_run.rerequested"}},
		{"re-run all", func() error { return w.repo.RerunSuite(run.GetCheckSuite().GetID(), "alice") }, []string{"check_suite.rerequested"}},
		{"push to a pull request", func() error {
			_, err := w.repo.Push(githubtest.Push{User: "alice", Branch: "topic", Files: map[string]string{"y": "y"}})
			return err
		}, []string{"push", "check_suite.requested", "pull_request.synchronize"}},
		{"merge queue", func() error { _, err := w.repo.MergeGroup(number); return err }, []string{"create", "push", "check_suite.requested", "merge_group.checks_requested"}},
		{"close", func() error { return w.repo.ClosePull(number, "alice", false) }, []string{"pull_request.closed"}},
		{"reopen", func() error { return w.repo.ReopenPull(number, "alice") }, []string{"pull_request.reopened"}},
		{"merge", func() error { return w.repo.ClosePull(number, "alice", true) }, []string{"pull_request.closed", "push", "check_suite.requested"}},
		{"draft", func() (err error) {
			number, err = w.repo.OpenPull(githubtest.Pull{User: "alice", Head: "topic2", Draft: true})
			if err == nil {
				return fmt.Errorf("a pull request from a branch that is not there was opened")
			}
			return nil
		}, nil},
		{"ready", func() (err error) {
			if _, err = w.repo.Push(githubtest.Push{Branch: "topic3", Files: map[string]string{"t": "t"}}); err == nil {
				number, err = w.repo.OpenPull(githubtest.Pull{User: "alice", Head: "topic3", Draft: true})
			}
			if err == nil {
				err = w.repo.MarkReady(number, "alice")
			}
			return err
		}, []string{"create", "push", "check_suite.requested", "pull_request.opened", "pull_request.ready_for_review"}},
		{"another base", func() error { return w.repo.EditPull(number, "alice", "topic") }, []string{"pull_request.edited"}},
		{"branch of a pull request deleted", func() error { return w.repo.SetRef("alice", "refs/heads/topic3", "") }, []string{"delete", "push", "pull_request.closed"}},
		{"comment on an issue", func() error {
			_, err := w.repo.Comment(w.repo.OpenIssue("alice", "It fails"), "alice", "/build")
			return err
		}, []string{"issue_comment.created"}},
		{"default branch", func() error { return w.repo.SetDefaultBranch("topic") }, []string{"repository.edited"}},
		{"publish", func() error { w.repo.SetPrivate(false); return nil }, []string{"repository.publicized"}},
		{"rename", func() error { return w.repo.Rename("store") }, []string{"repository.renamed"}},
		{"choose repositories", func() (err error) {
			other, err = w.AddRepo("acme/other", githubtest.RepoOptions{})
			if err != nil {
				return err
			}
			return w.inst.RemoveRepository("acme/other")
		}, []string{"installation_repositories.removed"}},
		{"not heard", func() error { _, err := other.Push(githubtest.Push{Files: map[string]string{"a": "a"}}); return err }, nil},
		{"add repository", func() error { return w.inst.AddRepository("acme/other") }, []string{"installation_repositories.added"}},
		{"suspend", func() error { w.inst.Suspend(); return nil }, []string{"installation.suspend"}},
		{"silence", func() error { _, err := w.repo.Push(githubtest.Push{Files: map[string]string{"z": "z"}}); return err }, nil},
		{"unsuspend", func() error { w.inst.Unsuspend(); return nil }, []string{"installation.unsuspend"}},
		{"permissions", func() error {
			w.inst.SetPermissions(map[string]string{"contents": "read", "checks": "write"})
			return nil
		}, []string{"installation.new_permissions_accepted"}},
		{"delete repository", func() error { other.Delete(); return nil }, []string{"repository.deleted"}},
		{"uninstall", func() error { w.inst.Uninstall(); return nil }, []string{"installation.deleted"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			w.settle(t)
			names, all := w.hooks.take()
			if diff := cmp.Diff(step.want, names); diff != "" {
				t.Error(diff)
			}
			for i, d := range all {
				if _, err := github.ParseWebHook(d.event, d.body); err != nil {
					t.Errorf("%s: %v", names[i], err)
				}
				if missing := shapes.missing(names[i], d.body); missing != nil {
					t.Errorf("%s lacks what every example has: %q", names[i], missing)
				}
			}
		})
	}
}

// shapes are, for each event and action, the paths of keys that all of
// GitHub's examples have.
type shapes map[string]map[string]bool

func exampleShapes(t *testing.T) shapes {
	t.Helper()
	out := shapes{}
	for _, e := range githubtest.Examples(t) {
		name := strings.TrimSuffix(e.Event+"."+e.Action, ".")
		have := keys(e.Body)
		if out[name] == nil {
			out[name] = have
		} else {
			maps.DeleteFunc(out[name], func(k string, _ bool) bool {
				_, found := have[k]
				return !found
			})
		}
	}
	return out
}

func (s shapes) missing(name string, body []byte) []string {
	have := keys(body)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(s[name])) {
		parent := key[:max(0, strings.LastIndex(key, "."))]
		// What an app may do differs, and null stands for no object.
		_, found := have[key]
		if !found && (parent == "" || have[parent]) && !strings.HasSuffix(parent, "permissions") {
			out = append(out, key)
		}
	}
	return out
}

// keys lists the paths of an object's keys, true where there is an object with
// keys below; arrays are not entered.
func keys(body []byte) map[string]bool {
	out := map[string]bool{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		o, _ := v.(map[string]any)
		for k, inner := range o {
			below, _ := inner.(map[string]any)
			out[prefix+k] = len(below) > 0
			walk(prefix+k+".", inner)
		}
	}
	var v any
	if json.Unmarshal(body, &v) == nil {
		walk("", v)
	}
	return out
}
