package builder

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Heads is what is known of repositories' refs: where the last accepted
// event of each says that it stands. Open pull requests are refs too (PullRef).
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
	activeFor      = 30 * 24 * time.Hour // since its last event
	onItsWay       = 30 * time.Second
)

// Reconciler finds what no event told us: it compares the refs of repositories
// with the last accepted events, and makes the events that are missing. A
// forge loses deliveries, and some it never makes: GitHub sends none at all
// for a push of more than three tags. Where there is a Watcher it does the same
// for pull requests and comments, and can so stand for deliveries altogether.
type Reconciler struct {
	Heads  Heads
	Refs   Refs
	Events Events
	Forges []string      // instances whose repositories are compared
	Every  time.Duration // 0: 5 minutes
	Grace  time.Duration // how long a delivery may be on its way; 0: 30 seconds, negative: there are none
	Active time.Duration // repositories are compared that long after their last event; 0: 30 days, negative: for ever
	Log    *slog.Logger

	Watchers map[string]Watcher            // by instance: those whose pull requests and comments are looked for
	Pulls    map[string]Forge              // by instance: say how a pull request has ended
	Looks    Looks                         // nil: no comments are looked for
	Read     func(Command) (Command, bool) // reads the command out of a comment, false where there is none; as Looks

	mu   sync.Mutex
	seen map[string]map[difference]time.Time // repository key -> since when
	last map[string]time.Time                // repository key -> when it was compared
}

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
	return max(cmp.Or(r.Grace, onItsWay), 0)
}

// active returns the repositories that are compared.
func (r *Reconciler) active(ctx context.Context) []Repository {
	var since time.Time
	if r.Active >= 0 {
		since = time.Now().Add(-cmp.Or(r.Active, activeFor))
	}
	repos, err := r.Heads.ActiveRepositories(ctx, since)
	if err != nil && ctx.Err() == nil {
		r.Log.Error("reconciliation", "err", err)
	}
	return slices.DeleteFunc(repos, func(repo Repository) bool { return !slices.Contains(r.Forges, repo.Forge) })
}

// Seed takes the repository's refs and pull requests as they are for known, and
// its comments for read, when we were let in just now, so that nothing is built
// for what was there before.
func (r *Reconciler) Seed(ctx context.Context, repo Repository) error {
	refs, err := r.refs(ctx, repo)
	if err != nil {
		return err
	}
	pulls, err := r.openPulls(ctx, repo)
	if err != nil {
		return err
	}
	if _, err := r.Heads.SeedHeads(ctx, repo.Key(), seeds(refs, pulls)); err != nil {
		return err
	}
	_, _, err = r.lastLook(ctx, repo, time.Now())
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
	pulls, err := r.openPulls(ctx, repo)
	if err != nil {
		return err
	}
	// Also without a difference: whatever moves from here on is news.
	first, err := r.Heads.SeedHeads(ctx, repo.Key(), seeds(refs, pulls))
	if err != nil {
		return err
	}
	if !first {
		if err := r.compare(ctx, repo, refs, pulls); err != nil {
			return err
		}
	}
	if r.waits(repo) {
		return nil // a comment is about what was pushed before it
	}
	return r.comments(ctx, repo)
}

// compare makes the events of the refs and pull requests that moved unseen.
func (r *Reconciler) compare(ctx context.Context, repo Repository, refs map[string]string, pulls openPulls) error {
	heads, err := r.Heads.AcceptedHeads(ctx, repo.Key())
	if err != nil {
		return err
	}
	differ := append(differences(repo, heads, refs), pullDifferences(repo, heads, pulls)...)
	for _, d := range r.ripe(repo, differ) {
		e := missedEvent(repo, d)
		if number, isPull := ParsePullRef(d.ref); isPull {
			if missed, err := r.missedPull(ctx, &e, number, pulls); !missed || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := r.accept(ctx, e, d); err != nil {
			return err
		}
	}
	return nil
}

// accept accepts the event of one ref that moved unseen.
func (r *Reconciler) accept(ctx context.Context, e Event, d difference) error {
	repo := e.Repository
	// A ref that goes back and forth makes the same move twice. The second
	// time its name is known already, so there is a next one.
	for _, again := range []string{"", "-" + strconv.FormatInt(time.Now().Unix(), 36)} {
		e.ID = missedID(repo, d, again)
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
