package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// onboardBranch is the branch of the merge request that offers a build file.
const onboardBranch = "registry-build/onboard"

// onboarding is how far the offer to a project has come. It is there before
// the branch is, so that after a crash a branch of ours is told from one that
// was there before.
type onboarding struct {
	Branch bool `json:"branch,omitempty"` // it is ours, or about to be
	Done   bool `json:"done,omitempty"`   // offered, or never to be
}

// onboard offers a build file to a project that has a Dockerfile and none, by
// a merge request, once: a project that has such a branch or merge request
// already, even one that was closed, is left alone. What GitLab refuses is told
// to the operator, once.
func (f *Forge) onboard(ctx context.Context, r builder.Report) error {
	switch {
	case !f.Config.Onboard || r.Decision == nil || r.Decision.Suggestion == nil:
		return nil
	case len(r.Decision.Suggestion.Dockerfiles) == 0 || r.Repository.DefaultBranch == "":
		return nil
	}
	if may, err := f.ledger.MaySuggest(ctx, r); err != nil || !may {
		return err
	}
	subject := "onboard/" + r.Repository.Key()
	release, err := f.ledger.Hold(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	key := f.ledger.Key(subject)
	var state onboarding
	if _, err := f.ledger.Recall(ctx, key, &state); err != nil || state.Done {
		return err
	}
	err = f.offer(ctx, r, key, state)
	switch code := answeredWith(err); {
	case code == http.StatusUnauthorized || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		return err
	case code >= http.StatusBadRequest && code < http.StatusInternalServerError:
		f.Log.Info("no build file is offered: GitLab does not let us", "repo", r.Repository.FullName(), "err", err)
	case err != nil:
		return f.settle(ctx, r.Repository, subject, err)
	}
	return f.ledger.Remember(ctx, key, onboarding{Done: true})
}

// offer makes the branch with the build file, and the merge request.
// https://docs.gitlab.com/api/commits/#create-a-commit-with-multiple-files-and-actions
func (f *Forge) offer(ctx context.Context, r builder.Report, key string, state onboarding) error {
	project, err := projectID(r.Repository)
	if err != nil {
		return err
	}
	if before, err := f.offeredBefore(ctx, project); err != nil || before {
		return err
	}
	ours := state.Branch
	there, err := f.hasBranch(ctx, project, onboardBranch)
	switch {
	case err != nil:
		return err
	case there && !ours:
		return nil
	case !there:
		if err := f.ledger.Remember(ctx, key, onboarding{Branch: true}); err != nil {
			return err
		}
		if err := f.commitBuildFile(ctx, project, r); err != nil {
			return err
		}
	}
	title, body := onboardText(r)
	_, _, err = f.api.MergeRequests.CreateMergeRequest(project, &gitlab.CreateMergeRequestOptions{
		Title: &title, Description: &body, SourceBranch: gitlab.Ptr(onboardBranch), TargetBranch: gitlab.Ptr(r.Repository.DefaultBranch),
		RemoveSourceBranch: gitlab.Ptr(true),
	}, with(ctx))
	if err != nil {
		return fmt.Errorf("merge request with a build file: %w", err)
	}
	return nil
}

// offeredBefore reports whether there is, or was, a merge request from the
// branch.
func (f *Forge) offeredBefore(ctx context.Context, project int) (bool, error) {
	list, _, err := f.api.MergeRequests.ListProjectMergeRequests(project, &gitlab.ListProjectMergeRequestsOptions{
		ListOptions: gitlab.ListOptions{PerPage: notesAtOnce}, State: gitlab.Ptr("all"), SourceBranch: gitlab.Ptr(onboardBranch),
	}, with(ctx))
	if err != nil {
		return false, fmt.Errorf("merge requests from %s: %w", onboardBranch, err)
	}
	return len(list) > 0, nil
}

func (f *Forge) hasBranch(ctx context.Context, project int, branch string) (bool, error) {
	_, _, err := f.api.Branches.GetBranch(project, branch, with(once(ctx)))
	if answeredWith(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("branch %s: %w", branch, err)
	}
	return true, nil
}

func (f *Forge) commitBuildFile(ctx context.Context, project int, r builder.Report) error {
	message := "Say which container images are built\n\n" + config.BuildFileName + " is read by registry-build at every push."
	_, _, err := f.api.Commits.CreateCommit(project, &gitlab.CreateCommitOptions{
		Branch: gitlab.Ptr(onboardBranch), StartBranch: gitlab.Ptr(r.Repository.DefaultBranch), CommitMessage: &message,
		Actions: []*gitlab.CommitActionOptions{{
			Action: gitlab.Ptr(gitlab.FileCreate), FilePath: gitlab.Ptr(config.BuildFileName), Content: gitlab.Ptr(r.Decision.Suggestion.File),
		}},
	}, with(ctx))
	if err != nil {
		return fmt.Errorf("branch %s with a build file: %w", onboardBranch, err)
	}
	return nil
}

// onboardText is what somebody reads who has never heard of us.
func onboardText(r builder.Report) (title, body string) {
	found := r.Decision.Suggestion.Dockerfiles
	what := "a Dockerfile: " + markdown.Codes(found)
	if len(found) > 1 {
		what = fmt.Sprintf("%d Dockerfiles: %s", len(found), markdown.Codes(found))
	}
	main := markdown.Code(r.Repository.DefaultBranch)
	file := markdown.Code(config.BuildFileName)
	parts := []string{
		fmt.Sprintf("This project has %s. registry-build, which whoever runs it has connected to this project, can make container images of that at every push: it builds them, puts them into a registry, and shows here how that went. Nothing is built yet, because no file says what is wanted.", what),
		"### What is in here",
		fmt.Sprintf("One new file, %s; nothing else changes:", file),
		markdown.Fenced(r.Decision.Suggestion.File, "yaml"),
		"### What happens when this is merged",
		"- A push to " + main + " builds what changed and puts it under the tag `latest`.\n" +
			"- A git tag that begins with `v`, such as `v1.2.0`, puts an image under that tag.\n" +
			"- A merge request is built before it is merged, and shows whether its images still build.\n" +
			"- Comments such as `/build` and `/status` in a merge request are answered; `/help` lists all of them.",
		"### What to do",
		"- **It fits**: merge this.\n" +
			"- **Nearly**: change the file in this branch, and merge it then. Tags, other branches, build arguments and secrets can be added at any time.\n" +
			"- **Not wanted**: close this merge request. It is offered once and never again.",
	}
	return "Build this project's container images at every push", markdown.NoQuickActions(strings.Join(parts, "\n\n") + "\n")
}
