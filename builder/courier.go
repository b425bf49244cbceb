package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Records is what the courier reads and writes.
type Records interface {
	Event(ctx context.Context, id string) (Event, error)
	Decision(ctx context.Context, eventID string) (Decision, error)
	Build(ctx context.Context, id string) (Record, error)
	PutTriggerRun(ctx context.Context, run TriggerRun) error
}

const (
	carryLimit  = 30 * time.Second // of one effect
	settleLimit = 10 * time.Second // of writing down what became of it
	retryAtMost = 10 * time.Minute // after an error of ours; a trigger has its own waits
)

// Courier carries effects out of the outbox: it reports to the forges and
// fires triggers, each until it is done.
type Courier struct {
	Outbox    Outbox
	Records   Records
	Reporters map[string]Reporter // by forge instance
	Triggers  Triggers
	Name      string
	Parallel  int
	Log       *slog.Logger
}

// Run carries effects until ctx ends and finishes those in hand.
func (c *Courier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range max(c.Parallel, 1) {
		wg.Go(func() { c.loop(ctx, fmt.Sprintf("%s-%d", c.Name, i)) })
	}
	wg.Wait()
	return nil
}

func (c *Courier) loop(ctx context.Context, name string) {
	for ctx.Err() == nil {
		e, err := c.Outbox.NextEffect(ctx, name)
		if err != nil {
			pause(ctx, c.Log, "next effect", err)
			continue
		}
		c.carry(ctx, e)
	}
}

// carry sees one effect through. A stop lets it go on for a moment, and what
// is cut off then is carried again by whoever comes next.
func (c *Courier) carry(stop context.Context, e *Effect) {
	log := c.Log.With("effect", e.Kind, "id", e.ID, "trigger", e.Trigger, "attempt", e.Attempt)
	ctx, done := context.WithTimeout(context.WithoutCancel(stop), carryLimit)
	hurry := context.AfterFunc(stop, func() { time.AfterFunc(lastWords, done) })
	again, err := c.effect(ctx, e)
	hurry()
	done()
	switch {
	case errors.Is(err, ErrNotFound):
		log.Debug("effect of something deleted")
		again = 0
	case err != nil:
		log.Warn("effect failed", "err", err)
		again = max(again, min(time.Second<<min(e.Attempt, 20), retryAtMost))
	}
	ctx, settled := context.WithTimeout(context.WithoutCancel(stop), settleLimit)
	defer settled()
	if again > 0 {
		err = c.Outbox.Retry(ctx, e, again)
	} else {
		err = c.Outbox.Done(ctx, e)
	}
	if err != nil {
		log.Error("outbox", "err", err)
	}
}

// effect carries out one effect; again > 0 asks to be called once more.
func (c *Courier) effect(ctx context.Context, e *Effect) (again time.Duration, err error) {
	switch e.Kind {
	case ReportEvent:
		return 0, c.reportEvent(ctx, e.ID)
	case ReportBuild:
		return 0, c.reportBuild(ctx, e.ID)
	case FireTrigger:
		r, err := c.Records.Build(ctx, e.ID)
		if err != nil {
			return 0, err
		}
		run := c.Triggers.Fire(ctx, Firing{Record: r, Trigger: e.Trigger, Attempt: e.Attempt})
		return run.Retry, c.record(ctx, run)
	}
	return 0, fmt.Errorf("unknown effect %q", e.Kind)
}

// record keeps what a trigger did, for as long as ctx lets it: a run that is
// not written down is made again, and it has reached somebody.
func (c *Courier) record(ctx context.Context, run TriggerRun) error {
	for {
		err := c.Records.PutTriggerRun(ctx, run)
		if err == nil || errors.Is(err, ErrNotFound) || ctx.Err() != nil {
			return err
		}
		pause(ctx, c.Log, "record trigger", err)
	}
}

// reportEvent tells the commit what its event came to.
func (c *Courier) reportEvent(ctx context.Context, id string) error {
	e, err := c.Records.Event(ctx, id)
	if err != nil {
		return err
	}
	d, err := c.Records.Decision(ctx, id)
	if err != nil {
		return err
	}
	reporter, ok := c.Reporters[e.Repository.Forge]
	if !ok || e.Commit == "" || d.Hint != "" {
		return nil // nobody to tell, nothing to show it on, or nothing to say
	}
	state, text, err := c.aggregate(ctx, d)
	if err != nil {
		return err
	}
	return reporter.Report(ctx, Report{
		Repository: e.Repository, Ref: e.Ref, Commit: e.Commit, EventID: e.ID, Seq: e.Seq,
		Context: AggregateContext, State: state, Description: text, UpdatedAt: time.Now().UTC(), Decision: &d,
	})
}

// aggregate is the one status of all builds of a decision.
func (c *Courier) aggregate(ctx context.Context, d Decision) (ReportState, string, error) {
	switch {
	case len(d.Invalid) > 0:
		text := d.Invalid[0].String()
		if more := len(d.Invalid) - 1; more > 0 {
			note := fmt.Sprintf(" (and %d more)", more)
			return StatusError, clip(text, maxDescription-len(note)) + note, nil
		}
		return StatusError, clip(text, maxDescription), nil
	case d.Failure != nil:
		return StatusError, clip(d.Failure.Message, maxDescription), nil
	case len(d.Builds) == 0 && len(d.Reasons) > 0 && !d.Reasons[0].Error:
		return StatusSuccess, oneLine("nothing to build", d.Reasons[0].Message), nil
	}
	for _, r := range d.Reasons {
		if r.Error {
			return StatusError, oneLine(r.Image, r.Message), nil
		}
	}
	counts := map[State]int{}
	pending, good := 0, 0
	for _, b := range d.Builds {
		r, err := c.Records.Build(ctx, b.ID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		counts[r.State]++
		switch {
		case !r.State.Terminal():
			pending++
		case r.State.Good():
			good++
		}
	}
	if pending > 0 {
		return StatusPending, count(pending, "image") + " to go", nil
	}
	for _, s := range []State{Failed, Cancelled, Superseded} { // the worst first
		if counts[s] > 0 {
			return statusOf(s), fmt.Sprintf("%s %s", count(counts[s], "image"), s), nil
		}
	}
	return StatusSuccess, count(good, "image") + " built", nil
}

// reportBuild tells the commit how one image fares, and then all of them.
func (c *Courier) reportBuild(ctx context.Context, id string) error {
	r, err := c.Records.Build(ctx, id)
	if err != nil {
		return err
	}
	reporter, ok := c.Reporters[r.Repository.Forge]
	if !ok || r.Commit == "" {
		return nil
	}
	err = reporter.Report(ctx, Report{
		Repository: r.Repository, Ref: r.Ref, Commit: r.Commit, BuildID: r.ID, EventID: r.EventID, Seq: r.Seq,
		Context: r.StatusContext(), State: statusOf(r.State), Description: Describe(r), UpdatedAt: time.Now().UTC(), Record: &r,
	})
	if err != nil {
		return err
	}
	return c.reportEvent(ctx, r.EventID)
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
