package builder

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	reconciledAt = 4               // repositories at the same time
	laterAtMost  = 2 * time.Minute // one wait for a forge's limit; a longer one is left to the next round
	triesMost    = 2               // of a repository in one round
	strikesMost  = 5               // refusals in a row, after which a forge is left alone for a while
)

// side is what a forge's limits and failures are counted by.
type side struct{ forge, installation string }

func sideOf(repo Repository) side { return side{repo.Forge, repo.Installation} }

// turns are the repositories of one round that wait to be compared. A forge
// that is at its limit, or away, keeps back its own and nobody else's.
type turns struct {
	mu      sync.Mutex
	queue   []*turn
	closed  map[side]time.Time // until then
	strikes map[side]int       // refusals in a row
	left    int                // for the next round
}

// turn is one repository's.
type turn struct {
	repo  Repository
	after time.Time // not before
	tries int
}

// round compares the repositories once, those first that were not compared
// for longest, and returns those that have differences to be seen again. What
// a limit leaves no time for comes first in the next round.
func (r *Reconciler) round(ctx context.Context, repos []Repository) (waiting []Repository) {
	limited, stop := context.WithTimeout(ctx, max(r.Every, reconcileEvery))
	defer stop()
	t := &turns{closed: map[side]time.Time{}, strikes: map[side]int{}}
	for _, repo := range r.inTurn(repos) {
		t.queue = append(t.queue, &turn{repo: repo})
	}
	var workers sync.WaitGroup
	for range min(reconciledAt, len(repos)) {
		workers.Go(func() {
			for {
				one, wait, more := t.next(time.Now())
				switch {
				case !more || limited.Err() != nil:
					return
				case wait > 0:
					wakeAfter(limited, wait)
				default:
					if err := r.take(limited, t, one); errors.Is(err, ErrUnavailable) {
						stop() // a thousand more questions would not bring the store back
					}
				}
			}
		})
	}
	workers.Wait()
	if left := t.left + len(t.queue); left > 0 && ctx.Err() == nil {
		r.Log.Info("not all repositories were compared; these come first the next time", "left", left, "of", len(repos))
	}
	for _, repo := range repos {
		if r.waits(repo) {
			waiting = append(waiting, repo)
		}
	}
	return waiting
}

// take compares one repository, whose error does not stop the others.
func (r *Reconciler) take(ctx context.Context, t *turns, one *turn) error {
	repo := one.repo
	err := r.reconcile(ctx, repo)
	if ctx.Err() != nil || t.again(one, err, time.Now()) {
		return err
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied):
		r.Log.Debug("reconciliation", "repo", repo.FullName(), "err", err)
	default:
		r.Log.Warn("reconciliation", "repo", repo.FullName(), "err", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[repo.Key()] = time.Now()
	return err
}

// inTurn puts those first that were not compared for longest.
func (r *Reconciler) inTurn(repos []Repository) []Repository {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	order := slices.Clone(repos)
	slices.SortStableFunc(order, func(a, b Repository) int { return r.last[a.Key()].Compare(r.last[b.Key()]) })
	return order
}

// next returns whose turn it is, or how long it is nobody's. more is false when
// this round has no more.
func (t *turns) next(now time.Time) (one *turn, wait time.Duration, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.queue)
	t.queue = slices.DeleteFunc(t.queue, func(one *turn) bool { return t.opens(one).Sub(now) > laterAtMost })
	t.left += before - len(t.queue)
	for i, one := range t.queue {
		until := t.opens(one).Sub(now)
		if until <= 0 {
			t.queue = slices.Delete(t.queue, i, i+1)
			return one, 0, true
		}
		if wait == 0 || until < wait {
			wait = until
		}
	}
	return nil, wait, len(t.queue) > 0
}

// opens is when the repository may be asked for; in the past: now.
func (t *turns) opens(one *turn) time.Time {
	if closed := t.closed[sideOf(one.repo)]; closed.After(one.after) {
		return closed
	}
	return one.after
}

// again reports whether the repository has to wait for its forge, and
// remembers what its answer says of that.
func (t *turns) again(one *turn, err error, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := sideOf(one.repo)
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) {
		t.strikes[at] = 0
		return false
	}
	t.strikes[at]++
	wait := reconcileEvery // of a forge that is away: until the next round
	var later Later
	limited := errors.As(err, &later)
	if limited {
		wait = later.Wait
	}
	if t.strikes[at] >= strikesMost {
		t.closed[at] = now.Add(wait)
	}
	if !limited {
		return false
	}
	if one.tries++; one.tries >= triesMost {
		t.left++
		return true
	}
	one.after = now.Add(wait)
	t.queue = slices.Insert(t.queue, 0, one)
	return true
}
