package gitlab

import (
	"context"
	"fmt"
	"strings"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// board is where one note of ours hangs: on a merge request or on a commit.
type board interface {
	repo() builder.Repository
	subject() string // names it in what is remembered
	create(ctx context.Context, body string) (noteID, error)
	change(ctx context.Context, id noteID, body string) error
	// find looks for the note that the account wrote; zero when there is none.
	find(ctx context.Context, account int) (noteID, error)
}

// board is the merge request's, or the commit's where pull is 0.
func (f *Forge) board(repo builder.Repository, pull int, commit string) board {
	if pull == 0 {
		return commitBoard{f, repo, commit}
	}
	return mergeBoard{f, repo, pull}
}

// ours reports whether a note is the one that we keep, and no remark of ours at
// a line. Whoever copies the marker is not us.
func ours(n *gitlab.Note, account int) bool {
	return n != nil && n.Author.ID == account && !n.System && n.Position == nil && strings.HasPrefix(n.Body, markdown.Marker)
}

// notesAtOnce is the largest page of a list:
// https://docs.gitlab.com/api/rest/#offset-based-pagination
const notesAtOnce = 100

// mergeBoard has a plain note: a thread would have to be resolved before the
// merge. https://docs.gitlab.com/api/notes/#merge-requests
type mergeBoard struct {
	f          *Forge
	repository builder.Repository
	pull       int
}

func (b mergeBoard) repo() builder.Repository { return b.repository }

func (b mergeBoard) subject() string { return fmt.Sprintf("%s!%d", b.repository.Key(), b.pull) }

func (b mergeBoard) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("note on merge request %s!%d: %w", b.repository.FullName(), b.pull, err)
	}
	return nil
}

func (b mergeBoard) create(ctx context.Context, body string) (noteID, error) {
	project, err := projectID(b.repository)
	if err != nil {
		return noteID{}, err
	}
	made, _, err := b.f.api.Notes.CreateMergeRequestNote(project, b.pull, &gitlab.CreateMergeRequestNoteOptions{Body: &body}, with(ctx))
	if err != nil {
		return noteID{}, b.wrap(err)
	}
	return noteID{Note: made.ID}, nil
}

func (b mergeBoard) change(ctx context.Context, id noteID, body string) error {
	project, err := projectID(b.repository)
	if err != nil {
		return err
	}
	_, _, err = b.f.api.Notes.UpdateMergeRequestNote(project, b.pull, id.Note, &gitlab.UpdateMergeRequestNoteOptions{Body: &body}, with(ctx))
	return b.wrap(err)
}

func (b mergeBoard) find(ctx context.Context, account int) (noteID, error) {
	project, err := projectID(b.repository)
	if err != nil {
		return noteID{}, err
	}
	// The oldest first: so nothing that is written meanwhile moves the pages.
	opts := &gitlab.ListMergeRequestNotesOptions{
		ListOptions: gitlab.ListOptions{PerPage: notesAtOnce, Page: 1},
		OrderBy:     gitlab.Ptr("created_at"), Sort: gitlab.Ptr("asc"),
	}
	for opts.Page != 0 {
		list, resp, err := b.f.api.Notes.ListMergeRequestNotes(project, b.pull, opts, with(ctx))
		if err != nil {
			return noteID{}, b.wrap(err)
		}
		for _, n := range list {
			if ours(n, account) && n.Type == "" {
				return noteID{Note: n.ID}, nil
			}
		}
		opts.Page = resp.NextPage
	}
	return noteID{}, nil
}

// commitBoard has a discussion: GitLab gives the plain comments of commits no
// id by which they could be changed.
// https://docs.gitlab.com/api/discussions/#commits
type commitBoard struct {
	f          *Forge
	repository builder.Repository
	commit     string
}

func (b commitBoard) repo() builder.Repository { return b.repository }

func (b commitBoard) subject() string { return b.repository.Key() + "@" + b.commit }

func (b commitBoard) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("note on commit %s of %s: %w", b.commit, b.repository.FullName(), err)
	}
	return nil
}

func (b commitBoard) create(ctx context.Context, body string) (noteID, error) {
	project, err := projectID(b.repository)
	if err != nil {
		return noteID{}, err
	}
	made, _, err := b.f.api.Discussions.CreateCommitDiscussion(project, b.commit, &gitlab.CreateCommitDiscussionOptions{Body: &body}, with(ctx))
	if err == nil && len(made.Notes) == 0 {
		err = fmt.Errorf("GitLab answers with discussion %.100q that has no note", made.ID)
	}
	if err != nil {
		return noteID{}, b.wrap(err)
	}
	return noteID{Note: made.Notes[0].ID, Discussion: made.ID}, nil
}

func (b commitBoard) change(ctx context.Context, id noteID, body string) error {
	project, err := projectID(b.repository)
	if err != nil {
		return err
	}
	_, _, err = b.f.api.Discussions.UpdateCommitDiscussionNote(project, b.commit, id.Discussion, id.Note, &gitlab.UpdateCommitDiscussionNoteOptions{Body: &body}, with(ctx))
	return b.wrap(err)
}

func (b commitBoard) find(ctx context.Context, account int) (noteID, error) {
	project, err := projectID(b.repository)
	if err != nil {
		return noteID{}, err
	}
	opts := &gitlab.ListCommitDiscussionsOptions{PerPage: notesAtOnce, Page: 1}
	for opts.Page != 0 {
		list, resp, err := b.f.api.Discussions.ListCommitDiscussions(project, b.commit, opts, with(ctx))
		if err != nil {
			return noteID{}, b.wrap(err)
		}
		for _, d := range list {
			for _, n := range d.Notes {
				if ours(n, account) {
					return noteID{Note: n.ID, Discussion: d.ID}, nil
				}
			}
		}
		opts.Page = resp.NextPage
	}
	return noteID{}, nil
}
