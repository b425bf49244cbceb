package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const mergeQueueRefs = "refs/heads/gh-readonly-queue/"

// difference is a ref that stands elsewhere than it is known to.
type difference struct{ repo, ref, before, now string }

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
		case !known && r.grace() > 0:
			still[d] = now
		case known && now.Sub(since) < r.grace():
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

// waits reports whether the repository has differences that are to be seen
// again.
func (r *Reconciler) waits(repo Repository) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen[repo.Key()]) > 0
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

// missedID names the event of a difference. It repeats for the same move, so
// that several processes make it once.
func missedID(repo Repository, d difference, again string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{d.repo, d.ref, d.before, d.now}, "\n")))
	return fmt.Sprintf("%s:missed-%s%s:%s", repo.Forge, hex.EncodeToString(sum[:8]), again, d.ref)
}

// missedEvent is what a push would have told, but for its ID.
func missedEvent(repo Repository, d difference) Event {
	e := Event{Repository: repo, Ref: d.ref, Before: d.before, Commit: d.now}
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
