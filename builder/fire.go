package builder

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/registry-build/registry-build/config"
)

// errSettled ends an effect that Outbox.Settle has ended, or put off, itself.
var errSettled = errors.New("settled")

// troubleAfter is the attempt from which on the commit is told that a trigger
// does not get through, though it is still tried: before, the other side may
// just have been restarted.
const troubleAfter = 3

// fire makes one call of a trigger and records it. Its commit is told by an
// effect of its own, so that no forge holds up a trigger.
func (c *Courier) fire(ctx context.Context, e *Effect) error {
	r, err := c.builds.get(ctx, e.ID, c.Records.Build)
	if err != nil {
		return err
	}
	give, ok := c.shares.take(r.Repository.Key())
	if !ok {
		return Later{Wait: shareWait, Reason: "the repository's other triggers wait for their receivers"}
	}
	defer give()
	run, err := c.before(ctx, e)
	if err != nil {
		return err
	}
	f := Firing{Record: r, Trigger: e.Trigger, Before: run}
	first := time.Now().UTC()
	switch {
	case run == nil:
	case run.Asked != e.Asked: // a person wants it again: from the beginning
		f.Before, first = nil, run.firstAt()
	case run.State.Terminal(): // recorded before a crash: what is left is to end the effect
		return c.settle(ctx, e, r, *run)
	default:
		first = run.firstAt()
	}
	about := func(run TriggerRun) TriggerRun {
		run.Repository, run.Image, run.FirstAt, run.Asked, run.AskedBy = r.Repository, r.Image, first, e.Asked, e.By
		return run
	}
	if f.Before == nil && c.watched(r, e.Trigger) {
		// People see that it has begun. It fires all the same where it cannot
		// be written down.
		if err := c.Outbox.Settle(ctx, e, about(c.Triggers.Begin(ctx, f)), c.telling(r, e.Trigger, TellAlways)); errors.Is(err, ErrLeaseLost) {
			return err
		} else if err != nil {
			c.Log.Warn("trigger not shown as begun", "build", r.ID, "trigger", e.Trigger, "err", err)
		}
	}
	fired := about(c.Triggers.Fire(ctx, f))
	if fired.Retry > 0 {
		fired.NextAt = time.Now().UTC().Add(fired.Retry)
	}
	return c.settle(ctx, e, r, fired)
}

// before is what is recorded of the trigger. The first attempt that nobody
// asked for has nothing to look up.
func (c *Courier) before(ctx context.Context, e *Effect) (*TriggerRun, error) {
	if e.Attempt < 2 && e.Asked == 0 {
		return nil, nil
	}
	run, err := c.Records.TriggerRun(ctx, e.ID, e.Trigger)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &run, nil
}

// settle writes a run down, for as long as it takes: a run that is not written
// down is made again, and it has reached somebody. A stop cuts that short.
func (c *Courier) settle(ctx context.Context, e *Effect, r Record, run TriggerRun) error {
	from, limit := ctx, reportLimit
	if ctx.Err() != nil { // what was cut off is written down all the same
		from, limit = context.WithoutCancel(ctx), settleLimit
	}
	ctx, done := context.WithTimeout(from, limit)
	defer done()
	when := TellAgain
	switch {
	case c.watched(r, e.Trigger), run.State == RunFailed, run.State == RunWaiting && run.Attempts >= troubleAfter:
		when = TellAlways
	}
	for {
		err := c.Outbox.Settle(ctx, e, run, c.telling(r, e.Trigger, when))
		switch {
		case err == nil:
			return errSettled
		case errors.Is(err, ErrLeaseLost), errors.Is(err, ErrNotFound):
			return err
		case ctx.Err() != nil && run.Retry > 0: // at least its wait is kept
			return Later{Wait: run.Retry, Reason: err.Error()}
		case ctx.Err() != nil:
			return err
		}
		pause(ctx, c.Log, "record trigger", err)
	}
}

// telling is where a trigger of the build is told of: nowhere, where the build
// has no commit.
func (c *Courier) telling(r Record, trigger string, when TellWhen) Telling {
	if r.StatusCommit() == "" {
		return Telling{}
	}
	return Telling{When: when, Commit: r.StatusCommit(), Context: r.TriggerContext(trigger)}
}

// watched reports whether people see the trigger on the commit from its
// beginning: it changes what runs. Others they see when something is wrong.
func (c *Courier) watched(r Record, trigger string) bool {
	t, ok := triggerOf(r, trigger)
	return ok && (t.Kubernetes != nil || t.GitOps != nil || t.Environment != "") && r.StatusCommit() != ""
}

func triggerOf(r Record, name string) (config.Trigger, bool) {
	i := slices.IndexFunc(r.Triggers, func(t config.Trigger) bool { return t.Name == name })
	if i < 0 {
		return config.Trigger{}, false
	}
	return r.Triggers[i], true
}

// firstAt is when the trigger was first called; older records do not have it.
func (run TriggerRun) firstAt() time.Time {
	if run.FirstAt.IsZero() {
		return run.StartedAt
	}
	return run.FirstAt
}
