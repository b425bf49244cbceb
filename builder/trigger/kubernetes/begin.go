package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder/trigger"
)

// maxConflicts is how often a workload that others change at the same time is
// read again at once, before it is left to a later attempt.
const maxConflicts = 5

// begin sets the image, unless it is to be left alone: then the workload that
// it returns is nil and the answer final.
func (u *update) begin(ctx context.Context) (*workload, memo, trigger.Answer, error) {
	for try := range maxConflicts {
		w, m, answer, err := u.beginOnce(ctx)
		if !errors.Is(err, errConflict) {
			return w, m, answer, err
		}
		if err := sleep(ctx, conflictWait(try)); err != nil {
			return nil, memo{}, trigger.Answer{}, err
		}
	}
	return nil, memo{}, trigger.Answer{}, u.contended()
}

func (u *update) beginOnce(ctx context.Context) (*workload, memo, trigger.Answer, error) {
	none := func(err error) (*workload, memo, trigger.Answer, error) { return nil, memo{}, trigger.Answer{}, err }
	w, err := u.get(ctx)
	if err != nil {
		return none(err)
	}
	if err := u.allowed(w); err != nil {
		return none(err)
	}
	c, err := w.container(u.t)
	if err != nil {
		return none(err)
	}
	v := u.decide(w, c)
	switch {
	case v.err != nil:
		return none(v.err)
	case v.skip != "":
		return nil, memo{}, trigger.Answer{Text: v.skip, Skipped: true}, nil
	case v.hold != "":
		if _, err := u.apply(ctx, w, patch{annotations: map[string]any{
			holdAnnotation: v.hold, stateAnnotation + c.Name: v.state.String(),
		}}); err != nil {
			return none(err)
		}
		return none(u.heldError(v.hold))
	case v.watch:
		s, err := w.readState(c.Name)
		if err != nil { // decide has read it
			return none(err)
		}
		m := memo{Image: u.image, Patched: u.kind.now()}
		if s.Before != nil {
			m.Before = s.Before.Image
		}
		return w, m, trigger.Answer{}, nil
	}
	p := patch{
		container: c.Name,
		annotations: map[string]any{
			stateAnnotation + c.Name: v.set.String(),
			changeCause:              u.cause(),
		},
		labels: map[string]any{buildLabel + c.Name: v.set.Build},
	}
	// The very image under another tag: the pods have what they should have,
	// and a patch would start them all again.
	if !sameImage(c.Image, u.image) {
		p.image = u.image
	}
	w, err = u.apply(ctx, w, p)
	if err != nil {
		return none(err)
	}
	return w, memo{Image: u.image, Before: c.Image, Patched: u.kind.now(), Overdue: w.overdueSince()}, trigger.Answer{}, nil
}

// cause is one line for `kubectl rollout history`.
func (u *update) cause() string {
	r := u.f.Record
	cause := "registry-build: build " + r.ID
	if r.Commit != "" {
		cause += ", " + strings.TrimPrefix(r.Repository.FullName(), "/") + "@" + r.Commit[:min(6, len(r.Commit))]
	}
	if len(u.f.Tags) > 0 {
		cause += ", tag " + u.f.Tags[0]
	}
	return cause
}

func (u *update) contended() error {
	return trigger.Temporary(fmt.Errorf("%s was changed by others %d times while it was updated", where(u.t), maxConflicts), time.Second)
}

// conflictWait lets the other writer end: 10 to 20 ms, then twice as long each.
func conflictWait(try int) time.Duration {
	base := 10 * time.Millisecond << try
	return base + rand.N(base)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return trigger.Temporary(ctx.Err(), 0)
	case <-t.C:
		return nil
	}
}
