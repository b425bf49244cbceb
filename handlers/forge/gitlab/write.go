package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// How long the texts of a merge request may be, in characters.
const (
	maxMergeTitle       = 255
	maxMergeDescription = 1 << 20
)

// draft begins the title of a merge request that somebody does not want merged
// yet. https://docs.gitlab.com/user/project/merge_requests/drafts/
const draft = "Draft: "

// Writable returns where the project is fetched from and pushed to, under its
// path of now, with the server's token. builder.ErrDenied where the operator
// does not let us, builder.ErrNotFound as Origin.
func (f *Forge) Writable(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	if !f.Config.GitOps {
		return builder.Origin{}, fmt.Errorf("%w write to %s: the operator has not switched on gitops for %s in the server file (forges.gitlab)", builder.ErrDenied, repo.FullName(), f.Config.URL)
	}
	return f.Origin(ctx, repo)
}

// OpenPull makes the one open merge request from a branch of the project into
// another say title and body, and returns its address.
// https://docs.gitlab.com/api/merge_requests/#create-mr
func (f *Forge) OpenPull(ctx context.Context, repo builder.Repository, head, base, title, body string) (string, error) {
	project, err := projectID(repo)
	if err != nil {
		return "", err
	}
	wrap := func(err error) error {
		return refusedMerge(fmt.Errorf("merge request from %s in %s: %w", head, repo.FullName(), err))
	}
	title = markdown.Clip(markdown.OneLine(title), maxMergeTitle-len(draft))
	body = markdown.NoQuickActions(markdown.Clip(body, maxMergeDescription)) // they act in descriptions, too
	there, err := f.openMerge(ctx, project, head, base)
	if err == nil && there == nil {
		made, _, failed := f.api.MergeRequests.CreateMergeRequest(project, &gitlab.CreateMergeRequestOptions{
			Title: &title, Description: &body, SourceBranch: &head, TargetBranch: &base,
		}, with(ctx))
		if failed == nil {
			return made.WebURL, nil
		}
		// Somebody else has just opened it, or our own answer was lost.
		if there, err = f.openMerge(ctx, project, head, base); err == nil && there == nil {
			err = failed
		}
	}
	if err != nil {
		return "", wrap(err)
	}
	if strings.HasPrefix(there.Title, draft) {
		title = draft + title // it stays one
	}
	if there.Title == title && sameText(there.Description, body) {
		return there.WebURL, nil
	}
	_, _, err = f.api.MergeRequests.UpdateMergeRequest(project, there.IID, &gitlab.UpdateMergeRequestOptions{Title: &title, Description: &body}, with(repeatable(ctx)))
	if err != nil {
		return "", wrap(err)
	}
	return there.WebURL, nil
}

// openMerge is the open merge request from one branch of the project into
// another; GitLab lets there be one. Branches of forks have the same names.
func (f *Forge) openMerge(ctx context.Context, project int, head, base string) (*gitlab.MergeRequest, error) {
	list, _, err := f.api.MergeRequests.ListProjectMergeRequests(project, &gitlab.ListProjectMergeRequestsOptions{
		ListOptions: gitlab.ListOptions{PerPage: notesAtOnce}, State: gitlab.Ptr("opened"), SourceBranch: &head, TargetBranch: &base,
	}, with(ctx))
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.SourceProjectID == project {
			return m, nil
		}
	}
	return nil, nil
}

func sameText(a, b string) bool {
	return strings.TrimSpace(strings.ReplaceAll(a, "\r\n", "\n")) == strings.TrimSpace(strings.ReplaceAll(b, "\r\n", "\n"))
}

// refusedMerge is builder.ErrDenied where GitLab answered that it does not
// take such a merge request: asking again gives the same.
func refusedMerge(err error) error {
	switch answeredWith(err) {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %w", builder.ErrDenied, err)
	}
	return notFound(err)
}
