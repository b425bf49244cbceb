package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

const (
	mergesAtOnce = 5 // of one branch that are told
	// headLag is how long GitLab may take to move a merge request to the commit
	// that was pushed.
	headLag      = 30 * time.Second
	headLagAgain = 3 * time.Second
)

// threads are what a branch's merge requests were told of one context.
type threads struct {
	telling.Order
	All []thread `json:"all,omitempty"`
}

// thread is a discussion of ours in a merge request. It is kept before it is
// made, so that after a crash it is looked for.
type thread struct {
	Pull  int    `json:"pull"`
	ID    string `json:"id,omitempty"` // "": it was being made
	Print string `json:"print"`        // of what it says
}

// reportLines shows a failure at its line: as a thread in the merge request,
// which is resolved when it is mended, or as a comment on the commit where
// there is no merge request.
func (f *Forge) reportLines(ctx context.Context, r builder.Report) error {
	if !r.Newest || r.Run != nil {
		return nil
	}
	t := troubleOf(r, f.website(r.Repository), f.BuildURL)
	if t == nil && !mends(r) {
		return nil
	}
	a, err := f.about(ctx, r)
	if err != nil {
		return f.settle(ctx, r.Repository, "lines/"+telling.Subject(r), err)
	}
	subject := "lines/" + r.Repository.Key() + "/" + a.source() + "/" + r.Context
	if a.source() == "" {
		subject = "lines/" + telling.Subject(r)
	}
	key := f.ledger.Key(subject)
	var memo threads
	known, err := f.ledger.Recall(ctx, key, &memo)
	if err != nil || t == nil && len(memo.All) == 0 || known && memo.Outdates(r) {
		return err
	}
	release, err := f.ledger.Hold(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	if _, err := f.ledger.Recall(ctx, key, &memo); err != nil { // nobody writes it now
		return err
	}
	l := lines{forge: f, report: r, about: a, key: key, memo: memo}
	if t == nil {
		err = l.mended(ctx)
	} else {
		err = l.show(ctx, *t)
	}
	return f.settle(ctx, r.Repository, "lines/"+telling.Subject(r), err)
}

// lines is one report on its way to where its line is.
type lines struct {
	forge  *Forge
	report builder.Report
	about  about
	key    string
	memo   threads
}

func (l *lines) remember(ctx context.Context) error {
	l.memo.Order = telling.OrderOf(l.report)
	return l.forge.ledger.Remember(ctx, l.key, l.memo)
}

// show tells every open merge request of the branch, or the commit.
func (l *lines) show(ctx context.Context, t trouble) error {
	merges, err := l.merges(ctx)
	if err != nil {
		return err
	}
	if len(merges) == 0 {
		return l.comment(ctx, t)
	}
	var errs []error
	for _, number := range merges {
		errs = append(errs, l.discuss(ctx, number, t))
	}
	return errors.Join(errs...)
}

// merges are the open merge requests that the branch is the source of.
func (l *lines) merges(ctx context.Context) ([]int, error) {
	var all []int
	if l.about.pull != nil {
		all = append(all, l.about.pull.Number)
	}
	if !l.about.branch {
		return all, nil
	}
	// Asked for by branch: what merge requests a commit is in, GitLab finds out
	// some time after the push.
	found, _, err := l.forge.api.MergeRequests.ListProjectMergeRequests(l.about.project, &gitlab.ListProjectMergeRequestsOptions{
		ListOptions: gitlab.ListOptions{PerPage: 20}, State: gitlab.Ptr("opened"), SourceBranch: gitlab.Ptr(l.about.ref),
	}, with(ctx))
	if code := answeredWith(err); code == http.StatusForbidden || code == http.StatusNotFound {
		return all, nil // merge requests are switched off
	}
	if err != nil {
		return nil, fmt.Errorf("merge requests of %s: %w", l.about.ref, err)
	}
	for _, mr := range found {
		if mr.SourceProjectID == l.about.project && !slices.Contains(all, mr.IID) && len(all) < mergesAtOnce {
			all = append(all, mr.IID)
		}
	}
	return all, nil
}

// late reports whether a merge request with that head only has not heard of
// the push yet.
func (l *lines) late(head string) bool {
	e := l.report.Event
	return e != nil && e.Kind == builder.BranchPushed && head != "" && head == e.Before && l.forge.Now().Sub(e.AcceptedAt) < headLag
}

// discuss opens a thread at the line, in the place of one that says something
// else. One that says the same stays as it is, with what people answered.
func (l *lines) discuss(ctx context.Context, number int, t trouble) error {
	mr, _, err := l.forge.api.MergeRequests.GetMergeRequest(l.about.project, number, nil, with(ctx))
	switch {
	case err != nil:
		return fmt.Errorf("merge request %d: %w", number, err)
	case mr.State != "opened":
		return nil
	case mr.SHA != l.report.Commit && l.late(mr.SHA):
		return builder.Later{Wait: headLagAgain, Reason: "the merge request has not heard of the push yet"}
	case mr.SHA != l.report.Commit:
		return nil // it has moved on, and what is wrong here is nobody's concern any more
	}
	at := slices.IndexFunc(l.memo.All, func(th thread) bool { return th.Pull == number })
	again := false
	if at >= 0 {
		old := l.memo.All[at]
		if old.Print == t.print() && old.ID != "" {
			return nil
		}
		if again = old.Print == t.print(); !again {
			if err := l.resolve(ctx, old, l.elsewhere(t)); err != nil {
				return err
			}
			l.memo.All = slices.Delete(l.memo.All, at, at+1)
		}
	}
	th := thread{Pull: number, Print: t.print()}
	if !again {
		l.memo.All = append(l.memo.All, th)
		at = len(l.memo.All) - 1
		if err := l.remember(ctx); err != nil {
			return err
		}
	} else if th.ID, err = l.find(ctx, number, t.marker()); err != nil {
		return err
	}
	if th.ID == "" {
		if th.ID, err = l.open(ctx, mr, t, again); err != nil {
			return err
		}
	}
	l.memo.All[at] = th
	return l.remember(ctx)
}

// open makes the thread, at the line where the merge request's changes have
// it. plain: an attempt to do so may have failed.
func (l *lines) open(ctx context.Context, mr *gitlab.MergeRequest, t trouble, plain bool) (id string, err error) {
	o := &gitlab.CreateMergeRequestDiscussionOptions{Body: gitlab.Ptr(t.body())}
	if !plain {
		if o.Position, err = l.position(ctx, mr, t); err != nil {
			return "", err
		}
	}
	made, _, err := l.forge.api.Discussions.CreateMergeRequestDiscussion(l.about.project, mr.IID, o, with(ctx))
	if code := answeredWith(err); o.Position != nil && (code == http.StatusBadRequest || code == http.StatusUnprocessableEntity) {
		o.Position = nil // GitLab does not find the line in the changes after all
		made, _, err = l.forge.api.Discussions.CreateMergeRequestDiscussion(l.about.project, mr.IID, o, with(ctx))
	}
	if err != nil {
		return "", fmt.Errorf("thread in merge request %d: %w", mr.IID, err)
	}
	return made.ID, nil
}

// mended resolves what the branch's merge requests were told.
func (l *lines) mended(ctx context.Context) error {
	for len(l.memo.All) > 0 {
		if err := l.resolve(ctx, l.memo.All[0], l.mendedBy()); err != nil {
			return err
		}
		l.memo.All = l.memo.All[1:]
		if err := l.remember(ctx); err != nil {
			return err
		}
	}
	return nil
}

// resolve says why and closes the thread. A thread that was deleted or that
// somebody resolved is left to them; their answers stay.
func (l *lines) resolve(ctx context.Context, th thread, why string) error {
	if th.ID == "" {
		id, err := l.find(ctx, th.Pull, marker(th.Print))
		if err != nil || id == "" {
			return err
		}
		th.ID = id
	}
	api := l.forge.api.Discussions
	d, _, err := api.GetMergeRequestDiscussion(l.about.project, th.Pull, th.ID, with(once(ctx)))
	switch {
	case answeredWith(err) == http.StatusNotFound:
		return nil
	case err != nil:
		return fmt.Errorf("thread of merge request %d: %w", th.Pull, err)
	case len(d.Notes) == 0 || !d.Notes[0].Resolvable || d.Notes[0].Resolved:
		return nil
	}
	mark := marker(why) // it may have been said, and then we fell
	if !slices.ContainsFunc(d.Notes, func(n *gitlab.Note) bool { return strings.HasPrefix(n.Body, mark) }) {
		_, _, err := api.AddMergeRequestDiscussionNote(l.about.project, th.Pull, th.ID,
			&gitlab.AddMergeRequestDiscussionNoteOptions{Body: gitlab.Ptr(postable(mark + "\n\n" + why))}, with(ctx))
		if err != nil {
			return fmt.Errorf("answer in merge request %d: %w", th.Pull, err)
		}
	}
	_, _, err = api.ResolveMergeRequestDiscussion(l.about.project, th.Pull, th.ID,
		&gitlab.ResolveMergeRequestDiscussionOptions{Resolved: gitlab.Ptr(true)}, with(repeatable(ctx)))
	if err != nil && answeredWith(err) != http.StatusNotFound {
		return fmt.Errorf("resolve the thread of merge request %d: %w", th.Pull, err)
	}
	return nil
}
