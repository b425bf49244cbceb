package gitlab

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

func TestWritable(t *testing.T) {
	rig := newNoteRig(t)
	origin, err := rig.Writable(t.Context(), rig.record())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "push", "--quiet", origin.URL, rig.head+":refs/heads/ours")
	cmd.Dir = rig.project.Dir()
	cmd.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+origin.Header, "GIT_TERMINAL_PROMPT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("push: %v: %s", err, out)
	}
	if rig.project.Head("ours") != rig.head {
		t.Error("the push did not arrive")
	}
	rig.Config.GitOps = false
	if _, err := rig.Writable(t.Context(), rig.record()); !errors.Is(err, builder.ErrDenied) || !strings.Contains(err.Error(), "forges.gitlab") {
		t.Errorf("error %v, want builder.ErrDenied that names the setting", err)
	}
}

func TestOpenPull(t *testing.T) {
	rig := newNoteRig(t)
	const ours = "registry-build/x"
	if _, err := rig.project.Push(gitlabtest.Push{User: "ada", Branch: ours, Files: map[string]string{"x.yaml": "1"}}); err != nil {
		t.Fatal(err)
	}
	open := func(title, body string) string {
		t.Helper()
		url, err := rig.OpenPull(t.Context(), rig.record(), ours, "main", title, body)
		if err != nil {
			t.Fatal(err)
		}
		return url
	}
	merges := func() []*gitlab.MergeRequest {
		t.Helper()
		list, _, err := rig.ada.MergeRequests.ListProjectMergeRequests(rig.id, &gitlab.ListProjectMergeRequestsOptions{SourceBranch: gitlab.Ptr(ours)})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	url := open("api: v1", "```text\nImage: a\n```\n/close\n")
	all := merges()
	if len(all) != 1 || all[0].Title != "api: v1" || url != all[0].WebURL || all[0].State != "opened" || !strings.HasPrefix(all[0].Description, "```text\nImage: a\n```\n /close") {
		t.Fatalf("at %s: %+v", url, all)
	}
	before := len(rig.server.Requests("PUT /projects/**"))
	if again := open("api: v1", "```text\nImage: a\n```\n/close\n"); again != url || len(rig.server.Requests("PUT /projects/**")) != before {
		t.Errorf("the same again: %s, %d changes", again, len(rig.server.Requests("PUT /projects/**"))-before)
	}
	if _, _, err := rig.ada.MergeRequests.UpdateMergeRequest(rig.id, all[0].IID, &gitlab.UpdateMergeRequestOptions{Title: gitlab.Ptr("Draft: api: v1")}); err != nil {
		t.Fatal(err)
	}
	if again := open(strings.Repeat("ü", 300), "newer"); again != url {
		t.Errorf("changed at %s", again)
	}
	if all = merges(); len(all) != 1 || !strings.HasPrefix(all[0].Title, "Draft: üü") || len([]rune(all[0].Title)) != maxMergeTitle || all[0].Description != "newer" {
		t.Errorf("changed: %+v", all[0])
	}
	if _, _, err := rig.ada.MergeRequests.UpdateMergeRequest(rig.id, all[0].IID, &gitlab.UpdateMergeRequestOptions{StateEvent: gitlab.Ptr("close")}); err != nil {
		t.Fatal(err)
	}
	if next := open("api: v2", "x"); next == url {
		t.Errorf("what was closed is at %s", next)
	}
}

func TestOpenPullOnce(t *testing.T) {
	rig := newNoteRig(t)
	rig.server.FailNext("POST /projects/*/merge_requests", 1, gitlabtest.LostAnswer())
	if _, err := rig.project.Push(gitlabtest.Push{User: "ada", Branch: "ours", Files: map[string]string{"x.yaml": "1"}}); err != nil {
		t.Fatal(err)
	}
	url, err := rig.OpenPull(t.Context(), rig.record(), "ours", "main", "t", "b")
	if err != nil || !strings.HasSuffix(url, "/-/merge_requests/2") {
		t.Errorf("at %s: %v", url, err)
	}
}

// A fork may have a branch of the same name, and a merge request from it.
func TestOpenPullBesideAFork(t *testing.T) {
	rig := newNoteRig(t)
	if _, err := rig.project.Push(gitlabtest.Push{User: "ada", Branch: "ours", Files: map[string]string{"x.yaml": "1"}}); err != nil {
		t.Fatal(err)
	}
	fork, err := rig.project.Fork("ada")
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, err := rig.ada.MergeRequests.CreateMergeRequest(int(fork.ID()), &gitlab.CreateMergeRequestOptions{
		Title: gitlab.Ptr("theirs"), SourceBranch: gitlab.Ptr("ours"), TargetBranch: gitlab.Ptr("main"), TargetProjectID: &rig.id,
	})
	if err != nil {
		t.Fatal(err)
	}
	url, err := rig.OpenPull(t.Context(), rig.record(), "ours", "main", "ours", "b")
	if err != nil || url == theirs.WebURL {
		t.Errorf("at %s, theirs is %s: %v", url, theirs.WebURL, err)
	}
}

func TestOpenPullRefused(t *testing.T) {
	rig := newNoteRig(t)
	_, err := rig.OpenPull(t.Context(), rig.record(), "there-is-none", "main", "t", "b")
	if !errors.Is(err, builder.ErrDenied) {
		t.Errorf("a branch that is not there: %v", err)
	}
	rig.server.FailNext("POST /projects/*/merge_requests", 1, gitlabtest.Refused(403, map[string]string{"message": "403 Forbidden"}))
	if _, err := rig.OpenPull(t.Context(), rig.record(), "main", "feature", "t", "b"); !errors.Is(err, builder.ErrDenied) {
		t.Errorf("not permitted: %v", err)
	}
}
