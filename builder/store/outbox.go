package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// NextEffect implements builder.Outbox. The lease is Options.EffectLease; an
// effect that is not done by then is due again, with the next attempt.
func (s *Store) NextEffect(ctx context.Context, worker string) (*builder.Effect, error) {
	var effect *builder.Effect
	err := s.await(ctx, func() (done bool, next time.Duration, err error) {
		dctx, cancel := detached(ctx)
		defer cancel()
		effect, next, err = s.nextEffect(dctx, worker)
		return effect != nil, next, err
	}, topicOutbox)
	return effect, err
}

func (s *Store) nextEffect(ctx context.Context, worker string) (*builder.Effect, time.Duration, error) {
	r, err := s.run(ctx, s.scripts.nextEffect, worker, ms(s.opts.EffectLease))
	if err != nil {
		return nil, 0, fmt.Errorf("next effect: %w", err)
	}
	if r.text(0) == "" {
		return nil, time.Duration(r.number(1)) * time.Millisecond, nil
	}
	e := parseEffect(r.text(0))
	e.Attempt, e.Token = int(r.number(1)), r.text(2)
	return &e, 0, nil
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

// effectMember names an effect in the outbox. Build ids have no colon; event
// ids and trigger names may.
func effectMember(e builder.Effect) string {
	if e.Kind == builder.FireTrigger {
		return string(e.Kind) + ":" + e.ID + ":" + e.Trigger
	}
	return string(e.Kind) + ":" + e.ID
}

func parseEffect(member string) builder.Effect {
	kind, id, _ := strings.Cut(member, ":")
	e := builder.Effect{Kind: builder.EffectKind(kind), ID: id}
	if e.Kind == builder.FireTrigger {
		e.ID, e.Trigger, _ = strings.Cut(id, ":")
	}
	return e
}
