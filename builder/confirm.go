package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Confirmer is a Forge that does not sign what it delivers: whoever knows a
// webhook's token, or may say what the webhook tells, can make one up. So
// rights follow from what the forge answers when it is asked, and from nothing
// that an event claims. It may be called concurrently.
type Confirmer interface {
	// Confirm returns the event's repository with the name and the default
	// branch that its ID has at the forge now. ErrDenied: the event was not the webhook's to tell
	// (Event.Via), or says what is not so. ErrNotFound: there is no such
	// repository, or it is not shown to us.
	Confirm(ctx context.Context, e Event) (Repository, error)
}

// identify makes the event's repository the one that the forge knows, and
// gives it its home. A decision is the last word on the event: nothing comes
// of it.
func (d *Dispatcher) identify(ctx context.Context, l *EventLease) (*Decision, error) {
	forge, doubtful := d.Forges[l.Event.Repository.Forge].(Confirmer)
	if !doubtful {
		return nil, d.Inbox.ClaimHome(ctx, l)
	}
	repo, err := forge.Confirm(ctx, l.Event)
	switch {
	case errors.Is(err, ErrDenied):
		d.Log.Warn("an event is not believed", "event", l.Event.ID, "repo", l.Event.Repository.FullName(), "err", err)
		return &Decision{Reasons: []Reason{{Message: "the webhook that told of this may not tell of this repository: nothing comes of it"}}}, nil
	case errors.Is(err, ErrNotFound) && endsOnly(l.Event):
		return nil, nil // it builds nothing, so it needs no home
	case err != nil:
		return nil, fmt.Errorf("confirm %s: %w", l.Event.Repository.Key(), err)
	}
	if repo.Key() != l.Event.Repository.Key() {
		return nil, fmt.Errorf("confirm %s: the forge answers with %s", l.Event.Repository.Key(), repo.Key())
	}
	// The default branch's file has the say, so a claimed one must not.
	r := &l.Event.Repository
	r.Owner, r.Name, r.DefaultBranch = repo.Owner, repo.Name, cmp.Or(repo.DefaultBranch, r.DefaultBranch)
	return nil, d.Inbox.ClaimHome(ctx, l)
}

// endsOnly reports whether an event can only end builds.
func endsOnly(e Event) bool {
	switch e.Kind {
	case PullClosed, BranchDeleted, TagDeleted:
		return true
	}
	return e.Withdrawn
}

// confirmPull asks whose code the head of a pull request is: a fork's would be
// built with the repository's rights if the event were believed. stale: the
// forge knows another head by now, and tells of that one, too.
func (d *Dispatcher) confirmPull(ctx context.Context, l *EventLease) (e Event, stale bool, err error) {
	e = l.Event
	if _, doubtful := d.Forges[e.Repository.Forge].(Confirmer); !doubtful || e.Via == "" || e.Pull.Fork {
		return e, false, nil
	}
	now, err := d.pullNow(ctx, e)
	p := *e.Pull
	e.Pull = &p
	switch {
	case err != nil:
		return e, false, err
	case now != nil && now.Head == e.Commit:
		p.Fork, p.HeadOwner = now.Fork, now.HeadOwner
	case l.Attempt < mergeTries: // what the forge answers may lag behind what it tells
		return e, false, Later{Wait: mergeWait, Reason: fmt.Sprintf("pull request %d is not shown, or stands elsewhere", p.Number)}
	case now == nil: // nobody says that it is none
		p.Fork = true
	default:
		return e, true, nil
	}
	return e, false, nil
}
