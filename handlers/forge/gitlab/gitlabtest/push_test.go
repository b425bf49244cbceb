package gitlabtest_test

import (
	"bytes"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// TestGitPush is a person with git: clone, push, tag, delete.
func TestGitPush(t *testing.T) {
	for _, at := range []string{"", "/gitlab"} {
		t.Run("below "+at+"/", func(t *testing.T) {
			w := newWorld(t, func(o *gitlabtest.Options) { o.RelativeURL = at })
			w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL, Token: secret})
			gitPush(t, w)
		})
	}
}

func gitPush(t *testing.T, w *world) {
	dir := filepath.Join(t.TempDir(), "shop")
	git(t, ".", "clone", "-q", w.project.PushURL("alice"), dir)
	if err := os.WriteFile(filepath.Join(dir, "new.txt"), []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.project.Head("main")
	git(t, dir, "add", "new.txt")
	git(t, dir, "commit", "-q", "-m", "Add new.txt")
	git(t, dir, "push", "-q", "origin", "main")
	w.settle(t)
	events, all := w.hooks.take()
	if diff := cmp.Diff([]string{"Push Hook"}, events); diff != "" {
		t.Fatal(diff)
	}
	push := must(gitlab.ParseWebhook(gitlab.EventTypePush, all[0].body))(t).(*gitlab.PushEvent)
	got := []any{push.Ref, push.Before, push.After, push.CheckoutSHA, push.Commits[0].Added, push.UserUsername, push.ProjectID, push.Project.PathWithNamespace, push.TotalCommitsCount, all[0].token}
	want := []any{"refs/heads/main", before, w.project.Head("main"), w.project.Head("main"), []string{"new.txt"}, "alice", w.project.ID(), "acme/platform/shop", int64(1), secret}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, step := range []struct {
		name string
		args []string
		want []string
	}{
		{"new branch", []string{"push", "-q", "origin", "main:feature/x"}, []string{"Push Hook"}},
		{"deleted branch", []string{"push", "-q", "origin", ":feature/x"}, []string{"Push Hook"}},
		{"three branches", []string{"push", "-q", "origin", "main:a", "main:b", "main:c"}, []string{"Push Hook", "Push Hook", "Push Hook"}},
		{"four branches", []string{"push", "-q", "origin", "main:d", "main:e", "main:f", "main:g"}, nil},
		{"three tags", []string{"push", "-q", "origin", "main:refs/tags/a", "main:refs/tags/b", "main:refs/tags/c"}, []string{"Tag Push Hook", "Tag Push Hook", "Tag Push Hook"}},
		{"four tags and a branch", []string{"push", "-q", "origin", "main:refs/tags/d", "main:refs/tags/e", "main:refs/tags/f", "main:refs/tags/g", "main:h"}, []string{"Push Hook"}},
		{"nothing new", []string{"push", "-q", "origin", "main"}, nil},
		{"forced", []string{"push", "-q", "-f", "origin", "main~1:refs/heads/a"}, []string{"Push Hook"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			git(t, dir, step.args...)
			w.settle(t)
			events, _ := w.hooks.take()
			if diff := cmp.Diff(step.want, events); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// TestPushPayload looks at what differs from push to push.
func TestPushPayload(t *testing.T) {
	w := newWorld(t)
	w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL, Token: secret})
	first := w.project.Head("main")
	var files []string
	next := func(t *testing.T, p gitlabtest.Push) string {
		files = append(files, "x")
		p.Files = map[string]string{"n": strings.Repeat("x", len(files))}
		return must(w.project.Push(p))(t)
	}
	zero := strings.Repeat("0", 40)
	for _, test := range []struct {
		name string
		do   func(*testing.T)
		want func() []any // ref, before, after, checkout_sha, commits, total
	}{
		{"amended", func(t *testing.T) {
			next(t, gitlabtest.Push{Branch: "topic"})
			next(t, gitlabtest.Push{Branch: "topic", Amend: true})
		},
			func() []any {
				return []any{"refs/heads/topic", "", w.project.Head("topic"), w.project.Head("topic"), 1, int64(1)}
			}},
		{"branch of nothing new", func(t *testing.T) { must(0, w.project.SetRef("alice", "refs/heads/same", first))(t) },
			func() []any { return []any{"refs/heads/same", zero, first, first, 0, int64(0)} }},
		{"deleted", func(t *testing.T) { must(0, w.project.Delete("alice", "same"))(t) },
			func() []any { return []any{"refs/heads/same", first, zero, "", 0, int64(0)} }},
		{"tag", func(t *testing.T) { must(0, w.project.Tag("alice", "v1", "main", ""))(t) },
			func() []any { return []any{"refs/tags/v1", zero, first, first, 1, int64(1)} }},
		{"annotated tag", func(t *testing.T) { must(0, w.project.Tag("alice", "v2", "main", "Version two"))(t) },
			func() []any { return []any{"refs/tags/v2", zero, "not " + first, first, 1, int64(1)} }},
		{"tag deleted", func(t *testing.T) { must(0, w.project.DeleteTag("alice", "v1"))(t) },
			func() []any { return []any{"refs/tags/v1", first, zero, "", 0, int64(0)} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.do(t)
			w.settle(t)
			_, all := w.hooks.take()
			last := all[len(all)-1]
			push := must(gitlab.ParseWebhook(gitlab.EventType(last.event), last.body))(t)
			var got []any
			switch e := push.(type) {
			case *gitlab.PushEvent:
				got = []any{e.Ref, e.Before, e.After, e.CheckoutSHA, len(e.Commits), e.TotalCommitsCount}
			case *gitlab.TagEvent:
				got = []any{e.Ref, e.Before, e.After, e.CheckoutSHA, len(e.Commits), e.TotalCommitsCount}
				if want := map[string]string{"annotated tag": "Version two"}[test.name]; e.Message != want {
					t.Errorf("message %q, not %q", e.Message, want)
				}
			}
			want := test.want()
			if want[1] == "" {
				want[1] = got[1]
			}
			if want[2] == "not "+first && got[2] != first {
				want[2] = got[2] // the tag's own object
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLargePush is more than git sends in one piece: chunked, and compressed
// the other way.
func TestLargePush(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "shop")
	git(t, ".", "clone", "-q", w.project.PushURL("alice"), dir)
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise)
	if err := os.WriteFile(filepath.Join(dir, "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "noise")
	git(t, dir, "commit", "-q", "-m", "Add noise")
	git(t, dir, "push", "-q", "origin", "main")
	again := filepath.Join(t.TempDir(), "again")
	git(t, ".", "clone", "-q", w.project.PushURL("alice"), again)
	if got := must(os.ReadFile(filepath.Join(again, "noise")))(t); !bytes.Equal(got, noise) {
		t.Errorf("%d bytes came back", len(got))
	}
}

// TestGitAccess says who may read and write.
func TestGitAccess(t *testing.T) {
	w := newWorld(t)
	other := must(w.AddProject("acme/other", gitlabtest.ProjectOptions{Files: map[string]string{"a": "a"}}))(t)
	public := must(w.AddProject("acme/public", gitlabtest.ProjectOptions{Visibility: "public", Files: map[string]string{"a": "a"}}))(t)
	w.project.SetMember("reporter", gitlabtest.Reporter)
	w.project.SetMember("guest", gitlabtest.Guest)
	bot := w.project.CreateToken(gitlabtest.TokenOptions{Scopes: []string{"read_repository"}})
	api := w.project.CreateToken(gitlabtest.TokenOptions{Scopes: []string{"api"}})
	readAPI := w.project.CreateToken(gitlabtest.TokenOptions{Scopes: []string{"read_api"}})
	revoked := w.project.CreateToken(gitlabtest.TokenOptions{})
	revoked.Revoke()
	for _, test := range []struct {
		name, password string
		project        *gitlabtest.Project
		push, ok       bool
	}{
		{"read_repository reads", bot.Value, w.project, false, true},
		{"read_repository writes", bot.Value, w.project, true, false},
		{"api writes", api.Value, w.project, true, true},
		{"read_api reads", readAPI.Value, w.project, false, false},
		{"another project", api.Value, other, false, false},
		{"revoked", revoked.Value, w.project, false, false},
		{"wrong", "glpat-wrong", w.project, false, false},
		{"none at a private one", "", w.project, false, false},
		{"none at a public one", "", public, false, true},
		{"none writes", "", public, true, false},
		{"reporter reads", w.AddUser("reporter"), w.project, false, true},
		{"reporter writes", w.AddUser("reporter"), w.project, true, false},
		{"guest reads", w.AddUser("guest"), w.project, false, false},
		{"stranger reads a public one", w.AddUser("stranger"), public, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			remote := must(url.Parse(test.project.CloneURL()))(t)
			if test.password != "" {
				remote.User = url.UserPassword("oauth2", test.password)
			}
			args := []string{"ls-remote", remote.String(), "HEAD"}
			if test.push {
				args = []string{"push", remote.String(), "HEAD:refs/heads/x"}
			}
			if out, err := gitCommand(test.project.Dir(), args...).CombinedOutput(); (err == nil) != test.ok {
				t.Errorf("git %s: %v\n%s", args[0], err, out)
			}
		})
	}
	t.Run("any commit by its hash", func(t *testing.T) {
		first := w.project.Head("main")
		must(w.project.Push(gitlabtest.Push{Amend: true, Files: map[string]string{"x": "x"}}))(t)
		dir := t.TempDir()
		git(t, dir, "init", "-q")
		git(t, dir, "fetch", "-q", "--depth=1", strings.Replace(w.project.CloneURL(), "http://", "http://oauth2:"+bot.Value+"@", 1), first)
	})
}

// TestProtection is what git may not do to a protected branch.
func TestProtection(t *testing.T) {
	w := newWorld(t)
	w.project.SetMember("dev", gitlabtest.Developer)
	must(w.project.Push(gitlabtest.Push{Files: map[string]string{"b": "b"}}))(t)
	for _, test := range []struct {
		name, user, refspec, want string
	}{
		{"a developer's branch", "dev", "HEAD:refs/heads/topic", ""},
		{"a developer's tag", "dev", "HEAD:refs/tags/v1", ""},
		{"a developer on main", "dev", "HEAD:main", "not allowed to push code to protected branches"},
		{"forced", "alice", "+HEAD~2:main", "not allowed to force push code to a protected branch"},
		{"deleted", "alice", ":main", "only delete protected branches using the web interface"},
		{"GitLab's own", "alice", "HEAD:refs/merge-requests/1/head", "deny updating a hidden ref"},
		{"a maintainer on main", "alice", "HEAD:main", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "shop")
			git(t, ".", "clone", "-q", w.project.PushURL(test.user), dir)
			git(t, dir, "commit", "-q", "--allow-empty", "-m", test.name)
			out, err := gitCommand(dir, "push", "origin", test.refspec).CombinedOutput()
			if (err == nil) != (test.want == "") || !strings.Contains(string(out), test.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestMoves renames and moves: git, pages and the API lead from the old path to
// the new until somebody takes it.
func TestMoves(t *testing.T) {
	w := newWorld(t)
	remote := w.project.PushURL("alice")
	system := receive(t)
	w.AddSystemHook(gitlabtest.HookOptions{URL: system.URL})
	must(0, w.project.Rename("store"))(t)
	git(t, ".", "ls-remote", remote, "HEAD")
	alice := w.as(t, w.AddUser("alice"))
	found, _, err := alice.Projects.GetProject("acme/platform/shop", nil)
	if err != nil || found.PathWithNamespace != "acme/platform/store" || found.ID != w.project.ID() {
		t.Fatalf("%v %v", found, err)
	}
	if _, res, _ := alice.Branches.CreateBranch("acme/platform/shop", &gitlab.CreateBranchOptions{Branch: gitlab.Ptr("x"), Ref: gitlab.Ptr("main")}); status(res) != 405 {
		t.Errorf("a branch was made by the old path: %d", status(res))
	}
	must(0, w.AddGroupOnly(t, "elsewhere"))(t)
	must(0, w.project.Transfer("elsewhere"))(t)
	if found, _, err = alice.Projects.GetProject(w.project.ID(), nil); err != nil || found.PathWithNamespace != "elsewhere/store" {
		t.Errorf("%v %v", found, err)
	}
	must(w.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{}))(t)
	if _, res, _ := alice.Projects.GetProject("acme/platform/shop", nil); status(res) != 404 {
		t.Errorf("the taken path answers %d", status(res))
	}
	w.project.Remove()
	if _, res, _ := alice.Projects.GetProject(w.project.ID(), nil); status(res) != 404 {
		t.Errorf("the deleted project answers %d", status(res))
	}
	w.settle(t)
	_, all := system.take()
	var names []string
	for _, d := range all {
		event := must(gitlab.ParseSystemhook(d.body))(t)
		switch e := event.(type) {
		case *gitlab.ProjectSystemEvent:
			names = append(names, e.EventName+" "+e.OldPathWithNamespace)
		default:
			t.Errorf("%T", event)
		}
	}
	want := []string{"project_rename acme/platform/shop", "project_transfer acme/platform/store", "project_destroy "}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// AddGroupOnly makes a group where its number does not matter.
func (w *world) AddGroupOnly(t *testing.T, path string) error {
	t.Helper()
	_, err := w.AddGroup(path, "")
	return err
}
