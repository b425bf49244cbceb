package builder

import "fmt"

// Order puts an event of a ref after those that were seen before. It returns
// where the ref stands then, and stale when the event had been overtaken
// before it arrived: forges deliver out of order.
//
// head is where the ref stood: nil when it was never seen, and with an empty
// Commit when it is deleted, so that the generation goes on counting when the
// ref comes back and builds of its former life stay behind.
//
// The generation counts from 1 and grows when the ref moves to a commit that
// does not descend from where it stood. Before and Commit are commits, also
// for an annotated tag. A build by hand moves nothing: head comes back as it is.
//
// History cannot tell a late event of a line that a force push threw away from
// another force push: then the late one wins until the forge's refs are
// compared again, which the forge's adapter does for this reason.
//
// descends must answer false, without an error, for a commit that is gone.
func Order(head *Position, e Event, descends func(ancestor, commit string) (bool, error)) (next Position, stale bool, err error) {
	next = Position{Repository: e.Repository.Key(), Ref: e.Ref, Commit: e.Commit, Generation: 1, Seq: e.Seq}
	switch {
	case e.Kind == Requested && head != nil:
		return *head, false, nil
	case e.Kind == Requested:
		next.Commit, next.Generation = "", 0
		return next, false, nil
	case head == nil:
		return next, false, nil
	case e.Commit == "":
		return orderDeletion(*head, next, e.Before, descends)
	case head.Commit == "":
		// Also when Before is set: the creation was lost or is late. To build
		// one commit of a ref that is gone is a waste; to miss one is a loss.
		next.Generation = head.Generation + 1
		return next, false, nil
	case e.Commit == head.Commit:
		return *head, true, nil // told twice: as an event, and by comparing refs
	}
	next.Generation = head.Generation
	forward, err := descends(head.Commit, e.Commit)
	if err != nil {
		return *head, false, fmt.Errorf("order %s at %s: %w", e.Ref, e.Commit, err)
	}
	if forward {
		return next, false, nil
	}
	if e.Before != head.Commit {
		overtaken, err := descends(e.Commit, head.Commit)
		if err != nil {
			return *head, false, fmt.Errorf("order %s at %s: %w", e.Ref, e.Commit, err)
		}
		if overtaken {
			return *head, true, nil
		}
	}
	next.Generation++
	return next, false, nil
}

// orderDeletion tells a deletion of what stands there, or of something newer
// that has not arrived yet, from the late deletion of a former life.
func orderDeletion(head, next Position, before string, descends func(ancestor, commit string) (bool, error)) (Position, bool, error) {
	next.Generation = head.Generation
	if head.Commit == "" {
		return head, true, nil
	}
	if before == "" || before == head.Commit {
		return next, false, nil
	}
	newer, err := descends(head.Commit, before)
	if err != nil {
		return head, false, fmt.Errorf("order the deletion of %s: %w", next.Ref, err)
	}
	if !newer {
		return head, true, nil
	}
	return next, false, nil
}
