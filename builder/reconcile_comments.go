package builder

import (
	"context"
	"fmt"
	"time"
)

const (
	// lookOverlap is how much is looked at twice: clocks differ, and a forge may
	// show a comment later than it was written.
	lookOverlap = 2 * time.Minute
	// lookBack is how old a comment may be that nobody told us of. It is less
	// than the time for which events are known, so none is carried out again.
	lookBack = 3 * 24 * time.Hour
)

// comments makes the events of the comments that were written since the last
// look. Those whose delivery arrived are known by their ID.
func (r *Reconciler) comments(ctx context.Context, repo Repository) error {
	began := time.Now()
	since, look, err := r.lastLook(ctx, repo, began)
	if !look || err != nil {
		return err
	}
	if oldest := began.Add(-lookBack); since.Before(oldest) {
		since = oldest
	}
	events, err := r.Watchers[repo.Forge].Comments(ctx, repo, since)
	if err != nil {
		return fmt.Errorf("comments of %s: %w", repo.FullName(), err)
	}
	for _, e := range events {
		if e.Command == nil {
			continue
		}
		command, ok := r.Read(*e.Command)
		if !ok {
			continue
		}
		e.Command = &command
		receipt, err := r.Events.Append(ctx, e)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		if !receipt.Duplicate {
			r.Log.Info("command had not been told", "repo", repo.FullName(), "event", e.ID)
		}
	}
	if next := began.Add(-lookOverlap); next.After(since) {
		return r.Looks.SetLooked(ctx, repo.Key(), next)
	}
	return nil
}

// lastLook returns since when comments are to be read; false where none are. At
// the first sight of a repository all of them are taken for read.
func (r *Reconciler) lastLook(ctx context.Context, repo Repository, now time.Time) (since time.Time, look bool, err error) {
	if r.Watchers[repo.Forge] == nil || r.Looks == nil || r.Read == nil {
		return time.Time{}, false, nil
	}
	since, err = r.Looks.Looked(ctx, repo.Key())
	if err != nil {
		return time.Time{}, false, err
	}
	if since.IsZero() {
		return time.Time{}, false, r.Looks.SetLooked(ctx, repo.Key(), now)
	}
	return since, true, nil
}
