package gitlabtest_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// TestTokens is what each kind of token may do, and how it is refused.
func TestTokens(t *testing.T) {
	w := newWorld(t)
	expired := w.PersonalToken("bob", gitlabtest.TokenOptions{Expires: w.clock.now().AddDate(0, 0, -1)})
	revoked := w.PersonalToken("bob", gitlabtest.TokenOptions{})
	revoked.Revoke()
	w.Block("mallory")
	group := must(w.GroupToken("acme", gitlabtest.TokenOptions{Level: gitlabtest.Owner, Scopes: []string{"read_api"}}))(t)
	for _, test := range []struct {
		name, token string
		status      int
		text        string
	}{
		{"api", w.AddUser("alice"), 200, ""},
		{"project token", w.project.CreateToken(gitlabtest.TokenOptions{}).Value, 200, ""},
		{"group token", group.Value, 200, ""},
		{"read_repository", w.PersonalToken("alice", gitlabtest.TokenOptions{Scopes: []string{"read_repository"}}).Value, 403, "insufficient_scope"},
		{"none", "", 404, "404 Not Found"},
		{"wrong", "glpat-wrong", 401, "401 Unauthorized"},
		{"expired", expired.Value, 401, "Token is expired"},
		{"revoked", revoked.Value, 401, "Token was revoked"},
		{"blocked", w.AddUser("mallory"), 403, "blocked"},
		{"stranger", w.AddUser("stranger"), 404, "404 Not Found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, res, err := w.as(t, test.token).Projects.GetProject("acme/platform/shop", nil)
			if status(res) != test.status || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("%d %v, not %d %q", status(res), err, test.status, test.text)
			}
		})
	}
	t.Run("of itself", func(t *testing.T) {
		tok := w.project.CreateToken(gitlabtest.TokenOptions{Name: "builder", Scopes: []string{"read_repository"}})
		self, _, err := w.as(t, tok.Value).PersonalAccessTokens.GetSinglePersonalAccessToken()
		if err != nil || !self.Active || !slices.Equal(self.Scopes, []string{"read_repository"}) || time.Time(*self.ExpiresAt).IsZero() {
			t.Errorf("%+v %v", self, err)
		}
	})
	t.Run("bot", func(t *testing.T) {
		tok := w.project.CreateToken(gitlabtest.TokenOptions{Name: "builder"})
		user, _, err := w.as(t, tok.Value).Users.CurrentUser()
		if err != nil || !user.Bot || user.Username != tok.Username || !strings.HasPrefix(user.Username, fmt.Sprintf("project_%d_bot_", w.project.ID())) || user.Name != "builder" {
			t.Errorf("%+v %v", user, err)
		}
	})
	t.Run("bearer", func(t *testing.T) {
		req := must(http.NewRequest(http.MethodGet, w.API+"/user", nil))(t)
		req.Header.Set("Authorization", "Bearer "+w.AddUser("alice"))
		res := must(http.DefaultClient.Do(req))(t)
		_ = res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("answered %d", res.StatusCode)
		}
	})
}

