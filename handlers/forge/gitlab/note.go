package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// note is what is known of the one note of ours in a thread: what people see
// of it, and what it is made of.
type note struct {
	noteID
	Print string    `json:"print,omitempty"` // of the text that people see
	Sent  time.Time `json:"sent,omitzero"`
	Said  string    `json:"said,omitempty"`  // the remarks, Markdown
	Table *table    `json:"table,omitempty"` // of a merge request's builds
}

// noteID is where a note is; zero: there is none, or its making was not seen
// to the end.
type noteID struct {
	Note       int    `json:"id,omitempty"`
	Discussion string `json:"discussion,omitempty"` // of a commit's note
}

// Show implements builder.Commenter. A merge request and a commit have one
// note of ours each, which is changed.
func (f *Forge) Show(ctx context.Context, t builder.Thread) error {
	return f.revise(quota.Urgent(ctx), f.board(t.Repository, t.Pull, t.Commit), func(n *note, known bool) (revision, error) {
		if len(t.Remarks) == 0 && !known && !t.Shown {
			return nothing, nil
		}
		n.Said = ""
		if len(t.Remarks) > 0 {
			n.Said = strings.TrimSpace(strings.TrimPrefix(markdown.Thread(t.Remarks), markdown.Marker))
		}
		return atOnce, nil
	})
}

// revision says what a change of a note asks for.
type revision int

const (
	nothing  revision = iota // the note stays as it is
	remember                 // nobody is waiting to see it
	inTime                   // it is shown, but not more often than noteEvery
	atOnce
)

// noteEvery is how often a note is changed to tell of progress.
const noteEvery = 10 * time.Second

// revise changes what is known of a thread's note, and then the note. One
// process at a time does so.
func (f *Forge) revise(ctx context.Context, b board, change func(n *note, known bool) (revision, error)) error {
	release, err := f.ledger.Hold(ctx, b.subject())
	if err != nil {
		return err
	}
	defer release()
	return f.settle(ctx, b.repo(), b.subject(), f.rewrite(ctx, b, change))
}

func (f *Forge) rewrite(ctx context.Context, b board, change func(n *note, known bool) (revision, error)) error {
	key := f.ledger.Key("note/" + b.subject())
	var n note
	known, err := f.ledger.Recall(ctx, key, &n)
	if err != nil {
		return err
	}
	kind, err := change(&n, known)
	if err != nil || kind == nothing {
		return err
	}
	body := n.body()
	wait := n.Sent.Add(noteEvery).Sub(f.Now())
	switch print := markdown.Fingerprint(body); {
	case kind == remember, n.Note != 0 && n.Print == print:
		return f.ledger.Remember(ctx, key, n)
	case kind == inTime && wait > 0:
		// What is remembered is shown with whatever is shown next.
		if err := f.ledger.Remember(ctx, key, n); err != nil {
			return err
		}
		return builder.Later{Wait: wait, Reason: "a note is changed every 10 s for progress"}
	default:
		n.Print = print
	}
	if n.noteID, err = f.put(ctx, b, n, body); err != nil {
		return err
	}
	n.Sent = f.Now()
	return f.ledger.Remember(ctx, key, n)
}

// put makes the note say the text. Where it is not known, somebody has deleted
// it, or its making went wrong after GitLab had done it: then it is looked for
// before another one is made.
func (f *Forge) put(ctx context.Context, b board, n note, body string) (noteID, error) {
	if n.Note != 0 {
		err := b.change(repeatable(ctx), n.noteID, body)
		if answeredWith(err) != http.StatusNotFound {
			return n.noteID, err
		}
	}
	us, err := f.Check(ctx)
	if err != nil {
		return noteID{}, err
	}
	found, err := b.find(ctx, us.ID)
	switch {
	case err != nil:
		return noteID{}, err
	case found.Note != 0:
		return found, b.change(repeatable(ctx), found, body)
	case n.empty():
		return noteID{}, nil
	}
	return b.create(ctx, body)
}

func (n note) empty() bool { return n.Said == "" && n.Table == nil }

// body is the text of the note: how builds fare, and what we have to say.
func (n note) body() string {
	if n.empty() {
		return markdown.Thread(nil)
	}
	parts := []string{markdown.Marker}
	if n.Table != nil {
		parts = append(parts, n.Table.markdown())
	}
	if n.Table != nil && n.Said != "" {
		parts = append(parts, "---")
	}
	if n.Said != "" {
		parts = append(parts, n.Said)
	}
	return markdown.NoQuickActions(strings.Join(parts, "\n\n") + "\n")
}

// React implements builder.Commenter, with an emoji on the command's note.
// Notes on commits have none: there is the answer.
// https://docs.gitlab.com/api/emoji_reactions/#add-a-new-emoji-reaction-to-a-comment
func (f *Forge) React(ctx context.Context, repo builder.Repository, c builder.Command, refused bool) error {
	id, err := strconv.Atoi(c.Comment)
	if err != nil || id <= 0 || c.Pull == 0 {
		return nil
	}
	project, err := projectID(repo)
	if err != nil {
		return nil
	}
	emoji := "thumbsup"
	if refused {
		emoji = "confused"
	}
	_, _, err = f.api.AwardEmoji.CreateMergeRequestAwardEmojiOnNote(project, c.Pull, id, &gitlab.CreateAwardEmojiOptions{Name: emoji}, with(repeatable(quota.Urgent(ctx))))
	if answeredWith(err) == http.StatusNotFound {
		return nil // the note is deleted, or has the emoji: GitLab answers the same
	}
	return f.settle(ctx, repo, fmt.Sprintf("%s!%d/%d", repo.Key(), c.Pull, id), err)
}
