package githubtest_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestEveryOperation calls what the double has, with the validator on.
func TestEveryOperation(t *testing.T) {
	w := newWorld(t)
	w.AddUser("alice")
	w.repo.SetCollaborator("alice", "write")
	w.repo.Protect("main", true)
	head := must(w.repo.Push(githubtest.Push{User: "alice", Branch: "feature", Files: map[string]string{"a.txt": "a\n"}}))(t)
	number := must(w.repo.OpenPull(githubtest.Pull{User: "alice", Head: "feature", Body: "text"}))(t)
	if err := w.repo.Tag("alice", "v1", "main", "the first"); err != nil {
		t.Fatal(err)
	}
	app, inst := w.asApp(t), w.asInstallation(t, nil)
	ctx, owner, repo := w.ctx, "acme", "shop"
	check := func(name string, call func() (*github.Response, error)) {
		t.Helper()
		if _, err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	var checkID, commentID, commitCommentID, reactionID, deploymentID, suiteID int64
	check("app", func() (*github.Response, error) { _, r, err := app.Apps.Get(ctx, ""); return r, err })
	check("installations", func() (*github.Response, error) { _, r, err := app.Apps.ListInstallations(ctx, nil); return r, err })
	check("installation", func() (*github.Response, error) { _, r, err := app.Apps.GetInstallation(ctx, w.inst.ID); return r, err })
	check("repository's installation", func() (*github.Response, error) {
		_, r, err := app.Apps.FindRepositoryInstallation(ctx, owner, repo)
		return r, err
	})
	check("hook config", func() (*github.Response, error) { _, r, err := app.Apps.GetHookConfig(ctx); return r, err })
	check("edit hook config", func() (*github.Response, error) {
		_, r, err := app.Apps.UpdateHookConfig(ctx, &github.HookConfig{URL: &w.app.HookURL, ContentType: github.String("json")})
		return r, err
	})
	check("token", func() (*github.Response, error) {
		_, r, err := app.Apps.CreateInstallationToken(ctx, w.inst.ID, &github.InstallationTokenOptions{
			RepositoryIDs: []int64{w.repo.ID()}, Permissions: &github.InstallationPermissions{Contents: github.String("read")},
		})
		return r, err
	})
	check("installation's repositories", func() (*github.Response, error) { _, r, err := inst.Apps.ListRepos(ctx, nil); return r, err })
	check("rate limit", func() (*github.Response, error) { _, r, err := inst.RateLimit.Get(ctx); return r, err })

	check("repository", func() (*github.Response, error) { _, r, err := inst.Repositories.Get(ctx, owner, repo); return r, err })
	check("repository by id", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetByID(ctx, w.repo.ID())
		return r, err
	})
	check("permission", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetPermissionLevel(ctx, owner, repo, "alice")
		return r, err
	})
	check("branches", func() (*github.Response, error) {
		_, r, err := inst.Repositories.ListBranches(ctx, owner, repo, nil)
		return r, err
	})
	check("branch", func() (*github.Response, error) {
		b, r, err := inst.Repositories.GetBranch(ctx, owner, repo, "main", 1)
		if err == nil && !b.GetProtected() {
			t.Error("main is not protected")
		}
		return r, err
	})
	check("tags", func() (*github.Response, error) {
		_, r, err := inst.Repositories.ListTags(ctx, owner, repo, nil)
		return r, err
	})
	check("contents of a file", func() (*github.Response, error) {
		f, _, r, err := inst.Repositories.GetContents(ctx, owner, repo, "src/main.go", &github.RepositoryContentGetOptions{Ref: "main"})
		if err == nil {
			if text, err := f.GetContent(); text != "package main\n" {
				t.Errorf("contents %q, %v", text, err)
			}
		}
		return r, err
	})
	check("contents of a folder", func() (*github.Response, error) {
		_, d, r, err := inst.Repositories.GetContents(ctx, owner, repo, "", nil)
		if len(d) != 3 {
			t.Errorf("%d entries in the root", len(d))
		}
		return r, err
	})
	check("tree", func() (*github.Response, error) {
		tree, r, err := inst.Git.GetTree(ctx, owner, repo, "main", true)
		if len(tree.Entries) != 4 {
			t.Errorf("%d entries in the tree", len(tree.Entries))
		}
		return r, err
	})
	check("refs", func() (*github.Response, error) {
		refs, r, err := inst.Git.ListMatchingRefs(ctx, owner, repo, &github.ReferenceListOptions{Ref: "heads/"})
		if len(refs) != 2 {
			t.Errorf("%d branches", len(refs))
		}
		return r, err
	})
	check("all refs", func() (*github.Response, error) {
		_, r, err := inst.Git.ListMatchingRefs(ctx, owner, repo, &github.ReferenceListOptions{Ref: "tags/v"})
		return r, err
	})
	check("ref and tag", func() (*github.Response, error) {
		ref, r, err := inst.Git.GetRef(ctx, owner, repo, "tags/v1")
		if err != nil {
			return r, err
		}
		_, r, err = inst.Git.GetTag(ctx, owner, repo, ref.Object.GetSHA())
		return r, err
	})
	check("commit", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetCommit(ctx, owner, repo, head, nil)
		return r, err
	})
	check("git commit", func() (*github.Response, error) {
		_, r, err := inst.Git.GetCommit(ctx, owner, repo, head)
		return r, err
	})
	check("commits", func() (*github.Response, error) {
		_, r, err := inst.Repositories.ListCommits(ctx, owner, repo, nil)
		return r, err
	})
	check("compare", func() (*github.Response, error) {
		c, r, err := inst.Repositories.CompareCommits(ctx, owner, repo, "main", "feature", nil)
		if c.GetStatus() != "ahead" || c.GetAheadBy() != 1 || len(c.Files) != 1 {
			t.Errorf("compare: %s by %d, %d files", c.GetStatus(), c.GetAheadBy(), len(c.Files))
		}
		return r, err
	})

	check("status", func() (*github.Response, error) {
		_, r, err := inst.Repositories.CreateStatus(ctx, owner, repo, head, &github.RepoStatus{
			State: github.String("pending"), Context: github.String("registry-build"), Description: github.String("queued"), TargetURL: github.String("https://example.com/"),
		})
		return r, err
	})
	check("statuses", func() (*github.Response, error) {
		_, r, err := inst.Repositories.ListStatuses(ctx, owner, repo, "feature", nil)
		return r, err
	})
	check("combined status", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetCombinedStatus(ctx, owner, repo, "feature", nil)
		return r, err
	})

	check("check run", func() (*github.Response, error) {
		c, r, err := inst.Checks.CreateCheckRun(ctx, owner, repo, github.CreateCheckRunOptions{Name: "api", HeadSHA: head, Status: github.String("queued")})
		checkID, suiteID = c.GetID(), c.GetCheckSuite().GetID()
		return r, err
	})
	check("update of a check run", func() (*github.Response, error) {
		_, r, err := inst.Checks.UpdateCheckRun(ctx, owner, repo, checkID, github.UpdateCheckRunOptions{
			Name: "api", Conclusion: github.String("failure"), Status: github.String("completed"),
			Output: &github.CheckRunOutput{Title: github.String("failed"), Summary: github.String("no"), Annotations: []*github.CheckRunAnnotation{{
				Path: github.String("Dockerfile"), StartLine: github.Int(1), EndLine: github.Int(1), AnnotationLevel: github.String("failure"), Message: github.String("no such base"),
			}}},
			Actions: []*github.CheckRunAction{{Label: "Rebuild", Description: "Build it again", Identifier: "rebuild"}},
		})
		return r, err
	})
	check("get check run", func() (*github.Response, error) {
		_, r, err := inst.Checks.GetCheckRun(ctx, owner, repo, checkID)
		return r, err
	})
	check("annotations", func() (*github.Response, error) {
		a, r, err := inst.Checks.ListCheckRunAnnotations(ctx, owner, repo, checkID, nil)
		if len(a) != 1 {
			t.Errorf("%d annotations", len(a))
		}
		return r, err
	})
	check("check runs", func() (*github.Response, error) {
		_, r, err := inst.Checks.ListCheckRunsForRef(ctx, owner, repo, "feature", nil)
		return r, err
	})
	check("check runs of a suite", func() (*github.Response, error) {
		_, r, err := inst.Checks.ListCheckRunsCheckSuite(ctx, owner, repo, suiteID, nil)
		return r, err
	})
	check("check suites", func() (*github.Response, error) {
		_, r, err := inst.Checks.ListCheckSuitesForRef(ctx, owner, repo, "feature", nil)
		return r, err
	})
	check("check suite", func() (*github.Response, error) {
		_, r, err := inst.Checks.GetCheckSuite(ctx, owner, repo, suiteID)
		return r, err
	})
	check("re-request", func() (*github.Response, error) { return inst.Checks.ReRequestCheckRun(ctx, owner, repo, checkID) })

	check("pulls", func() (*github.Response, error) {
		_, r, err := inst.PullRequests.List(ctx, owner, repo, nil)
		return r, err
	})
	check("pull", func() (*github.Response, error) {
		_, r, err := inst.PullRequests.Get(ctx, owner, repo, number)
		return r, err
	})
	check("pull's files", func() (*github.Response, error) {
		_, r, err := inst.PullRequests.ListFiles(ctx, owner, repo, number, nil)
		return r, err
	})
	check("commit's pulls", func() (*github.Response, error) {
		_, r, err := inst.PullRequests.ListPullRequestsWithCommit(ctx, owner, repo, head, nil)
		return r, err
	})

	check("comment", func() (*github.Response, error) {
		c, r, err := inst.Issues.CreateComment(ctx, owner, repo, number, &github.IssueComment{Body: github.String("hello")})
		commentID = c.GetID()
		return r, err
	})
	check("edit comment", func() (*github.Response, error) {
		_, r, err := inst.Issues.EditComment(ctx, owner, repo, commentID, &github.IssueComment{Body: github.String("hello again")})
		return r, err
	})
	check("get comment", func() (*github.Response, error) {
		_, r, err := inst.Issues.GetComment(ctx, owner, repo, commentID)
		return r, err
	})
	check("comments", func() (*github.Response, error) {
		_, r, err := inst.Issues.ListComments(ctx, owner, repo, number, nil)
		return r, err
	})
	check("reaction", func() (*github.Response, error) {
		c, r, err := inst.Reactions.CreateIssueCommentReaction(ctx, owner, repo, commentID, "eyes")
		reactionID = c.GetID()
		return r, err
	})
	check("reactions", func() (*github.Response, error) {
		_, r, err := inst.Reactions.ListIssueCommentReactions(ctx, owner, repo, commentID, nil)
		return r, err
	})
	check("delete reaction", func() (*github.Response, error) {
		return inst.Reactions.DeleteIssueCommentReaction(ctx, owner, repo, commentID, reactionID)
	})
	check("delete comment", func() (*github.Response, error) { return inst.Issues.DeleteComment(ctx, owner, repo, commentID) })
	check("commit comment", func() (*github.Response, error) {
		c, r, err := inst.Repositories.CreateComment(ctx, owner, repo, head, &github.RepositoryComment{Body: github.String("nice")})
		commitCommentID = c.GetID()
		return r, err
	})
	check("get commit comment", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetComment(ctx, owner, repo, commitCommentID)
		return r, err
	})
	check("commit's comments", func() (*github.Response, error) {
		_, r, err := inst.Repositories.ListCommitComments(ctx, owner, repo, head, nil)
		return r, err
	})
	check("commit comment's reactions", func() (*github.Response, error) {
		_, r, err := inst.Reactions.ListCommentReactions(ctx, owner, repo, commitCommentID, nil)
		return r, err
	})

	check("deployment", func() (*github.Response, error) {
		d, r, err := inst.Repositories.CreateDeployment(ctx, owner, repo, &github.DeploymentRequest{
			Ref: github.String("main"), Environment: github.String("prod"), AutoMerge: github.Bool(false), RequiredContexts: &[]string{}, Description: github.String("api v1"),
		})
		deploymentID = d.GetID()
		return r, err
	})
	check("deployment status", func() (*github.Response, error) {
		_, r, err := inst.Repositories.CreateDeploymentStatus(ctx, owner, repo, deploymentID, &github.DeploymentStatusRequest{State: github.String("success"), LogURL: github.String("https://example.com/log")})
		return r, err
	})
	check("deployments", func() (*github.Response, error) {
		_, r, err := inst.Repositories.ListDeployments(ctx, owner, repo, nil)
		return r, err
	})
	check("get deployment", func() (*github.Response, error) {
		_, r, err := inst.Repositories.GetDeployment(ctx, owner, repo, deploymentID)
		return r, err
	})
	check("deployment statuses", func() (*github.Response, error) {
		_, r, err := inst.Repositories.ListDeploymentStatuses(ctx, owner, repo, deploymentID, nil)
		return r, err
	})

	w.settle(t)
	check("deliveries", func() (*github.Response, error) {
		list, r, err := app.Apps.ListHookDeliveries(ctx, nil)
		if err != nil || len(list) == 0 {
			t.Fatalf("%d deliveries, %v", len(list), err)
		}
		if _, _, err = app.Apps.GetHookDelivery(ctx, list[0].GetID()); err != nil {
			return r, err
		}
		_, r, err = app.Apps.RedeliverHookDelivery(ctx, list[0].GetID())
		if _, accepted := err.(*github.AcceptedError); accepted {
			err = nil
		}
		return r, err
	})
	check("revoke token", func() (*github.Response, error) { return inst.Apps.RevokeInstallationToken(ctx) })
}

