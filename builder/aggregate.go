package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// aggregate is the one status of a commit, for branch protection: of the
// event's own builds, and of what other events built of the same commit, such
// as a branch and its pull request. seq puts it after all that it sums up.
func (c *Courier) aggregate(ctx context.Context, e Event, d Decision, commit string) (state ReportState, text string, seq int64, err error) {
	states, seq, err := c.images(ctx, e, d, commit)
	if err != nil {
		return "", "", 0, err
	}
	if state, text := refusal(d); state != "" {
		return state, text, seq, nil
	}
	counts := map[ReportState]int{}
	for _, s := range states {
		counts[s]++
	}
	switch {
	case counts[StatusPending] > 0:
		return StatusPending, count(counts[StatusPending], "image") + " to go", seq, nil
	case counts[StatusFailure] > 0:
		return StatusFailure, count(counts[StatusFailure], "image") + " failed", seq, nil
	case counts[StatusError] > 0:
		return StatusError, count(counts[StatusError], "image") + " cancelled or superseded", seq, nil
	case len(states) > 0:
		return StatusSuccess, count(len(states), "image") + " built", seq, nil
	case d.Suggestion != nil:
		return StatusNeutral, clip(d.Hint, maxDescription), seq, nil
	case len(d.Reasons) > 0:
		return StatusSuccess, oneLine("nothing to build", d.Reasons[0].Message), seq, nil
	}
	return StatusSuccess, "nothing to build", seq, nil
}

// refusal is what keeps an event from building as it should, "" if nothing.
func refusal(d Decision) (ReportState, string) {
	switch {
	case len(d.Invalid) > 0:
		text := d.Invalid[0].String()
		if more := len(d.Invalid) - 1; more > 0 {
			note := fmt.Sprintf(" (and %d more)", more)
			return StatusError, clip(text, maxDescription-len(note)) + note
		}
		return StatusError, clip(text, maxDescription)
	case d.Failure != nil:
		return StatusError, clip(d.Failure.Message, maxDescription)
	case d.Unapproved != "":
		return StatusWaiting, clip("from a fork: waits until a maintainer writes /"+string(CommandOkToBuild)+" "+d.Unapproved, maxDescription)
	}
	for _, r := range d.Reasons {
		if r.Error {
			return StatusError, oneLine(r.Image, r.Message)
		}
	}
	return "", ""
}

// images are the newest states of all images at the commit, by context.
func (c *Courier) images(ctx context.Context, e Event, d Decision, commit string) (states map[string]ReportState, seq int64, err error) {
	told, err := c.Told.Statuses(ctx, e.Repository.Key(), commit)
	if err != nil {
		return nil, 0, err
	}
	states, seqs := map[string]ReportState{}, map[string]int64{}
	seq = e.Seq
	for _, r := range told {
		if r.Trigger != "" {
			continue // a trigger never fails a build
		}
		seq = max(seq, r.Seq)
		if strings.HasPrefix(r.Context, AggregateContext+"/") {
			states[r.Context], seqs[r.Context] = r.State, r.Seq
		}
	}
	own := map[string]int64{}
	for _, b := range d.Builds {
		if b.StatusCommit() != commit || seqs[b.StatusContext()] > b.Seq {
			continue
		}
		r, err := c.Records.Build(ctx, b.ID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		// Of several builds of one image, which `match: all` makes, the worst
		// counts.
		state, at := statusOf(r.State), b.StatusContext()
		if own[at] != b.Seq || worse(state, states[at]) {
			states[at], own[at] = state, b.Seq
		}
	}
	return states, seq, nil
}

func worse(a, b ReportState) bool {
	rank := map[ReportState]int{StatusSuccess: 0, StatusError: 1, StatusFailure: 2, StatusPending: 3}
	return rank[a] > rank[b]
}

// statusOf puts a build's state in the words that forges share. Cancelled
// and superseded are errors there: the image of this commit does not exist.
func statusOf(s State) ReportState {
	switch {
	case !s.Terminal():
		return StatusPending
	case s.Good():
		return StatusSuccess
	case s == Failed:
		return StatusFailure
	}
	return StatusError
}
