package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

const (
	pageSize  = 100 // the most that GitLab gives
	pagesMost = 100 // of one list: 10,000 things, past which GitLab counts no more
	clockSlip = 2 * time.Second

	untitledMost = 20 // commits that are looked through for a note

	editedAfter = 5 * time.Second // GitLab itself touches a new note for a moment
)

// OpenPulls implements builder.Watcher. Their Base is "": the list lacks it.
// https://docs.gitlab.com/api/merge_requests/#list-project-merge-requests
func (f *Forge) OpenPulls(ctx context.Context, repo builder.Repository) ([]builder.Pull, error) {
	ctx = quota.InBackground(ctx)
	id, err := projectID(repo)
	if err != nil {
		return nil, err
	}
	// Oldest first: what is opened meanwhile moves nothing to another page.
	query := &mergeRequestQuery{State: "opened", OrderBy: "created_at", Sort: "asc"}
	owners := map[int]string{}
	var pulls []builder.Pull
	err = pages(ctx, f, fmt.Sprintf("projects/%d/merge_requests", id), query, func(mr mergeRequest) (bool, error) {
		if mr.SHA == "" {
			return true, nil // not read yet: the next round has it
		}
		p, err := f.pullOf(ctx, repo, mr, owners)
		pulls = append(pulls, p)
		return true, err
	})
	if err != nil && !closed(err) {
		return nil, notFound(fmt.Errorf("merge requests of %s: %w", repo.FullName(), err))
	}
	slices.SortFunc(pulls, func(a, b builder.Pull) int { return a.Number - b.Number })
	return slices.CompactFunc(pulls, func(a, b builder.Pull) bool { return a.Number == b.Number }), nil
}

// closed tells that the project has switched off what was asked for.
func closed(err error) bool { return answeredWith(err) == http.StatusForbidden && !tooNarrow(err) }

type mergeRequestQuery struct {
	State        string     `url:"state,omitempty"`
	Scope        string     `url:"scope,omitempty"`
	OrderBy      string     `url:"order_by,omitempty"`
	Sort         string     `url:"sort,omitempty"`
	UpdatedAfter *time.Time `url:"updated_after,omitempty"`
	paged
}

// paged is the part of a query that walks a list.
type paged struct {
	Page    int `url:"page,omitempty"`
	PerPage int `url:"per_page,omitempty"`
}

func (p *paged) turn(page int) { p.Page, p.PerPage = page, pageSize }

// pages reads a list until there is no more of it, or take has enough. The
// server says whether and where there is more: by X-Next-Page, or by a link
// where it goes by keyset, which lists of projects can, or leaves that out. It
// tells no totals above 10,000.
// https://docs.gitlab.com/api/rest/#pagination
func pages[T any](ctx context.Context, f *Forge, path string, query interface{ turn(page int) }, take func(T) (more bool, err error)) error {
	var link []gitlab.RequestOptionFunc
	for page, n := 1, 0; ; n++ {
		if n >= pagesMost {
			f.Log.Warn("a list has no end", "path", path, "pages", n)
			return nil
		}
		var items []T
		query.turn(page)
		resp, err := f.get(ctx, path, query, &items, link...)
		if err != nil {
			return err
		}
		for _, item := range items {
			if more, err := take(item); !more || err != nil {
				return err
			}
		}
		switch {
		case resp.NextPage > page:
			page = resp.NextPage
		case resp.NextPage == 0 && resp.NextLink != "":
			// Only its query is taken, so that it leads nowhere else.
			link = []gitlab.RequestOptionFunc{gitlab.WithKeysetPaginationParameters(resp.NextLink)}
		default:
			return nil
		}
	}
}

// nextPage is the number of the next page of a list that has numbers, 0 on the
// last one.
func nextPage(resp *gitlab.Response, page int) int {
	if resp.NextPage > page || resp.NextLink == "" {
		return resp.NextPage
	}
	return page + 1 // of a server, or a proxy, that leaves X-Next-Page out
}

// Comments implements builder.Watcher: notes on merge requests and on commits.
func (f *Forge) Comments(ctx context.Context, repo builder.Repository, since time.Time) ([]builder.Event, error) {
	ctx = quota.InBackground(ctx)
	id, err := projectID(repo)
	if err != nil {
		return nil, err
	}
	notes, err := f.pullNotes(ctx, id, since)
	if err != nil {
		return nil, notFound(fmt.Errorf("notes of %s: %w", repo.FullName(), err))
	}
	more, err := f.commitNotes(ctx, id, since)
	if err != nil {
		return nil, notFound(fmt.Errorf("commit notes of %s: %w", repo.FullName(), err))
	}
	notes = append(notes, more...)
	slices.SortFunc(notes, func(a, b comment) int { return a.ID - b.ID })
	var events []builder.Event
	for _, n := range slices.CompactFunc(notes, func(a, b comment) bool { return a.ID == b.ID }) {
		events = append(events, builder.Event{
			ID: commentID(repo, int64(n.ID)), Kind: builder.Commanded, Repository: repo, Commit: n.commit, Actor: n.Author.Username,
			Command: &builder.Command{Source: builder.FromComment, Pull: n.pull, Comment: strconv.Itoa(n.ID), Body: n.Body},
		})
	}
	return events, nil
}

