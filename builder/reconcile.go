package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Heads is what is known of repositories' refs: where the last accepted
// event of each says that it stands.
type Heads interface {
	// ActiveRepositories returns the repositories that had an event since then.
	ActiveRepositories(ctx context.Context, since time.Time) ([]Repository, error)
	// AcceptedHeads returns a commit for each ref; deleted refs are absent.
	AcceptedHeads(ctx context.Context, repoKey string) (map[string]string, error)
	// SeedHeads takes the refs as accepted that have no head yet. first is
	// false, and nothing written, where that was done before.
	SeedHeads(ctx context.Context, repoKey string, heads map[string]string) (first bool, err error)
}

// Refs reads refs where the repository is.
type Refs interface {
	// Refs returns the commit of each branch and tag (refs/heads/main), of an
	// annotated tag the one that it is put on. ErrNotFound when the repository
	// is gone, or when we are not let in any more.
	Refs(ctx context.Context, repo Repository) (map[string]string, error)
}

// Events accepts events.
type Events interface {
	// Append is durable when it returns. An event whose ID was accepted
	// before is a duplicate.
	Append(ctx context.Context, e Event) (Receipt, error)
}

const (
	reconcileEvery = 5 * time.Minute
	reconcileLimit = time.Minute         // for one repository
	reconciledAt   = 4                   // repositories at the same time
	activeFor      = 30 * 24 * time.Hour // since its last event
	onItsWay       = 30 * time.Second
	laterAtMost    = 2 * time.Minute // one wait for a forge's limit
	mergeQueueRefs = "refs/heads/gh-readonly-queue/"
)

// Reconciler finds what no event told us: it compares the refs of repositories
// with the last accepted events, and makes the events that are missing. A
// forge loses deliveries, and some it never makes: GitHub sends none at all
// for a push of more than three tags.
type Reconciler struct {
	Heads  Heads
	Refs   Refs
	Events Events
	Forges []string      // instances whose repositories are compared
	Every  time.Duration // 0: 5 minutes
	Grace  time.Duration // how long a delivery may be on its way; 0: 30 seconds
	Log    *slog.Logger

	mu   sync.Mutex
	seen map[string]map[difference]time.Time // repository key -> since when
}

// difference is a ref that stands elsewhere than it is known to.
type difference struct{ repo, ref, before, now string }

// Run compares at once and then every Every, until ctx ends. Repositories with
// differences are looked at again soon after, and what is still there then
// becomes events: so a delivery on its way is not overtaken.
func (r *Reconciler) Run(ctx context.Context) error {
	every := r.Every
	if every <= 0 {
		every = reconcileEvery
	}
	for {
		began := time.Now()
		waiting := r.round(ctx, r.active(ctx))
		if len(waiting) > 0 && wakeAfter(ctx, r.grace()) {
			r.round(ctx, waiting)
		}
		if !wakeAfter(ctx, max(every-time.Since(began), time.Second)) {
			return nil
		}
	}
}

// grace is how long a difference may be there before it is taken for missed.
func (r *Reconciler) grace() time.Duration {
	if r.Grace > 0 {
		return r.Grace
	}
	return onItsWay
}

// active returns the repositories that are compared.
func (r *Reconciler) active(ctx context.Context) []Repository {
	repos, err := r.Heads.ActiveRepositories(ctx, time.Now().Add(-activeFor))
	if err != nil && ctx.Err() == nil {
		r.Log.Error("reconciliation", "err", err)
	}
	return slices.DeleteFunc(repos, func(repo Repository) bool { return !slices.Contains(r.Forges, repo.Forge) })
}

// Seed takes the repository's refs as they are for known, when we were let in
// just now, so that nothing is built for what was there before.
func (r *Reconciler) Seed(ctx context.Context, repo Repository) error {
	refs, err := r.refs(ctx, repo)
	if err != nil {
		return err
	}
	_, err = r.Heads.SeedHeads(ctx, repo.Key(), refs)
	return err
}

// round compares the repositories once, and returns those that have
// differences to be seen again. One repository's error does not stop the others.
func (r *Reconciler) round(ctx context.Context, repos []Repository) (waiting []Repository) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.SetLimit(reconciledAt)
	for _, repo := range repos {
		group.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			err := r.patiently(ctx, func() error { return r.reconcile(ctx, repo) })
			switch {
			case err == nil || ctx.Err() != nil:
			case errors.Is(err, ErrNotFound):
				r.Log.Debug("reconciliation", "repo", repo.FullName(), "err", err)
			default:
				r.Log.Warn("reconciliation", "repo", repo.FullName(), "err", err)
			}
			if errors.Is(err, ErrUnavailable) {
				stop() // a thousand more questions would not bring the store back
			}
			return nil
		})
	}
	group.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, repo := range repos {
		if len(r.seen[repo.Key()]) > 0 {
			waiting = append(waiting, repo)
		}
	}
	return waiting
}

