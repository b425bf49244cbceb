package builder

import "fmt"

// MayMove reports whether a tag that stands at current may move to next:
// "latest means latest". A tag that is nowhere yet (nil) may.
//
// On one ref the generation decides first, which counts the ref's force
// pushes: after one, the newer history wins although neither commit descends
// from the other. Within a generation history decides: forward is allowed, and
// so is putting the tag again; back to an ancestor is not, so that a slow
// build, or the build of an old commit by hand, leaves the tag on the newer
// one. Commits of one generation that are not related come only from a build
// by hand or from events that were lost; the later event wins.
//
// Between different refs, and different repositories, no history is shared
// that could decide, and the later accepted event wins.
//
// descends must answer false, without an error, for a commit that is gone.
func MayMove(current *Position, next Position, descends func(ancestor, commit string) (bool, error)) (bool, error) {
	if current == nil {
		return true, nil
	}
	if current.Repository != next.Repository || current.Ref != next.Ref {
		return next.Seq >= current.Seq, nil
	}
	if current.Generation != next.Generation {
		return next.Generation > current.Generation, nil
	}
	if current.Commit == next.Commit {
		return true, nil
	}
	forward, err := descends(current.Commit, next.Commit)
	if err != nil {
		return false, fmt.Errorf("compare %s with %s: %w", next.Commit, current.Commit, err)
	}
	if forward {
		return true, nil
	}
	back, err := descends(next.Commit, current.Commit)
	if err != nil {
		return false, fmt.Errorf("compare %s with %s: %w", next.Commit, current.Commit, err)
	}
	return !back && next.Seq >= current.Seq, nil
}