// TestMembers are inherited, and their ends are told.
func TestMembers(t *testing.T) {
	w := newWorld(t)
	must(0, w.SetGroupMember("acme", "carol", gitlabtest.Developer))(t)
	w.project.SetMember("carol", gitlabtest.Guest)
	w.project.SetMemberUntil("dave", gitlabtest.Maintainer, w.clock.now().AddDate(0, 0, -1))
	alice := w.as(t, w.AddUser("alice"))
	member := func(username string) *gitlab.ProjectMember {
		t.Helper()
		users, _, err := alice.Users.ListUsers(&gitlab.ListUsersOptions{Username: gitlab.Ptr(username)})
		if err != nil || len(users) != 1 {
			t.Fatalf("%v %v", users, err)
		}
		m, _, err := alice.ProjectMembers.GetInheritedProjectMember(w.project.ID(), users[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := member("carol"); m.AccessLevel != gitlab.DeveloperPermissions || m.ExpiresAt != nil {
		t.Errorf("%+v", m)
	}
	if m := member("dave"); m.ExpiresAt == nil || !time.Time(*m.ExpiresAt).Before(w.clock.now()) {
		t.Errorf("%+v", m)
	}
	if _, res, _ := w.as(t, w.AddUser("dave")).Projects.GetProject(w.project.ID(), nil); status(res) != 404 {
		t.Errorf("an expired membership lets in: %d", status(res))
	}
	if _, res, _ := alice.ProjectMembers.GetInheritedProjectMember(w.project.ID(), 1); status(res) != 404 {
		t.Errorf("nobody is a member: %d", status(res))
	}
}

// TestLists are cut into pages by number and by key.
func TestLists(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		p := must(w.AddProject(fmt.Sprintf("acme/platform/deep/p%d", i), gitlabtest.ProjectOptions{}))(t)
		p.SetMember("alice", gitlabtest.Reporter)
	}
	must(w.AddProject("other/public", gitlabtest.ProjectOptions{Visibility: "public"}))(t)
	must(0, w.SetGroupMember("acme", "owner", gitlabtest.Owner))(t)
	alice, owner := w.as(t, w.AddUser("alice")), w.as(t, w.AddUser("owner"))
	paths := func(list []*gitlab.Project) (out []string) {
		for _, p := range list {
			out = append(out, p.PathWithNamespace)
		}
		return out
	}
	o := &gitlab.ListProjectsOptions{Membership: gitlab.Ptr(true), OrderBy: gitlab.Ptr("id"), Sort: gitlab.Ptr("asc"), ListOptions: gitlab.ListOptions{PerPage: 4, Pagination: "keyset"}}
	first, res, err := alice.Projects.ListProjects(o)
	if err != nil || len(first) != 4 || res.NextLink == "" || res.TotalItems != 0 {
		t.Fatalf("%d %v %+v", len(first), err, res)
	}
	second, res, err := alice.Projects.ListProjects(o, gitlab.WithKeysetPaginationParameters(res.NextLink))
	if err != nil || len(second) != 2 || res.NextLink != "" {
		t.Fatalf("%d %v %+v", len(second), err, res)
	}
	want := []string{"acme/platform/shop", "acme/platform/deep/p0", "acme/platform/deep/p1", "acme/platform/deep/p2", "acme/platform/deep/p3", "acme/platform/deep/p4"}
	if diff := cmp.Diff(want, paths(append(first, second...))); diff != "" {
		t.Error(diff)
	}
	if list, _, err := alice.Projects.ListProjects(&gitlab.ListProjectsOptions{Membership: gitlab.Ptr(true), MinAccessLevel: gitlab.Ptr(gitlab.MaintainerPermissions)}); err != nil || len(list) != 1 {
		t.Errorf("maintained: %v %v", paths(list), err)
	}
	if list, _, err := owner.Groups.ListGroupProjects("acme/platform", nil); err != nil || len(list) != 1 {
		t.Errorf("of the group alone: %v %v", paths(list), err)
	}
	list, res, err := owner.Groups.ListGroupProjects("acme", &gitlab.ListGroupProjectsOptions{IncludeSubGroups: gitlab.Ptr(true), ListOptions: gitlab.ListOptions{PerPage: 5}})
	if err != nil || len(list) != 5 || res.NextPage != 2 {
		t.Errorf("below the group: %v %+v %v", paths(list), res, err)
	}
	if _, res, _ := w.as(t, w.AddUser("stranger")).Groups.GetGroup("acme", nil); status(res) != 404 {
		t.Errorf("a private group answers %d", status(res))
	}
	group, _, err := alice.Groups.GetGroup("acme/platform", nil)
	if err != nil || group.FullPath != "acme/platform" || group.ParentID == 0 {
		t.Errorf("%+v %v", group, err)
	}
}

// TestRepository reads files and folders.
func TestRepository(t *testing.T) {
	w := newWorld(t)
	bot := w.as(t, w.project.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Developer}).Value)
	id := w.project.ID()
	file, _, err := bot.RepositoryFiles.GetFile(id, "src/main.go", &gitlab.GetFileOptions{Ref: gitlab.Ptr("main")})
	if err != nil || file.CommitID != w.project.Head("") {
		t.Fatalf("%+v %v", file, err)
	}
	if text, _ := base64.StdEncoding.DecodeString(file.Content); string(text) != "package main\n" {
		t.Errorf("%q", text)
	}
	for _, test := range []struct {
		name, path, ref string
		want            int
	}{
		{"no such file", "nothing", "main", 404},
		{"no such folder", "no/thing", "main", 404},
		{"no such ref", "Dockerfile", "nowhere", 404},
		{"a folder", "src", "main", 404},
		{"HEAD", "Dockerfile", "HEAD", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, res, _ := bot.RepositoryFiles.GetFile(id, test.path, &gitlab.GetFileOptions{Ref: gitlab.Ptr(test.ref)}); status(res) != test.want {
				t.Errorf("answered %d, not %d", status(res), test.want)
			}
		})
	}
	tree, _, err := bot.Repositories.ListTree(id, &gitlab.ListTreeOptions{Recursive: gitlab.Ptr(true)})
	if err != nil || len(tree) != 3 || tree[0].Path != "src" || tree[0].Type != "tree" {
		t.Errorf("%+v %v", tree, err)
	}
}