// patiently does it once more when a forge's limit asked for a short wait:
// the repositories that come next have the same forge.
func (r *Reconciler) patiently(ctx context.Context, do func() error) error {
	err := do()
	var later Later
	if errors.As(err, &later) && later.Wait <= laterAtMost && wakeAfter(ctx, later.Wait) {
		return do()
	}
	return err
}

// reconcile makes the events that are missing of one repository, for the
// differences that were there half a minute before, too.
func (r *Reconciler) reconcile(ctx context.Context, repo Repository) error {
	ctx, done := context.WithTimeout(ctx, reconcileLimit)
	defer done()
	refs, err := r.refs(ctx, repo)
	if err != nil {
		return err
	}
	// Also without a difference: whatever moves from here on is news.
	if first, err := r.Heads.SeedHeads(ctx, repo.Key(), refs); first || err != nil {
		return err
	}
	heads, err := r.Heads.AcceptedHeads(ctx, repo.Key())
	if err != nil {
		return err
	}
	for _, d := range r.ripe(repo, differences(repo, heads, refs)) {
		if err := r.accept(ctx, repo, d); err != nil {
			return err
		}
	}
	return nil
}

// ripe returns the differences that have been there long enough, and
// remembers the others.
func (r *Reconciler) ripe(repo Repository, differ []difference) (ripe []difference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	still := map[difference]time.Time{}
	for _, d := range differ {
		since, known := r.seen[repo.Key()][d]
		switch {
		case !known:
			still[d] = now
		case now.Sub(since) < r.grace():
			still[d] = since
		default:
			ripe = append(ripe, d)
		}
	}
	if r.seen == nil {
		r.seen = map[string]map[difference]time.Time{}
	}
	if delete(r.seen, repo.Key()); len(still) > 0 {
		r.seen[repo.Key()] = still
	}
	return ripe
}

// accept makes the event of one ref that moved unseen.
func (r *Reconciler) accept(ctx context.Context, repo Repository, d difference) error {
	// A ref that goes back and forth makes the same move twice. The second
	// time its name is known already, so there is a next one.
	for _, again := range []string{"", "-" + strconv.FormatInt(time.Now().Unix(), 36)} {
		e := missedEvent(repo, d, again)
		receipt, err := r.Events.Append(ctx, e)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		if !receipt.Duplicate {
			r.Log.Info("ref had moved unseen", "repo", repo.FullName(), "ref", d.ref, "event", e.ID)
			return nil
		}
		heads, err := r.Heads.AcceptedHeads(ctx, repo.Key())
		if err != nil || heads[d.ref] != d.before {
			return err
		}
	}
	return nil
}

// refs are the branches and tags that people push.
func (r *Reconciler) refs(ctx context.Context, repo Repository) (map[string]string, error) {
	refs, err := r.Refs.Refs(ctx, repo)
	if err != nil {
		return nil, fmt.Errorf("refs of %s: %w", repo.FullName(), err)
	}
	refs = maps.Clone(refs)
	maps.DeleteFunc(refs, func(ref, _ string) bool { return !pushed(ref) })
	return refs, nil
}

// pushed reports whether people push the ref, and its events are pushes.
func pushed(ref string) bool {
	if strings.HasPrefix(ref, mergeQueueRefs) {
		return false // the queue's own, told as MergeQueued
	}
	return strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/")
}

// differences lists the refs that stand elsewhere, in order.
func differences(repo Repository, heads, refs map[string]string) []difference {
	names := slices.Collect(maps.Keys(refs))
	for ref := range heads {
		if _, there := refs[ref]; !there && pushed(ref) {
			names = append(names, ref)
		}
	}
	slices.Sort(names)
	var differ []difference
	for _, ref := range names {
		if heads[ref] != refs[ref] {
			differ = append(differ, difference{repo: repo.Key(), ref: ref, before: heads[ref], now: refs[ref]})
		}
	}
	return differ
}

// missedEvent is what a push would have told. Its ID repeats for the same
// move, so that several processes make it once.
func missedEvent(repo Repository, d difference, again string) Event {
	sum := sha256.Sum256([]byte(strings.Join([]string{d.repo, d.ref, d.before, d.now}, "\n")))
	e := Event{
		ID:         fmt.Sprintf("%s:missed-%s%s:%s", repo.Forge, hex.EncodeToString(sum[:8]), again, d.ref),
		Repository: repo, Ref: d.ref, Before: d.before, Commit: d.now,
	}
	tag, gone := strings.HasPrefix(d.ref, "refs/tags/"), d.now == ""
	switch {
	case tag && gone:
		e.Kind = TagDeleted
	case tag:
		e.Kind = TagPushed
	case gone:
		e.Kind = BranchDeleted
	default:
		e.Kind = BranchPushed
	}
	return e
}

// wakeAfter waits; false when ctx ends first.
func wakeAfter(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
