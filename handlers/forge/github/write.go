package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// How long the texts of a pull request may be, in characters.
const (
	maxPullTitle = 256
	maxPullBody  = 65536
)

// Writable returns where the repository is fetched from and pushed to, under
// its name of now, with a token that may write this one's contents and nothing
// else. builder.ErrDenied where the operator or an owner of the repository
// does not let us, builder.ErrNotFound as Origin.
func (a *App) Writable(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	if !a.Config.GitOps {
		return builder.Origin{}, fmt.Errorf("%w write to %s: the operator has not switched on forges.github.gitops in the server file", builder.ErrDenied, repo.FullName())
	}
	d, err := a.door(ctx, repo, need{"contents": "write"})
	if err != nil {
		return builder.Origin{}, err
	}
	return a.origin(ctx, d, repo)
}

// OpenPull makes the one open pull request from a branch of the repository
// into another say title and body, and returns its address.
// https://docs.github.com/rest/pulls/pulls#create-a-pull-request
func (a *App) OpenPull(ctx context.Context, repo builder.Repository, head, base, title, body string) (string, error) {
	d, err := a.door(ctx, repo, need{"pull_requests": "write"})
	if err != nil {
		return "", err
	}
	title, body = markdown.Clip(markdown.OneLine(title), maxPullTitle), markdown.Clip(body, maxPullBody)
	there, err := openPulls(ctx, d, head, base)
	if err == nil && len(there) == 0 {
		owner, name, _ := strings.Cut(d.fullName(), "/")
		made, _, failed := d.client.PullRequests.Create(ctx, owner, name, &github.NewPullRequest{Title: &title, Head: &head, Base: &base, Body: &body})
		if failed == nil {
			return made.GetHTMLURL(), nil
		}
		// Somebody else has just opened it, or our own answer was lost.
		if there, err = openPulls(ctx, d, head, base); err == nil && len(there) == 0 {
			err = failed
		}
	}
	if err != nil {
		return "", refusedPull(fmt.Errorf("pull request from %s in %s: %w", head, d.fullName(), err))
	}
	pr := there[0]
	if pr.GetTitle() == title && strings.TrimSpace(strings.ReplaceAll(pr.GetBody(), "\r\n", "\n")) == strings.TrimSpace(body) {
		return pr.GetHTMLURL(), nil
	}
	owner, name, _ := strings.Cut(d.fullName(), "/")
	_, _, err = d.client.PullRequests.Edit(repeatable(ctx), owner, name, pr.GetNumber(), &github.PullRequest{Title: &title, Body: &body})
	if err != nil {
		return "", fmt.Errorf("pull request %s#%d: %w", d.fullName(), pr.GetNumber(), err)
	}
	return pr.GetHTMLURL(), nil
}

// openPulls are the open pull requests from one branch into another; GitHub
// lets there be one.
func openPulls(ctx context.Context, d *door, head, base string) ([]*github.PullRequest, error) {
	owner, name, _ := strings.Cut(d.fullName(), "/")
	list, _, err := d.client.PullRequests.List(ctx, owner, name, &github.PullRequestListOptions{State: "open", Head: owner + ":" + head, Base: base})
	return list, err
}

// refusedPull is builder.ErrDenied where GitHub answered that it does not make
// such a pull request: asking again gives the same.
func refusedPull(err error) error {
	if status := answeredWith(err); status == http.StatusUnprocessableEntity || status == http.StatusForbidden {
		return fmt.Errorf("%w: %w", builder.ErrDenied, err)
	}
	return notFound(err)
}
