package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// byPull proposes the change: one branch of ours for an image and a file, one
// commit on the newest one of the base branch, one pull request. What the
// branch proposed before is proposed again, on the file as it is now. head is
// the branch's commit, "" where it is not there.
func (u *update) byPull(ctx context.Context, head string) error {
	var prior []setting
	if head != "" {
		list, err := u.c.log(ctx, head, u.now, true)
		if err != nil || len(list) == 0 {
			return fmt.Errorf("branch %s: %w", u.t.pull, err)
		}
		if len(list[0].settings) == 0 || list[0].email != u.k.o.Author.Email {
			return final("branch %s of %s has commits of somebody else, and they are not overwritten; merge its pull request, or delete the branch", u.t.pull, u.t.name)
		}
		prior = list[0].settings
	}
	w := &work{c: u.c, commit: u.base, files: map[string]file{}}
	known := newest(u.history)
	var kept []setting
	for _, s := range prior {
		if h, ok := known[s.field()]; ok && !s.after(h) {
			continue // merged, or overtaken
		}
		if again, err := u.again(ctx, w, s); err != nil {
			return err
		} else if again {
			kept = append(kept, s)
		}
		known[s.field()] = s
	}
	written, err := u.apply(ctx, w, known)
	if err != nil {
		return err
	}
	for _, i := range written {
		field := u.batch[i].setting().field()
		kept = slices.DeleteFunc(kept, func(s setting) bool { return s.field() == field })
	}
	return u.propose(ctx, w, head, written, kept)
}

// again writes what was proposed before; false where that changes nothing any
// more, or the file has no place for it now.
func (u *update) again(ctx context.Context, w *work, s setting) (bool, error) {
	p, img, ok := s.target()
	if !ok {
		return false, nil
	}
	change, err := w.set(ctx, s.File, p, img)
	var no finalError
	if errors.As(err, &no) {
		return false, nil
	}
	return change.Changed, err
}

// propose pushes the branch where it is to differ, and opens the pull request.
func (u *update) propose(ctx context.Context, w *work, head string, written []int, kept []setting) error {
	if len(w.changed()) == 0 {
		if head == "" {
			return nil
		}
		return u.c.push(ctx, u.t.pull, head, "") // there is nothing to propose any more
	}
	same, err := u.proposed(ctx, w, head)
	if err != nil {
		return err
	}
	commit := head
	if !same {
		if commit, err = u.commit(ctx, w, written, kept); err != nil {
			return err
		}
		if err := u.c.push(ctx, u.t.pull, head, commit); err != nil {
			return err
		}
	}
	puller, ok := u.t.forge.(Puller)
	if !ok {
		return final("%s has no pull requests", u.t.name)
	}
	message := u.message(written, kept)
	subject, body, _ := strings.Cut(message, "\n\n")
	body, _, _ = strings.Cut(body, "\n"+trailer)
	url, err := puller.OpenPull(ctx, u.repo, PullRequest{Head: u.t.pull, Base: u.branch, Title: subject, Body: pullBody(body)})
	if err != nil {
		return finalError{classify(err, "no pull request can be opened in %s", u.t.name)}
	}
	for i := range u.batch {
		a := &u.outcomes[i].answer
		if u.outcomes[i].err == nil && !a.Skipped {
			a.URL = url
			a.Text += fmt.Sprintf(" (pull request %s)", url)
		}
	}
	return nil
}

// proposed reports whether the branch has the files as they are to be.
func (u *update) proposed(ctx context.Context, w *work, head string) (bool, error) {
	if head == "" {
		return false, nil
	}
	for _, path := range w.changed() {
		f, err := u.c.read(ctx, head, path)
		var no errNoFile
		if errors.As(err, &no) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !bytes.Equal(f.text, w.files[path].text) {
			return false, nil
		}
	}
	return true, nil
}

// pullBody is the text of the pull request: what the commit tells, in a form
// that nobody's words can break out of.
func pullBody(about string) string {
	return "```text\n" + strings.ReplaceAll(strings.TrimSpace(about), "```", "'''") + "\n```\n\n" +
		"registry-build keeps this up to date: a newer image takes this one's place. Its branch is not overwritten once somebody else has pushed to it."
}
