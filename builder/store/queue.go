package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Claim implements builder.Queue. Levels go strictly by priority; within one
// every repository takes its turn, and within a repository the oldest event.
// Who claims a build is told how many leases it has lost, and gives it up where
// those are too many. One that loses more than Options.MaxAttempts even so,
// because nobody can claim it, fails here.
//
// A build that is claimed asks the older ones of its lineage that are running
// (not pushing) to stop as superseded.
func (s *Store) Claim(ctx context.Context, worker string) (*builder.Lease, error) {
	var lease *builder.Lease
	err := s.await(ctx, func() (done bool, next time.Duration, err error) {
		dctx, cancel := detached(ctx)
		defer cancel()
		lease, next, err = s.claim(dctx, worker)
		return lease != nil, next, err
	}, topicQueue)
	return lease, err
}

func (s *Store) claim(ctx context.Context, worker string) (*builder.Lease, time.Duration, error) {
	givenUp, err := encode(*builder.GivenUp())
	if err != nil {
		return nil, 0, err
	}
	r, err := s.run(ctx, s.scripts.claim, worker, ms(s.opts.Lease), s.opts.PerRepository,
		s.opts.MaxAttempts, givenUp, ms(s.opts.Builds))
	if err != nil {
		return nil, 0, fmt.Errorf("claim: %w", err)
	}
	s.sealAll(ctx, r.list(4).texts())
	id, attempt := r.text(0), int(r.number(1))
	if id == "" {
		return nil, time.Duration(r.number(3)) * time.Millisecond, nil
	}
	l := &builder.Lease{Worker: worker, Attempt: attempt, Last: builder.State(r.text(2)), Lost: int(r.number(5))}
	plan, err := s.client.HGet(ctx, detailKey(id), "plan").Result()
	if err == nil {
		err = decode(plan, &l.Build)
	} else {
		err = classify(ctx, err)
	}
	if err != nil {
		// The lease stays: the build is tried again, and fails in the end.
		return nil, 0, fmt.Errorf("claim: plan of build %s: %w", id, err)
	}
	return l, 0, nil
}

// Heartbeat implements builder.Queue.
func (s *Store) Heartbeat(ctx context.Context, l *builder.Lease) (*builder.Stop, error) {
	r, err := s.run(ctx, s.scripts.heartbeat, l.ID, l.Worker, l.Attempt, ms(s.opts.Lease))
	if err := leaseError("heartbeat", l, r, err); err != nil {
		return nil, err
	}
	if r.text(1) == "" {
		return nil, nil
	}
	return &builder.Stop{State: builder.State(r.text(1)), Reason: r.text(2)}, nil
}

// AwaitStop blocks until somebody asks the build to stop, renewing the lease
// whenever it looks: Heartbeat for those who want to hear it at once.
// builder.ErrLeaseLost as there; otherwise it ends only with ctx.
func (s *Store) AwaitStop(ctx context.Context, l *builder.Lease) (stop *builder.Stop, err error) {
	err = s.await(ctx, func() (bool, time.Duration, error) {
		stop, err = s.Heartbeat(ctx, l)
		return stop != nil, 0, err
	}, topicStop(l.ID), topicBuild(l.ID))
	return stop, err
}

// Advance implements builder.Queue. It renews the lease too. builder.ErrState
// for a way that is not in the state machine.
func (s *Store) Advance(ctx context.Context, l *builder.Lease, state builder.State, result builder.Result) error {
	if state != builder.Running && state != builder.Pushing {
		return fmt.Errorf("advance build %s to %s: %w", l.ID, state, builder.ErrState)
	}
	name, err := s.writeResult(ctx, l, state, result)
	if err != nil {
		return fmt.Errorf("advance build %s: %w", l.ID, err)
	}
	r, err := s.run(ctx, s.scripts.advance, l.ID, l.Worker, l.Attempt, ms(s.opts.Lease), string(state), name)
	if err == nil && r.number(0) == -1 {
		err = fmt.Errorf("from %s to %s: %w", r.text(1), state, builder.ErrState)
	}
	if err := leaseError("advance", l, r, err); err != nil {
		if errors.Is(err, builder.ErrLeaseLost) || errors.Is(err, builder.ErrState) {
			s.dropResult(ctx, l.ID, name) // after any other error it may count
		}
		return err
	}
	if r.text(1) != name {
		s.dropResult(ctx, l.ID, r.text(1))
	}
	return nil
}

// Finish implements builder.Queue. What the log writer of this lease still
// holds is written first; what is written to it afterwards is dropped. The
// same call again, after an answer that was lost, returns nil again.
func (s *Store) Finish(ctx context.Context, l *builder.Lease, state builder.State, result builder.Result, fire ...string) error {
	if !state.Terminal() {
		return fmt.Errorf("finish build %s as %s: %w", l.ID, state, builder.ErrState)
	}
	s.flushLog(ctx, l)
	name, err := s.writeResult(ctx, l, state, result)
	if err != nil {
		return fmt.Errorf("finish build %s: %w", l.ID, err)
	}
	args := []any{l.ID, l.Worker, l.Attempt, string(state), name, result.Reason, ms(s.opts.Builds)}
	for _, trigger := range fire {
		args = append(args, trigger)
	}
	r, err := s.run(ctx, s.scripts.finish, args...)
	if err := leaseError("finish", l, r, err); err != nil {
		if errors.Is(err, builder.ErrLeaseLost) || errors.Is(err, builder.ErrState) {
			s.dropResult(ctx, l.ID, name) // after any other error it may count
		}
		return err
	}
	s.dropResult(ctx, l.ID, r.text(1))
	s.sealAll(ctx, []string{l.ID})
	return nil
}

// Release implements builder.Queue. It does not count as a lost lease. A
// build that was asked to stop ends instead.
func (s *Store) Release(ctx context.Context, l *builder.Lease) error {
	s.flushLog(ctx, l)
	r, err := s.run(ctx, s.scripts.release, l.ID, l.Worker, l.Attempt, ms(s.opts.Builds))
	if err := leaseError("release", l, r, err); err != nil {
		return err
	}
	s.sealAll(ctx, r.list(1).texts())
	return nil
}

func leaseError(what string, l *builder.Lease, r reply, err error) error {
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("%s build %s: %w", what, l.ID, err)
	}
	return nil
}

// writeResult writes an attempt's result under a name made from its content.
// It counts when a script on control state has named it, and never before:
// who finishes first has its own result, whoever else writes at the same time.
func (s *Store) writeResult(ctx context.Context, l *builder.Lease, state builder.State, result builder.Result) (name string, err error) {
	text, err := encode(result)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s", l.Worker, l.Attempt, state, text))
	name = hex.EncodeToString(sum[:12])
	r, err := runOn(ctx, s.client, s.scripts.detail, []string{detailKey(l.ID)},
		"attempt", l.Attempt, "result:"+name, text, ms(s.detailsStay()))
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	return name, err
}

// dropResult tidies up; what it leaves behind expires.
func (s *Store) dropResult(ctx context.Context, id, name string) {
	if name == "" {
		return
	}
	if err := s.client.HDel(ctx, detailKey(id), "result:"+name).Err(); err != nil {
		s.opts.Log.DebugContext(ctx, "result stays until it expires", "build", id, "err", err)
	}
}
