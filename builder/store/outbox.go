package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// NextEffects implements builder.Outbox. The lease is Options.EffectLease; an
// effect that is neither held nor done by then is due again, with the next
// attempt.
func (s *Store) NextEffects(ctx context.Context, worker string, lane builder.EffectLane, most int) ([]*builder.Effect, error) {
	topic := topicOutbox
	if lane == builder.LaneTriggers {
		topic = topicFiring
	}
	var effects []*builder.Effect
	err := s.await(ctx, func() (done bool, next time.Duration, err error) {
		dctx, cancel := detached(ctx)
		defer cancel()
		effects, next, err = s.nextEffects(dctx, worker, topic, most)
		return len(effects) > 0, next, err
	}, topic)
	return effects, err
}

func (s *Store) nextEffects(ctx context.Context, worker, lane string, most int) ([]*builder.Effect, time.Duration, error) {
	r, err := s.run(ctx, s.scripts.nextEffect, worker, ms(s.opts.EffectLease), lane, most)
	if err != nil {
		return nil, 0, fmt.Errorf("next effects: %w", err)
	}
	var effects []*builder.Effect
	for t := r.list(1); len(t) >= 5; t = t[5:] {
		e := parseEffect(t.text(0))
		e.Attempt, e.Token, e.By = int(t.number(1)), t.text(2), t.text(4)
		e.Asked = number(t.text(3))
		effects = append(effects, &e)
	}
	return effects, time.Duration(r.number(0)) * time.Millisecond, nil
}

// HoldEffects implements builder.Outbox.
func (s *Store) HoldEffects(ctx context.Context, effects ...*builder.Effect) (lost []*builder.Effect, err error) {
	args := []any{ms(s.opts.EffectLease)}
	for _, e := range effects {
		args = append(args, effectMember(*e), e.Token)
	}
	r, err := s.run(ctx, s.scripts.holdEffects, args...)
	if err != nil {
		return nil, fmt.Errorf("hold %d effects: %w", len(effects), err)
	}
	gone := r.list(0)
	for i := range gone {
		if at := gone.number(i); at >= 1 && at <= int64(len(effects)) {
			lost = append(lost, effects[at-1])
		}
	}
	return lost, nil
}

// Done implements builder.Outbox. builder.ErrLeaseLost when the lease ran out
// and somebody else has the effect.
func (s *Store) Done(ctx context.Context, e *builder.Effect) error {
	return s.endEffect(ctx, e, "done", 0)
}

// Retry implements builder.Outbox. builder.ErrLeaseLost as for Done.
func (s *Store) Retry(ctx context.Context, e *builder.Effect, wait time.Duration) error {
	return s.endEffect(ctx, e, "retry", wait)
}

func (s *Store) endEffect(ctx context.Context, e *builder.Effect, how string, wait time.Duration) error {
	member := effectMember(*e)
	r, err := s.run(ctx, s.scripts.endEffect, member, e.Token, how, ms(wait))
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("%s effect %s: %w", how, member, err)
	}
	return nil
}

// ofTrigger reports whether the kind's effects name a trigger beside the build.
func ofTrigger(k builder.EffectKind) bool {
	return k == builder.FireTrigger || k == builder.ReportRun
}

// effectMember names an effect in the outbox. Build ids have no colon; event
// ids and trigger names may.
func effectMember(e builder.Effect) string {
	if ofTrigger(e.Kind) {
		return string(e.Kind) + ":" + e.ID + ":" + e.Trigger
	}
	return string(e.Kind) + ":" + e.ID
}

func parseEffect(member string) builder.Effect {
	kind, id, _ := strings.Cut(member, ":")
	e := builder.Effect{Kind: builder.EffectKind(kind), ID: id}
	if ofTrigger(e.Kind) {
		e.ID, e.Trigger, _ = strings.Cut(id, ":")
	}
	return e
}
