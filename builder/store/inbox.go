package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// NextEvent implements builder.Inbox. A ref that was deleted has a head
// without a commit, so that its generations go on counting.
func (s *Store) NextEvent(ctx context.Context, worker string) (*builder.EventLease, error) {
	var lease *builder.EventLease
	err := s.await(ctx, func() (bool, time.Duration, error) {
		dctx, cancel := detached(ctx)
		defer cancel()
		r, err := s.run(dctx, s.scripts.nextEvent, ms(s.opts.Lease))
		if err != nil {
			return false, 0, fmt.Errorf("next event: %w", err)
		}
		if r.text(0) == "" {
			return false, time.Duration(r.number(1)) * time.Millisecond, nil
		}
		lease, err = decodeEventLease(r)
		return true, 0, err
	}, topicInbox)
	if err != nil {
		return nil, err
	}
	s.opts.Log.DebugContext(ctx, "event leased", "event", lease.Event.ID, "worker", worker, "attempt", lease.Attempt)
	return lease, nil
}

func decodeEventLease(r reply) (*builder.EventLease, error) {
	e, err := decodeEvent(r.text(1), r.text(2), r.text(3))
	if err != nil {
		return nil, err
	}
	l := &builder.EventLease{
		Event: e, Token: r.text(4),
		TagOwners: make(map[string]string), Last: make(map[string]builder.State), Paused: make(map[string]string),
	}
	if l.Attempt, err = strconv.Atoi(r.text(5)); err != nil {
		return nil, fmt.Errorf("event %s: attempt: %w", e.ID, err)
	}
	if head := r.text(6); head != "" {
		l.Head = new(builder.Position)
		if err := decode(head, l.Head); err != nil {
			return nil, fmt.Errorf("head of %s: %w", e.Ref, err)
		}
	}
	for name, ref := range r.list(7).pairs() {
		l.TagOwners[name] = ref
	}
	for image, last := range r.list(8).pairs() {
		_, state, _ := strings.Cut(last, " ")
		l.Last[image] = builder.State(state)
	}
	for image, by := range r.list(9).pairs() {
		l.Paused[image] = by
	}
	l.Approved, l.Registered = r.text(10), r.number(11) == 1
	return l, nil
}

// Extend implements builder.Inbox.
func (s *Store) Extend(ctx context.Context, l *builder.EventLease) error {
	return s.holdEvent(ctx, l, s.opts.Lease, "extend")
}

// Defer implements builder.Inbox. Later events of the repository wait too:
// they are decided in order.
func (s *Store) Defer(ctx context.Context, l *builder.EventLease, wait time.Duration) error {
	return s.holdEvent(ctx, l, wait, "defer")
}

func (s *Store) holdEvent(ctx context.Context, l *builder.EventLease, d time.Duration, what string) error {
	r, err := s.run(ctx, s.scripts.holdEvent, l.Event.Repository.Key(), l.Token, ms(d), what)
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("%s event %s: %w", what, l.Event.ID, err)
	}
	return nil
}

// Decide implements builder.Inbox. The builds' plans are written first, under
// the event's attempt; nothing reads them before the decision is there. A
// second call with the same lease finds its own decision and returns nil.
func (s *Store) Decide(ctx context.Context, l *builder.EventLease, d builder.Decision) error {
	d.EventID = l.Event.ID
	c, err := newChanges(l, d)
	if err == nil {
		err = s.pushChanges(ctx, l, d, &c)
	}
	if err != nil {
		return fmt.Errorf("decide event %s: %w", l.Event.ID, err)
	}
	for _, b := range d.Builds {
		if err := s.writePlan(ctx, l, b); err != nil {
			return fmt.Errorf("decide event %s: %w", l.Event.ID, err)
		}
	}
	if d.StopInstallation != "" {
		if err := s.withdrawInstallation(ctx, l, d.StopInstallation, c.StopAll); err != nil {
			return fmt.Errorf("decide event %s: %w", l.Event.ID, err)
		}
	}
	decision, err := encode(d)
	if err != nil {
		return err
	}
	change, err := encode(c)
	if err != nil {
		return err
	}
	r, err := s.run(ctx, s.scripts.decide, l.Event.Repository.Key(), l.Event.ID, l.Token,
		decision, change, ms(s.opts.Events), ms(s.opts.Builds))
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("decide event %s: %w", l.Event.ID, err)
	}
	s.sealAll(ctx, r.list(1).texts())
	return nil
}

func (s *Store) writePlan(ctx context.Context, l *builder.EventLease, b builder.Build) error {
	text, err := encode(b)
	if err != nil {
		return err
	}
	r, err := runOn(ctx, s.client, s.scripts.detail, []string{detailKey(b.ID)},
		"decision", l.Attempt, "plan", text, ms(s.detailsStay()))
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("build %s: %w", b.ID, err)
	}
	return nil
}

// detailsStay is longer than a record stays by what a build may wait and run.
func (s *Store) detailsStay() time.Duration { return s.opts.Builds + 30*day }
