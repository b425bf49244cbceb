package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// openPulls are the open pull requests of a repository that have a commit, by
// number. nil where nobody can tell: then none is compared.
type openPulls map[int]Pull

// openPulls asks which pull requests are open. A repository may have none at
// all (they can be switched off), or may not show them to us: its pushes are
// compared all the same.
func (r *Reconciler) openPulls(ctx context.Context, repo Repository) (openPulls, error) {
	watcher := r.Watchers[repo.Forge]
	if watcher == nil {
		return nil, nil
	}
	list, err := watcher.OpenPulls(ctx, repo)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) {
		r.Log.Debug("pull requests are not compared", "repo", repo.FullName(), "err", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open pull requests of %s: %w", repo.FullName(), err)
	}
	open := openPulls{}
	for _, p := range list {
		if p.Number > 0 && p.Head != "" {
			open[p.Number] = p
		}
	}
	return open, nil
}

// seeds are the refs that are taken for known, with those of pull requests.
func seeds(refs map[string]string, pulls openPulls) map[string]string {
	all := maps.Clone(refs)
	if all == nil {
		all = map[string]string{}
	}
	for number, p := range pulls {
		all[PullRef(number)] = p.Head
	}
	return all
}

// pullDifferences lists the pull requests whose head moved, and those that are
// not open any more, by number.
func pullDifferences(repo Repository, heads map[string]string, pulls openPulls) []difference {
	if pulls == nil {
		return nil
	}
	numbers := slices.Collect(maps.Keys(pulls))
	for ref := range heads {
		number, isPull := ParsePullRef(ref)
		if _, open := pulls[number]; isPull && !open {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	var differ []difference
	for _, number := range numbers {
		ref := PullRef(number)
		if now := pulls[number].Head; heads[ref] != now {
			differ = append(differ, difference{repo: repo.Key(), ref: ref, before: heads[ref], now: now})
		}
	}
	return differ
}

// missedPull makes e the event of a pull request that moved or ended unseen.
// false: it is open, and will be compared again.
func (r *Reconciler) missedPull(ctx context.Context, e *Event, number int, pulls openPulls) (missed bool, err error) {
	if p, open := pulls[number]; open {
		e.Kind, e.Pull = PullChanged, &p
		return true, nil
	}
	ended := Pull{Number: number, Head: e.Before} // all that is left of one that was deleted
	if forge := r.Pulls[e.Repository.Forge]; forge != nil {
		p, err := forge.Pull(ctx, e.Repository, number)
		switch {
		case err == nil && p.Open:
			return false, nil // opened again, or on its way to be merged
		case err == nil:
			ended = p
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDenied):
			return false, fmt.Errorf("pull request %d of %s: %w", number, e.Repository.FullName(), err)
		}
	}
	e.Kind, e.Pull, e.Before, e.Commit = PullClosed, &ended, "", ended.Head
	return true, nil
}
