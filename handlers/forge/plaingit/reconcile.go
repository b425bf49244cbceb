package plaingit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// leftover is how old a half-received push must be before its files are
// removed: a git process may have outlived a killed server.
const leftover = 24 * time.Hour

// reconciling compares refs with what was accepted, at once and then every
// Options.Every.
func (f *Forge) reconciling(ctx context.Context) {
	f.sweep()
	tick := time.NewTicker(f.opts.Every)
	defer tick.Stop()
	for {
		f.reconcileAll(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// reconcileAll goes on after a repository that is broken, but not after the
// store has gone: there is nothing to gain from asking it a thousand times.
func (f *Forge) reconcileAll(ctx context.Context) {
	repos, err := f.repositories()
	if err != nil {
		f.log.Error("reconciliation", "err", err)
		return
	}
	for _, r := range repos {
		unlock, ok := f.tryLock(r.path)
		if !ok {
			continue // a push is at work; it looks after itself
		}
		err := f.reconcile(ctx, r)
		unlock()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.log.Warn("reconciliation", "repo", r.path, "err", err)
		}
		if errors.Is(err, builder.ErrUnavailable) {
			return
		}
	}
}

// reconcile appends an event for each ref of the repository that stands
// elsewhere than the last accepted event says, and drops the intents. Where an
// intent leads to where the ref stands, the event is the intent's, with its
// ID, pusher and former commit; a ref that moved twice unseen makes one event,
// for where it stands now. The caller holds the repository's lock.
func (f *Forge) reconcile(ctx context.Context, r repository) error {
	refs, err := f.refs(ctx, r)
	if err != nil {
		return err
	}
	heads, err := f.opts.Store.AcceptedHeads(ctx, r.key())
	if err != nil {
		return err
	}
	intents, err := f.opts.Store.Intents(ctx, r.key())
	if err != nil {
		return err
	}
	branch, err := f.mendHead(ctx, r, refs)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(refs))
	for ref := range heads {
		if refs[ref] == "" {
			names = append(names, ref)
		}
	}
	for _, ref := range names {
		if refs[ref] == heads[ref] {
			continue
		}
		if err := f.appendMissed(ctx, r, intents, branch, ref, heads[ref], refs[ref]); err != nil {
			return err
		}
	}
	if len(intents) == 0 {
		return nil
	}
	ids := make([]string, len(intents))
	for i, e := range intents {
		ids[i] = e.ID
	}
	return f.opts.Store.DropIntents(ctx, r.key(), ids...)
}

// appendMissed accepts the event of one ref that moved unseen.
func (f *Forge) appendMissed(ctx context.Context, r repository, intents []builder.Event, branch, ref, before, now string) error {
	var tries []builder.Event
	for _, e := range slices.Backward(intents) {
		if e.Ref == ref && e.Commit == now {
			tries = append(tries, e)
		}
	}
	// A ref that goes back and forth by hand makes the same move twice. The
	// second time its first name is known already, so there is a next one.
	name := fmt.Sprintf("reconcile-%.12s-%.12s", orNone(before), orNone(now))
	for _, delivery := range []string{name, name + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)} {
		if e, ok := event(r.domain(branch), delivery, ref, before, now); ok {
			tries = append(tries, e)
		}
	}
	for _, e := range tries {
		receipt, err := f.opts.Store.Append(ctx, e)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		if !receipt.Duplicate {
			f.log.Info("ref had moved unseen", "repo", r.path, "ref", ref, "event", e.ID)
			return nil
		}
		// Accepted before: then either the head says so by now, or the ref
		// has left and come back since.
		heads, err := f.opts.Store.AcceptedHeads(ctx, r.key())
		if err != nil {
			return err
		}
		if heads[ref] == now {
			return nil
		}
	}
	return fmt.Errorf("%s of %s stands at %q and is not recorded", ref, r.path, now)
}

// mendHead returns the default branch, and lets HEAD name a branch that is
// there: the push that should have set it was cut off, or somebody copied a
// repository into the folder.
func (f *Forge) mendHead(ctx context.Context, r repository, refs map[string]string) (string, error) {
	current, err := r.head()
	if err != nil {
		return "", err
	}
	var branches []string
	for ref := range refs {
		if b, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			branches = append(branches, b)
		}
	}
	branch := chooseHead(current, branches)
	if branch != current {
		return branch, f.setHead(ctx, r, branch)
	}
	return branch, nil
}

func orNone(commit string) string {
	if commit == "" {
		return "none"
	}
	return commit
}

// sweep removes what killed processes left: half-received packs and
// repositories that were not finished.
func (f *Forge) sweep() {
	for _, pattern := range []string{".new-*", ".old-*", "*/*.git/objects/tmp_objdir-*"} {
		left, err := filepath.Glob(filepath.Join(f.opts.Root, pattern))
		if err != nil {
			continue
		}
		for _, path := range left {
			if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > leftover {
				if err := os.RemoveAll(path); err != nil {
					f.log.Warn("sweep", "err", err)
				}
			}
		}
	}
}
