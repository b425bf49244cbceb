package builder

import (
	"context"
	"errors"
	"slices"

	"github.com/registry-build/registry-build/config"
)

// hasPaths reports whether it matters what changed.
func hasPaths(f *config.BuildFile) bool {
	return slices.ContainsFunc(f.Images, func(img config.Image) bool { return len(img.Paths) > 0 })
}

// changed returns the files that an event changed, for images that build only
// when some of them did. It is false where that is not known, and where it
// would not tell all: then everything builds. Any error is such a case: to
// build too much costs time, which the same input mostly saves again, and to
// build too little costs somebody an image.
func (d *Dispatcher) changed(ctx context.Context, c *openCommit, l *EventLease, e Event) (paths []string, known bool) {
	from, err := d.changedSince(ctx, c, l, e)
	if err != nil || from == "" {
		return d.notCompared(e, err)
	}
	paths, err = c.Changed(ctx, from, c.hash)
	if err != nil {
		return d.notCompared(e, err)
	}
	return paths, true
}

// changedSince is the commit up to which everything was looked at before, ""
// where there is none.
func (d *Dispatcher) changedSince(ctx context.Context, c *openCommit, l *EventLease, e Event) (string, error) {
	switch {
	case e.Kind == MergeQueued:
		return e.Before, nil
	case e.Kind != BranchPushed:
		return "", nil
	case l.Head != nil && l.Head.Commit != "":
		// Where an event was lost or is late, this is older than e.Before: what
		// came in between is built now, since the late one is overtaken.
		if d.failedBefore(ctx, e) {
			return "", nil
		}
		return l.Head.Commit, nil
	case e.Before != "":
		return e.Before, nil
	case e.Ref == defaultRef(e.Repository):
		return "", nil
	}
	return d.mergeBase(ctx, c, e.Repository, defaultRef(e.Repository))
}

// failedBefore reports whether the last push of the ref could not be looked
// at, so that what it changed was never built.
func (d *Dispatcher) failedBefore(ctx context.Context, e Event) bool {
	if d.Past == nil {
		return false
	}
	last, err := d.Past.Latest(ctx, e.Repository.Key(), e.Ref)
	if errors.Is(err, ErrNotFound) {
		return false // it is long ago
	}
	return err != nil || last.Failure != nil
}

// mergeBase is where the commit left the ref.
func (d *Dispatcher) mergeBase(ctx context.Context, c *openCommit, repo Repository, ref string) (string, error) {
	base, err := d.openRef(ctx, repo, ref) // which fetches it, too
	if err != nil {
		return "", err
	}
	defer base.Close()
	return c.MergeBase(ctx, base.hash, c.hash)
}

func (d *Dispatcher) notCompared(e Event, err error) ([]string, bool) {
	if err != nil {
		d.Log.Debug("event not compared", "event", e.ID, "err", err)
	}
	return nil, false
}