// comment is a note: what people, and GitLab itself, write.
type comment struct {
	ID        int       `json:"id"`
	Body      string    `json:"body"`
	System    bool      `json:"system"`
	Internal  bool      `json:"internal"`
	Secret    bool      `json:"confidential"` // Internal, before 15.5
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Noteable  string    `json:"noteable_type"`
	Author    struct {
		Username string `json:"username"`
	} `json:"author"`

	pull   int    // of a merge request's
	commit string // of a commit's
}

// command reports whether the note may be a command: what the webhook's reader
// takes for one, too. What was edited is none, because the webhook may have
// told another text.
func (f *Forge) command(n comment) bool {
	return n.ID > 0 && !n.System && !n.Internal && !n.Secret && n.UpdatedAt.Sub(n.CreatedAt) < editedAfter &&
		forge.Slashed(n.Body) && n.Author.Username != "" && !f.isBot(n.Author.Username)
}

type noteQuery struct {
	OrderBy string `url:"order_by"`
	Sort    string `url:"sort"`
	paged
}

// pullNotes are the notes of merge requests: a note makes its merge request
// one that was updated.
// https://docs.gitlab.com/api/notes/#list-all-merge-request-notes
func (f *Forge) pullNotes(ctx context.Context, project int, since time.Time) ([]comment, error) {
	updated := since.Add(-clockSlip).UTC()
	var iids []int
	err := pages(ctx, f, fmt.Sprintf("projects/%d/merge_requests", project),
		&mergeRequestQuery{State: "all", Scope: "all", OrderBy: "created_at", Sort: "asc", UpdatedAfter: &updated},
		func(mr mergeRequest) (bool, error) {
			iids = append(iids, mr.IID)
			return true, nil
		})
	if err != nil && !closed(err) {
		return nil, err
	}
	var notes []comment
	for _, iid := range slices.Compact(iids) {
		err := pages(ctx, f, fmt.Sprintf("projects/%d/merge_requests/%d/notes", project, iid), &noteQuery{OrderBy: "created_at", Sort: "desc"},
			func(n comment) (bool, error) {
				if n.CreatedAt.Before(since) {
					return false, nil
				}
				if n.pull = iid; f.command(n) {
					notes = append(notes, n)
				}
				return true, nil
			})
		if err != nil && answeredWith(err) != http.StatusNotFound { // deleted meanwhile
			return nil, err
		}
	}
	return notes, nil
}

type eventQuery struct {
	Action     string `url:"action"`
	TargetType string `url:"target_type"`
	After      string `url:"after"` // a day, which is not in it
	Sort       string `url:"sort"`
	paged
}

// commitNotes are the notes of commits, which only the project's activity
// lists, and without their commit.
// https://docs.gitlab.com/api/events/#list-all-visible-events-for-a-project
func (f *Forge) commitNotes(ctx context.Context, project int, since time.Time) ([]comment, error) {
	// A day more than needed: the server's days may begin elsewhere.
	query := &eventQuery{Action: "commented", TargetType: "note", After: since.UTC().AddDate(0, 0, -2).Format(time.DateOnly), Sort: "desc"}
	var notes []comment
	err := pages(once(ctx), f, fmt.Sprintf("projects/%d/events", project), query, func(e struct {
		CreatedAt time.Time `json:"created_at"`
		Title     string    `json:"target_title"`
		Note      *comment  `json:"note"`
	}) (bool, error) {
		if e.CreatedAt.Before(since.Add(-clockSlip)) {
			return false, nil
		}
		n := e.Note
		if n == nil || n.Noteable != "Commit" || n.CreatedAt.Before(since) || !f.command(*n) {
			return true, nil
		}
		var err error
		if n.commit, err = f.commitOf(ctx, project, n.ID, e.Title); n.commit != "" {
			notes = append(notes, *n)
		}
		return true, err
	})
	if closed(err) || answeredWith(err) == http.StatusNotFound {
		return nil, nil // the project is there, and shows no activity
	}
	return notes, err
}

// commitOf finds the commit that a note is on among those of late that have
// the title; "" where it is none of them. Without a title it is only looked
// for among the newest.
func (f *Forge) commitOf(ctx context.Context, project, noteID int, title string) (string, error) {
	var commits []struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	query := struct {
		All     bool `url:"all"`
		PerPage int  `url:"per_page"`
	}{true, pageSize}
	if _, err := f.get(ctx, fmt.Sprintf("projects/%d/repository/commits", project), query, &commits); err != nil {
		return "", err
	}
	for i, c := range commits {
		if title != "" && c.Title != title || title == "" && i >= untitledMost {
			continue
		}
		found := false
		err := pages(ctx, f, fmt.Sprintf("projects/%d/repository/commits/%s/discussions", project, c.ID), &paged{}, func(d struct {
			Notes []struct {
				ID int `json:"id"`
			} `json:"notes"`
		}) (bool, error) {
			for _, n := range d.Notes {
				found = found || n.ID == noteID
			}
			return !found, nil
		})
		if err != nil && answeredWith(err) != http.StatusNotFound {
			return "", err
		}
		if found {
			return c.ID, nil
		}
	}
	f.Log.Warn("a command's commit was not found", "project", project, "note", noteID)
	return "", nil
}
