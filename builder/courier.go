package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Records is what the courier reads.
type Records interface {
	Event(ctx context.Context, id string) (Event, error)
	Decision(ctx context.Context, eventID string) (Decision, error)
	Build(ctx context.Context, id string) (Record, error)
	Builds(ctx context.Context, f BuildFilter) (page []Record, next string, err error)
	// TriggerRun is ErrNotFound while nothing was recorded.
	TriggerRun(ctx context.Context, buildID, trigger string) (TriggerRun, error)
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
	reportLimit = 30 * time.Second // of one report
	fireLimit   = 2 * time.Minute  // of one call of a trigger, which has shorter limits itself
	settleLimit = 10 * time.Second // of writing down what became of it
	retryAtMost = 10 * time.Minute // after an error of ours; a trigger has its own waits
	holdEvery   = 5 * time.Second  // leases of what is in hand are renewed
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
	Parallel  int // reports at a time
	Firing    int // triggers at a time; 0: 32. Those that take long do not count: see slots
	Log       *slog.Logger

	held   hands
	builds records
	shares shares
}

const defaultFiring = 32

// Run carries effects until ctx ends and finishes those in hand.
func (c *Courier) Run(ctx context.Context) error {
	firing := c.Firing
	if firing <= 0 {
		firing = defaultFiring
	}
	c.shares.most = firing * slowFold / 2
	var lanes sync.WaitGroup
	lanes.Go(func() { c.lane(ctx, LaneReports, newSlots(max(c.Parallel, 1), 1, 0), 0) })
	lanes.Go(func() { c.lane(ctx, LaneTriggers, newSlots(firing, slowFold, slowAfter), firing) })
	holding, stop := context.WithCancel(context.WithoutCancel(ctx))
	var hold sync.WaitGroup
	hold.Go(func() { c.hold(holding) })
	lanes.Wait()
	stop()
	hold.Wait()
	return nil
}

// lane carries each effect by itself, in a slot. Up to ahead of them are
// claimed before there is one: a claim is a round trip, and a slot should not
// wait for it.
func (c *Courier) lane(ctx context.Context, lane EffectLane, s *slots, ahead int) {
	queue := make(chan *Effect, ahead)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		defer close(queue)
		c.claim(ctx, lane, max(ahead, 1), queue)
	})
	for e := range queue {
		if !s.wait(ctx) {
			c.giveBack(ctx, e)
			continue
		}
		give := s.taken()
		running.Go(func() { defer give(); c.carry(ctx, e) })
	}
}

// claim takes what is due, until ctx ends. What waits for a slot is held.
func (c *Courier) claim(ctx context.Context, lane EffectLane, most int, queue chan<- *Effect) {
	for ctx.Err() == nil {
		effects, err := c.Outbox.NextEffects(ctx, c.Name, lane, most)
		for _, e := range effects {
			c.held.add(e)
		}
		for _, e := range effects {
			queue <- e
		}
		if err != nil {
			pause(ctx, c.Log, "next effects", err)
		}
	}
}

// giveBack lets somebody else carry at once what a stop has left over.
func (c *Courier) giveBack(stop context.Context, e *Effect) {
	ctx, done := context.WithTimeout(context.WithoutCancel(stop), lastWords)
	defer done()
	defer c.held.remove(e)
	if err := c.Outbox.Retry(ctx, e, time.Millisecond); err != nil {
		c.Log.Warn("give back an effect", "id", e.ID, "trigger", e.Trigger, "err", err)
	}
}

// carry sees one effect through. A stop lets it go on for a moment, and what
// is cut off then is carried again by whoever comes next.
func (c *Courier) carry(stop context.Context, e *Effect) {
	log := c.Log.With("effect", e.Kind, "id", e.ID, "trigger", e.Trigger, "attempt", e.Attempt)
	limit := reportLimit
	if e.Kind == FireTrigger {
		limit = fireLimit
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(stop), limit)
	defer done()
	if !c.held.start(e, done) {
		return
	}
	defer c.held.remove(e)
	hurry := context.AfterFunc(stop, func() { time.AfterFunc(lastWords, done) })
	again, err := c.effect(ctx, e)
	hurry()
	done()
	var later Later
	switch {
	case errors.Is(err, errSettled):
		return
	case errors.Is(err, ErrLeaseLost):
		log.Warn("effect is somebody else's now", "err", err)
		return
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
	case ReportRun:
		return 0, c.reportRun(ctx, e.ID, e.Trigger)
	case UntagPull:
		return c.untagPull(ctx, e.ID)
	case FireTrigger:
		return 0, c.fire(ctx, e)
	}
	return 0, fmt.Errorf("unknown effect %q", e.Kind)
}

// hold renews the leases of what is in hand, so that a dead courier's effects
// are taken up soon and a slow one's are not.
func (c *Courier) hold(ctx context.Context) {
	tick := time.NewTicker(holdEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		effects := c.held.all()
		if len(effects) == 0 {
			continue
		}
		call, done := context.WithTimeout(ctx, holdEvery)
		lost, err := c.Outbox.HoldEffects(call, effects...)
		done()
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("hold effects", "err", err)
		}
		for _, e := range lost {
			c.held.drop(e)
		}
	}
}