// TestCommits writes as the onboarding does.
func TestCommits(t *testing.T) {
	w := newWorld(t)
	bot := w.as(t, w.project.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Developer}).Value)
	id := w.project.ID()
	w.project.AddHook(gitlabtest.HookOptions{URL: w.hooks.URL})
	commit := func(branch, action string) (*gitlab.Commit, *gitlab.Response, error) {
		return bot.Commits.CreateCommit(id, &gitlab.CreateCommitOptions{
			Branch: gitlab.Ptr(branch), StartBranch: gitlab.Ptr("main"), CommitMessage: gitlab.Ptr("Add a build file"),
			Actions: []*gitlab.CommitActionOptions{{Action: gitlab.Ptr(gitlab.FileActionValue(action)), FilePath: gitlab.Ptr(".registry-build.yml"), Content: gitlab.Ptr("version: 1\n")}},
		})
	}
	made, _, err := commit("registry-build/setup", "create")
	if err != nil || made.ID != w.project.Head("registry-build/setup") || made.Stats.Additions != 1 {
		t.Fatalf("%+v %v", made, err)
	}
	w.settle(t)
	if events, _ := w.hooks.take(); !slices.Equal(events, []string{"Push Hook"}) {
		t.Errorf("%q", events)
	}
	if _, res, err := commit("registry-build/setup", "create"); status(res) != 400 || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the branch twice: %d %v", status(res), err)
	}
	if _, res, _ := commit("other", "update"); status(res) != 400 {
		t.Errorf("an update of what is not there: %d", status(res))
	}
	if _, res, _ := bot.Commits.CreateCommit(id, &gitlab.CreateCommitOptions{Branch: gitlab.Ptr("main"), CommitMessage: gitlab.Ptr("x"), Actions: []*gitlab.CommitActionOptions{{Action: gitlab.Ptr(gitlab.FileDelete), FilePath: gitlab.Ptr("Dockerfile")}}}); status(res) != 403 {
		t.Errorf("a developer wrote to a protected branch: %d", status(res))
	}
	branch, _, err := bot.Branches.GetBranch(id, "registry-build/setup")
	if err != nil || branch.Protected || branch.Commit.ID != made.ID {
		t.Errorf("%+v %v", branch, err)
	}
	if main, _, err := bot.Branches.GetBranch(id, "main"); err != nil || !main.Protected || !main.Default || main.CanPush {
		t.Errorf("%+v %v", main, err)
	}
	if _, res, _ := bot.Branches.GetBranch(id, "nothing"); status(res) != 404 {
		t.Errorf("no branch: %d", status(res))
	}
	must(0, w.project.Tag("alice", "v1", "main", "Version one"))(t)
	if tags, _, err := bot.Tags.ListTags(id, nil); err != nil || len(tags) != 1 || tags[0].Message != "Version one" {
		t.Errorf("%+v %v", tags, err)
	}
	if got, _, err := bot.Commits.GetCommit(id, "registry-build/setup", nil); err != nil || got.ID != made.ID || got.ParentIDs[0] != w.project.Head("main") {
		t.Errorf("%+v %v", got, err)
	}
}

// TestFailures lets the server fail on demand.
func TestFailures(t *testing.T) {
	w := newWorld(t)
	alice := w.as(t, w.AddUser("alice"))
	get := func() (int, error) {
		_, res, err := alice.Projects.GetProject(w.project.ID(), nil)
		return status(res), err
	}
	for _, test := range []struct {
		name    string
		failure gitlabtest.Failure
		want    int
	}{
		{"502", gitlabtest.BadGateway(), 502},
		{"503", gitlabtest.Unavailable(), 503},
		{"429", gitlabtest.TooManyRequests(3 * time.Second), 429},
		{"409", gitlabtest.Conflict("there is a lock"), 409},
		{"lag", gitlabtest.Lag(), 404},
		{"dropped once", gitlabtest.Dropped(), 200}, // Go itself asks again
		{"slow", gitlabtest.Slow(time.Millisecond), 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.FailNext("GET /projects/*", 1, test.failure)
			if got, err := get(); got != test.want {
				t.Errorf("answered %d %v, not %d", got, err, test.want)
			}
			if got, err := get(); got != 200 {
				t.Errorf("then %d %v", got, err)
			}
		})
	}
	t.Run("lost answer", func(t *testing.T) {
		w.FailNext("POST /projects/*/repository/branches", 1, gitlabtest.LostAnswer())
		_, _, err := alice.Branches.CreateBranch(w.project.ID(), &gitlab.CreateBranchOptions{Branch: gitlab.Ptr("lost"), Ref: gitlab.Ptr("main")})
		if err == nil || w.project.Head("lost") == "" {
			t.Errorf("%v, branch at %q", err, w.project.Head("lost"))
		}
	})
	if got := w.Requests("GET /projects/*"); len(got) < 2 || !got[0].Failed || got[1].Username != "alice" {
		t.Errorf("%d requests, not as they were made", len(got))
	}
}
