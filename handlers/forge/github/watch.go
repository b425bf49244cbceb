package github

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// Lists are asked for under the same address each time, so that one that has
// not changed costs nothing of the hourly limit; see etags.
const (
	openPage  = 50  // pull requests of a page, of 20 kB each
	firstLook = 10  // comments: as many as come between two looks, mostly
	fullPage  = 100 // the most that GitHub gives
	pagesMost = 100 // of one list
)

// OpenPulls implements builder.Watcher. Their Merge is "": the list lacks it.
// https://docs.github.com/rest/pulls/pulls#list-pull-requests
func (a *App) OpenPulls(ctx context.Context, repo builder.Repository) ([]builder.Pull, error) {
	ctx = quota.InBackground(once(ctx))
	d, err := a.door(ctx, repo, need{"pull_requests": "read"})
	if err != nil {
		return nil, err
	}
	var pulls []builder.Pull
	// Oldest first: what is opened meanwhile moves nothing to another page.
	for page, read := 1, 0; page != 0 && read < pagesMost; read++ {
		var list []*github.PullRequest
		resp, err := d.list(ctx, "pulls", url.Values{"state": {"open"}, "sort": {"created"}, "direction": {"asc"}}, openPage, page, &list)
		if err != nil {
			return nil, notFound(fmt.Errorf("pull requests of %s: %w", repo.FullName(), err))
		}
		for _, pr := range list {
			if fmt.Sprint(pr.GetBase().GetRepo().GetID()) != repo.ID {
				return nil, fmt.Errorf("pull requests of %s: the name is another repository's now: %w", repo.FullName(), builder.ErrNotFound)
			}
			pulls = append(pulls, pullOf(pr))
		}
		page = resp.NextPage
	}
	slices.SortFunc(pulls, func(a, b builder.Pull) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(pulls, func(a, b builder.Pull) bool { return a.Number == b.Number }), nil
}

// list reads one page of something of the repository.
func (d *door) list(ctx context.Context, path string, query url.Values, size, page int, into any) (*github.Response, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("per_page", strconv.Itoa(size))
	query.Set("page", strconv.Itoa(page))
	req, err := d.client.NewRequest(http.MethodGet, "repos/"+d.fullName()+"/"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return d.client.Do(ctx, req, into)
}

// Comments implements builder.Watcher: comments on pull requests, and on
// commits. Of what an installation does not let us read there are none.
func (a *App) Comments(ctx context.Context, repo builder.Repository, since time.Time) ([]builder.Event, error) {
	ctx = quota.InBackground(once(ctx))
	d, err := a.door(ctx, repo, need{"pull_requests": "read"})
	onPulls := !lacksPermission(err)
	if !onPulls {
		d, err = a.door(ctx, repo, need{"metadata": "read"})
	}
	if err != nil {
		return nil, err
	}
	since = since.Truncate(time.Second) // GitHub's times have no more
	asked := d.fullName()
	var all []written
	if onPulls {
		if all, err = d.pullComments(ctx, since); err != nil {
			return nil, notFound(fmt.Errorf("comments of %s: %w", repo.FullName(), err))
		}
	}
	onCommits, err := d.commitComments(ctx, since)
	if err != nil {
		return nil, notFound(fmt.Errorf("commit comments of %s: %w", repo.FullName(), err))
	}
	all = slices.DeleteFunc(append(all, onCommits...), func(w written) bool { return w.CreatedAt.Before(since) || !a.heard(w) })
	slices.SortFunc(all, func(a, b written) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	var events []builder.Event
	for _, w := range slices.CompactFunc(all, func(a, b written) bool { return a.ID == b.ID && a.commit() == b.commit() }) {
		events = append(events, w.event(repo))
	}
	if len(events) == 0 {
		return nil, nil
	}
	// Whoever has taken the name of a public repository commands nothing here.
	name, err := d.resolve(ctx)
	if err == nil && !strings.EqualFold(name, asked) {
		err = builder.Later{Wait: time.Second, Reason: "GitHub calls it " + name + " now"}
	}
	if err != nil {
		return nil, fmt.Errorf("comments of %s: %w", repo.FullName(), err)
	}
	return events, nil
}

// written is a comment as lists have it.
type written struct {
	payloadComment
	URL       string      `json:"html_url"`
	User      payloadUser `json:"user"` // null where the account is gone
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
}

// pull is the number of the pull request, 0 where it is none: to lists, issues
// and pull requests are the same, but for where people read them.
func (w written) pull() int {
	_, number, found := strings.Cut(w.URL, "/pull/")
	number, _, _ = strings.Cut(number, "#")
	n, err := strconv.Atoi(number)
	if !found || err != nil {
		return 0
	}
	return n
}

// commit is the commit that it is on, "" where it is on none.
func (w written) commit() string {
	commit, err := forge.ExistingCommit(w.CommitID)
	if err != nil {
		return ""
	}
	return commit
}

// heard reports whether the comment may be a command: what unheard lets pass
// of a delivery. What was edited is none, because the delivery may have told
// another text.
func (a *App) heard(w written) bool {
	return w.ID > 0 && w.User.Login != "" && (w.pull() > 0 || w.commit() != "") && w.UpdatedAt.Equal(w.CreatedAt) &&
		a.unheard(payload{Action: "created", Sender: w.User}, w.payloadComment) == ""
}

func (w written) event(repo builder.Repository) builder.Event {
	e := builder.Event{
		ID: commentID("issue_comment", w.ID), Kind: builder.Commanded, Repository: repo, Actor: w.User.Login,
		Command: &builder.Command{Source: builder.FromComment, Pull: w.pull(), Comment: strconv.FormatInt(w.ID, 10), Body: w.Body},
	}
	if commit := w.commit(); commit != "" {
		e.ID, e.Commit, e.Command.Pull = commentID("commit_comment", w.ID), commit, 0
	}
	return e
}

// pullComments lists the comments since then on pull requests and issues.
// https://docs.github.com/rest/issues/comments#list-issue-comments-for-a-repository
func (d *door) pullComments(ctx context.Context, since time.Time) (all []written, err error) {
	const path = "issues/comments"
	_, err = d.list(ctx, path, url.Values{"sort": {"created"}, "direction": {"desc"}}, firstLook, 1, &all)
	if answeredWith(err) == http.StatusGone {
		return nil, nil // there are neither issues nor pull requests
	}
	if err != nil || len(all) < firstLook || all[len(all)-1].CreatedAt.Before(since) {
		return all, err
	}
	all = nil
	for page, read := 1, 0; page != 0 && read < pagesMost; read++ {
		var list []written
		query := url.Values{"sort": {"created"}, "direction": {"asc"}, "since": {since.UTC().Format(time.RFC3339)}}
		resp, err := d.list(ctx, path, query, fullPage, page, &list)
		if err != nil {
			return nil, err
		}
		all, page = append(all, list...), resp.NextPage
	}
	return all, nil
}

// commitComments lists the comments since then on commits, and others. GitHub
// has them oldest first and no other way, so the last page comes first.
// https://docs.github.com/rest/commits/comments#list-commit-comments-for-a-repository
func (d *door) commitComments(ctx context.Context, since time.Time) ([]written, error) {
	var first []written
	resp, err := d.list(ctx, "comments", nil, firstLook, 1, &first)
	if err != nil {
		return nil, err
	}
	all := first
	for page, read := resp.LastPage, 0; page > 1 && read < pagesMost; page, read = page-1, read+1 {
		var list []written
		if _, err := d.list(ctx, "comments", nil, firstLook, page, &list); err != nil {
			return nil, err
		}
		all = append(all, list...)
		if len(list) > 0 && list[0].CreatedAt.Before(since) {
			break
		}
	}
	return all, nil
}
