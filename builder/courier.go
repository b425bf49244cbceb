package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Records is what the courier reads, and what triggers did.
type Records interface {
	Event(ctx context.Context, id string) (Event, error)
	Decision(ctx context.Context, eventID string) (Decision, error)
	Build(ctx context.Context, id string) (Record, error)
	Builds(ctx context.Context, f BuildFilter) (page []Record, next string, err error)
	PutTriggerRun(ctx context.Context, run TriggerRun) error
}

// Told keeps what people were told, so that the API can show it and nothing
// older is told after something newer.
type Told interface {
	// PutStatus keeps the report for its commit and context, unless a newer
	// one is there: then newest is false.
	PutStatus(ctx context.Context, r Report) (newest bool, err error)
	Statuses(ctx context.Context, repoKey, commit string) ([]Report, error)
	// Remark adds remarks to the thread, which comes without any, and returns
	// all of it: the last 20.
	Remark(ctx context.Context, t Thread, remarks ...Remark) (Thread, error)
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
	Told      Told
	Reporters map[string]Reporter // by forge instance; one may be a Commenter, too
	Triggers  Triggers
	Registry  Untagger
	Logins    Logins
	Host      string // the embedded registry's, for destinations without one
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
	var later Later
	switch {
	case errors.As(err, &later):
		log.Debug("effect put off", "wait", later.Wait, "reason", later.Reason)
		again = max(later.Wait, time.Millisecond)
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
	case UntagPull:
		return c.untagPull(ctx, e.ID)
	case FireTrigger:
		return c.fire(ctx, e)
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
