package githubtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestEmulator makes the calls that the independent emulator has, through the
// validator: what we ask of it must be what GitHub describes.
func TestEmulator(t *testing.T) {
	hooks := receive(t)
	e := githubtest.NewEmulator(t, hooks.URL)
	ctx := t.Context()
	person := must(github.NewClient(nil).WithAuthToken(e.UserToken).WithEnterpriseURLs(e.Direct+"/", e.Direct))(t)
	person.BaseURL.Path = "/" // it has no /api/v3
	appTransport := must(ghinstallation.NewAppsTransport(http.DefaultTransport, e.AppID, []byte(e.PrivateKeyPEM)))(t)
	appTransport.BaseURL = e.API
	app := must(github.NewClient(&http.Client{Transport: appTransport}).WithEnterpriseURLs(e.API, e.API))(t)
	transport := must(ghinstallation.New(http.DefaultTransport, e.AppID, e.Installation, []byte(e.PrivateKeyPEM)))(t)
	transport.BaseURL = e.API
	inst := must(github.NewClient(&http.Client{Transport: transport}).WithEnterpriseURLs(e.API, e.API))(t)

	owner, repo := githubtest.EmulatedOrg, githubtest.EmulatedRepo
	file, _, err := person.Repositories.CreateFile(ctx, owner, repo, "Dockerfile", &github.RepositoryContentFileOptions{
		Message: github.String("Add Dockerfile"), Content: []byte("FROM scratch\n"), Branch: github.String("main"),
	})
	if err != nil {
		t.Fatal(err)
	}
	sha := file.GetSHA()
	check := func(name string, call func() (*github.Response, error)) {
		t.Helper()
		if _, err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("app", func() (*github.Response, error) { _, r, err := app.Apps.Get(ctx, ""); return r, err })
	check("installation", func() (*github.Response, error) {
		_, r, err := app.Apps.GetInstallation(ctx, e.Installation)
		return r, err
	})
	check("repository's installation", func() (*github.Response, error) {
		_, r, err := app.Apps.FindRepositoryInstallation(ctx, owner, repo)
		return r, err
	})
	check("repository", func() (*github.Response, error) { _, r, err := inst.Repositories.Get(ctx, owner, repo); return r, err })
	check("permission", func() (*github.Response, error) {
		p, r, err := inst.Repositories.GetPermissionLevel(ctx, owner, repo, githubtest.EmulatedUser)
		if p.GetPermission() != "admin" {
			t.Errorf("permission %q", p.GetPermission())
		}
		return r, err
	})
	check("contents", func() (*github.Response, error) {
		f, _, r, err := inst.Repositories.GetContents(ctx, owner, repo, "Dockerfile", &github.RepositoryContentGetOptions{Ref: sha})
		if err == nil {
			if text, err := f.GetContent(); text != "FROM scratch\n" {
				t.Errorf("contents %q, %v", text, err)
			}
		}
		return r, err
	})
	check("tree", func() (*github.Response, error) {
		_, r, err := inst.Git.GetTree(ctx, owner, repo, "main", true)
		return r, err
	})
	check("refs", func() (*github.Response, error) {
		_, r, err := inst.Git.ListMatchingRefs(ctx, owner, repo, &github.ReferenceListOptions{Ref: "heads/"})
		return r, err
	})
	check("branch", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetBranch(ctx, owner, repo, "main", 1)
		return r, err
	})
	check("commit", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetCommit(ctx, owner, repo, sha, nil)
		return r, err
	})

	var checkID, commentID int64
	check("check run", func() (*github.Response, error) {
		c, r, err := inst.Checks.CreateCheckRun(ctx, owner, repo, github.CreateCheckRunOptions{Name: "shop", HeadSHA: sha, Status: github.String("queued")})
		checkID = c.GetID()
		return r, err
	})
	check("update of a check run", func() (*github.Response, error) {
		c, r, err := inst.Checks.UpdateCheckRun(ctx, owner, repo, checkID, github.UpdateCheckRunOptions{
			Name: "shop", Status: github.String("completed"), Conclusion: github.String("success"),
			Output: &github.CheckRunOutput{Title: github.String("built"), Summary: github.String("done")},
		})
		if c.GetConclusion() != "success" {
			t.Errorf("conclusion %q", c.GetConclusion())
		}
		return r, err
	})
	check("check runs", func() (*github.Response, error) {
		_, r, err := inst.Checks.ListCheckRunsForRef(ctx, owner, repo, sha, nil)
		return r, err
	})
	check("rerequest", func() (*github.Response, error) { return inst.Checks.ReRequestCheckRun(ctx, owner, repo, checkID) })

	if _, _, err := person.Git.CreateRef(ctx, owner, repo, &github.Reference{Ref: github.String("refs/heads/topic"), Object: &github.GitObject{SHA: &sha}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := person.Repositories.CreateFile(ctx, owner, repo, "more", &github.RepositoryContentFileOptions{
		Message: github.String("More"), Content: []byte("more\n"), Branch: github.String("topic"),
	}); err != nil {
		t.Fatal(err)
	}
	pull, _, err := person.PullRequests.Create(ctx, owner, repo, &github.NewPullRequest{Title: github.String("More"), Head: github.String("topic"), Base: github.String("main")})
	if err != nil {
		t.Fatal(err)
	}
	check("pull", func() (*github.Response, error) {
		_, r, err := inst.PullRequests.Get(ctx, owner, repo, pull.GetNumber())
		return r, err
	})
	check("pull's files", func() (*github.Response, error) {
		_, r, err := inst.PullRequests.ListFiles(ctx, owner, repo, pull.GetNumber(), nil)
		return r, err
	})
	check("comment", func() (*github.Response, error) {
		c, r, err := inst.Issues.CreateComment(ctx, owner, repo, pull.GetNumber(), &github.IssueComment{Body: github.String("hello")})
		commentID = c.GetID()
		return r, err
	})
	check("edit comment", func() (*github.Response, error) {
		_, r, err := inst.Issues.EditComment(ctx, owner, repo, commentID, &github.IssueComment{Body: github.String("hello again")})
		return r, err
	})
	check("comments", func() (*github.Response, error) {
		_, r, err := inst.Issues.ListComments(ctx, owner, repo, pull.GetNumber(), nil)
		return r, err
	})

	if d := hooks.wait(t, "pull_request"); github.ValidateSignature(d.signature, d.body, []byte(githubtest.EmulatedSecret)) != nil {
		t.Errorf("signature %q of %s", d.signature, d.guid)
	}

	t.Run("a wrong request is seen", func(t *testing.T) {
		_, _, err := inst.Checks.CreateCheckRun(ctx, owner, repo, github.CreateCheckRunOptions{Name: "shop", HeadSHA: sha, Status: github.String("finished")})
		t.Log(err)
		if v := e.Validator.Take(); len(v) != 1 || !strings.Contains(v[0], "status") {
			t.Errorf("violations: %q", v)
		}
	})
}
