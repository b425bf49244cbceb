package githubtest_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestGitPush is a person with git: clone, push, tag, delete.
func TestGitPush(t *testing.T) {
	w := newWorld(t)
	w.repo.SetCollaborator("alice", "write")
	dir := filepath.Join(t.TempDir(), "shop")
	git(t, ".", "clone", "-q", w.repo.PushURL("alice"), dir)
	if err := os.WriteFile(filepath.Join(dir, "new.txt"), []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.repo.Head("main")
	git(t, dir, "add", "new.txt")
	git(t, dir, "commit", "-q", "-m", "Add new.txt")
	git(t, dir, "push", "-q", "origin", "main")
	w.settle(t)
	names, all := w.hooks.take()
	if diff := cmp.Diff([]string{"push", "check_suite.requested"}, names); diff != "" {
		t.Fatal(diff)
	}
	event := must(github.ParseWebHook("push", all[0].body))(t).(*github.PushEvent)
	got := []any{
		event.GetRef(), event.GetBefore(), event.GetAfter(), event.GetCreated(), event.GetForced(), event.Commits[0].Added, event.GetSender().GetLogin(),
		event.GetInstallation().GetID(), event.GetRepo().GetID(), event.GetRepo().GetFullName(),
	}
	want := []any{
		"refs/heads/main", before, w.repo.Head("main"), false, false, []string{"new.txt"}, "alice",
		w.inst.ID, w.repo.ID(), "acme/shop",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := github.ValidateSignature(all[0].signature, all[0].body, []byte(w.app.HookSecret)); err != nil {
		t.Error(err)
	}

	for _, step := range []struct {
		name string
		args []string
		want []string
	}{
		{"new branch", []string{"push", "-q", "origin", "main:feature/x"}, []string{"create", "push", "check_suite.requested"}},
		{"deleted branch", []string{"push", "-q", "origin", ":feature/x"}, []string{"delete", "push"}},
		{"three tags", []string{"push", "-q", "origin", "main:refs/tags/a", "main:refs/tags/b", "main:refs/tags/c"}, []string{"create", "push", "create", "push", "create", "push"}},
		{"four tags", []string{"push", "-q", "origin", "main:refs/tags/d", "main:refs/tags/e", "main:refs/tags/f", "main:refs/tags/g"}, nil},
		{"nothing new", []string{"push", "-q", "origin", "main"}, nil},
		{"forced", []string{"push", "-q", "-f", "origin", "main~1:main"}, []string{"push", "check_suite.requested"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			git(t, dir, step.args...)
			w.settle(t)
			names, all := w.hooks.take()
			if diff := cmp.Diff(step.want, names); diff != "" {
				t.Fatal(diff)
			}
			if step.name == "forced" {
				var push struct{ Forced bool }
				if err := json.Unmarshal(all[0].body, &push); err != nil || !push.Forced {
					t.Errorf("forced: %v %v", push.Forced, err)
				}
			}
		})
	}
}

// TestLargePush is more than git sends in one piece: chunked, and compressed
// the other way.
func TestLargePush(t *testing.T) {
	w := newWorld(t)
	w.repo.SetCollaborator("alice", "write")
	dir := filepath.Join(t.TempDir(), "shop")
	git(t, ".", "clone", "-q", w.repo.PushURL("alice"), dir)
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise)
	if err := os.WriteFile(filepath.Join(dir, "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "noise")
	git(t, dir, "commit", "-q", "-m", "Add noise")
	git(t, dir, "push", "-q", "origin", "main")
	again := filepath.Join(t.TempDir(), "again")
	git(t, ".", "clone", "-q", w.repo.PushURL("alice"), again)
	if got := must(os.ReadFile(filepath.Join(again, "noise")))(t); !bytes.Equal(got, noise) {
		t.Errorf("%d bytes came back", len(got))
	}
}

// TestGitAccess says who may read and write a private repository.
func TestGitAccess(t *testing.T) {
	w := newWorld(t)
	other := must(w.AddRepo("acme/other", githubtest.RepoOptions{Private: true, Files: map[string]string{"a": "a"}}))(t)
	w.repo.SetCollaborator("reader", "read")
	token := func(o *github.InstallationTokenOptions) string {
		t.Helper()
		token, _, err := w.asApp(t).Apps.CreateInstallationToken(w.ctx, w.inst.ID, o)
		if err != nil {
			t.Fatal(err)
		}
		return token.GetToken()
	}
	contents := token(&github.InstallationTokenOptions{RepositoryIDs: []int64{w.repo.ID()}, Permissions: &github.InstallationPermissions{Contents: github.String("read")}})
	checks := token(&github.InstallationTokenOptions{Permissions: &github.InstallationPermissions{Checks: github.String("write")}})
	for _, test := range []struct {
		name, password string
		repo           *githubtest.Repo
		push, ok       bool
	}{
		{"token with contents", contents, w.repo, false, true},
		{"token of another repository", contents, other, false, false},
		{"token without contents", checks, w.repo, false, false},
		{"push with contents:read", contents, w.repo, true, false},
		{"wrong token", "ghs_wrong", w.repo, false, false},
		{"reader reads", w.AddUser("reader"), w.repo, false, true},
		{"reader writes", w.AddUser("reader"), w.repo, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			remote := must(url.Parse(test.repo.CloneURL()))(t)
			remote.User = url.UserPassword("x-access-token", test.password)
			args := []string{"ls-remote", remote.String(), "HEAD"}
			if test.push {
				args = []string{"push", remote.String(), "HEAD:refs/heads/x"}
			}
			cmd := gitCommand(test.repo.Dir(), args...)
			if out, err := cmd.CombinedOutput(); (err == nil) != test.ok {
				t.Errorf("git %s: %v\n%s", args[0], err, out)
			}
		})
	}
	t.Run("any commit by its hash", func(t *testing.T) {
		first := w.repo.Head("main")
		must(w.repo.Push(githubtest.Push{Amend: true, Files: map[string]string{"x": "x"}}))(t)
		dir := t.TempDir()
		git(t, dir, "init", "-q")
		git(t, dir, "fetch", "-q", "--depth=1", strings.Replace(w.repo.CloneURL(), "http://", "http://x-access-token:"+contents+"@", 1), first)
	})
}

// TestPullFromFork has a head in another repository and refs that the base keeps.
func TestPullFromFork(t *testing.T) {
	w := newWorld(t)
	fork := must(w.repo.Fork("mallory"))(t)
	head := must(fork.Push(githubtest.Push{User: "mallory", Branch: "evil", Files: map[string]string{"Dockerfile": "FROM evil\n"}}))(t)
	number := must(w.repo.OpenPull(githubtest.Pull{User: "mallory", From: fork, Head: "evil"}))(t)
	if got := w.repo.Head("refs/pull/1/head"); got != head {
		t.Errorf("refs/pull/1/head is %s, not %s", got, head)
	}
	next := must(fork.Push(githubtest.Push{User: "mallory", Branch: "evil", Files: map[string]string{"more": "x"}}))(t)
	w.settle(t)
	names, all := w.hooks.take()
	if diff := cmp.Diff([]string{"pull_request.opened", "pull_request.synchronize"}, names); diff != "" {
		t.Fatal(diff)
	}
	event := must(github.ParseWebHook("pull_request", all[1].body))(t).(*github.PullRequestEvent)
	got := []any{event.GetBefore(), event.GetAfter(), event.PullRequest.Head.Repo.GetFullName(), event.PullRequest.Base.Repo.GetFullName(), event.GetNumber(), event.GetSender().GetLogin()}
	if diff := cmp.Diff([]any{head, next, "mallory/shop", "acme/shop", number, "mallory"}, got); diff != "" {
		t.Error(diff)
	}
	merge := w.repo.Head("refs/pull/1/merge")
	if parents := git(t, w.repo.Dir(), "rev-list", "--parents", "-1", merge); !strings.HasSuffix(parents, w.repo.Head("main")+" "+next) {
		t.Errorf("refs/pull/1/merge: %s", parents)
	}
	if err := w.repo.ClosePull(number, "octocat", true); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	names, _ = w.hooks.take()
	if diff := cmp.Diff([]string{"pull_request.closed", "push", "check_suite.requested"}, names); diff != "" {
		t.Error(diff)
	}
}