// TestPages follows the Link header to the end.
func TestPages(t *testing.T) {
	w := newWorld(t)
	for i := range 34 {
		must(w.AddRepo(fmt.Sprintf("acme/more-%d", i), githubtest.RepoOptions{}))(t)
	}
	inst := w.asInstallation(t, nil)
	var sizes []int
	seen := map[int64]bool{}
	for page := 1; page != 0; {
		list, res, err := inst.Apps.ListRepos(w.ctx, &github.ListOptions{PerPage: 15, Page: page})
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(list.Repositories))
		for _, r := range list.Repositories {
			seen[r.GetID()] = true
		}
		page = res.NextPage
	}
	if diff := cmp.Diff([]int{15, 15, 5}, sizes); diff != "" || len(seen) != 35 {
		t.Errorf("%d repositories %s", len(seen), diff)
	}
}

// TestForkThatIsGone leaves a pull request whose head has no repository.
func TestForkThatIsGone(t *testing.T) {
	w := newWorld(t)
	fork := must(w.repo.Fork("mallory"))(t)
	must(fork.Push(githubtest.Push{User: "mallory", Branch: "x", Files: map[string]string{"x": "x"}}))(t)
	number := must(w.repo.OpenPull(githubtest.Pull{User: "mallory", From: fork, Head: "x"}))(t)
	fork.Delete()
	p, _, err := w.asInstallation(t, nil).PullRequests.Get(w.ctx, "acme", "shop", number)
	if err != nil || p.Head.Repo != nil || p.Head.GetSHA() == "" {
		t.Errorf("%v, %v", p.GetHead(), err)
	}
	list, _, err := w.asInstallation(t, nil).PullRequests.List(w.ctx, "acme", "shop", nil)
	if err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
