package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

// Settle implements builder.Outbox. The record is written first, under a
// fence; the script then lists it and ends the effect. A crash in between
// leaves the effect, whose next holder finds the record.
func (s *Store) Settle(ctx context.Context, e *builder.Effect, run builder.TriggerRun, tell builder.Telling) error {
	wrap := func(err error) error {
		return fmt.Errorf("settle trigger %s of build %s: %w", run.Trigger, run.BuildID, err)
	}
	text, err := encode(run)
	if err != nil {
		return err
	}
	how := "hold"
	switch {
	case run.State.Terminal():
		how = "done"
	case run.Retry > 0:
		how = "retry"
	}
	keep := []any{run.Trigger, turnOf(e.Token), text, ms(s.opts.Builds)}
	end := []any{run.BuildID, run.Trigger, e.Token, how, ms(run.Retry), string(run.State),
		run.Repository.Key(), ms(s.opts.Builds), string(tell.When), tell.Commit, tell.Context}
	kept, ended, err := s.keepAndEnd(ctx, triggersKey(run.BuildID), keep, end)
	if err == nil && (!kept || !ended) {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return wrap(err)
	}
	return nil
}

// keepAndEnd runs the two scripts, the second never without the first: on one
// connection in one round trip, in a cluster one after the other.
func (s *Store) keepAndEnd(ctx context.Context, key string, keep, end []any) (kept, ended bool, err error) {
	if _, cluster := s.client.(*redis.ClusterClient); !cluster {
		pipe := s.client.Pipeline()
		// By its text: the first must run, whatever the server knows.
		first := s.scripts.keepRun.Eval(ctx, pipe, []string{key}, keep...)
		second := s.scripts.settleRun.EvalSha(ctx, pipe, []string{control}, end...)
		_, _ = pipe.Exec(ctx) // the error is the first command's that failed
		if !redis.HasErrorPrefix(second.Err(), "NOSCRIPT") {
			if err := errors.Join(classify(ctx, first.Err()), classify(ctx, second.Err())); err != nil {
				return false, false, err
			}
			return first.Val() == int64(1), second.Val() == int64(1), nil
		}
	}
	r, err := runOn(ctx, s.client, s.scripts.keepRun, []string{key}, keep...)
	if err != nil || r.number(0) == 0 {
		return false, false, err
	}
	r, err = s.run(ctx, s.scripts.settleRun, end...)
	return true, r.number(0) == 1, err
}

// turnOf is the part of an effect's token that grows with every lease.
func turnOf(token string) int64 {
	_, rest, _ := strings.Cut(token, "#")
	turn, _, _ := strings.Cut(rest, "#")
	return number(turn)
}

// number reads a number that a script wrote; what is none is 0.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// TriggerRun returns the record of one trigger of a build as its last holder
// wrote it. builder.ErrNotFound while it has none.
func (s *Store) TriggerRun(ctx context.Context, buildID, trigger string) (builder.TriggerRun, error) {
	text, err := s.client.HGet(ctx, triggersKey(buildID), trigger).Result()
	if err != nil {
		return builder.TriggerRun{}, fmt.Errorf("trigger %s of build %s: %w", trigger, buildID, classify(ctx, err))
	}
	return parseRun(text, "")
}

// TriggerRuns returns the records of a build's triggers, by name.
func (s *Store) TriggerRuns(ctx context.Context, buildID string) ([]builder.TriggerRun, error) {
	pipe := s.client.Pipeline()
	all, states := pipe.HGetAll(ctx, triggersKey(buildID)), pipe.HGetAll(ctx, runKey(buildID))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("triggers of build %s: %w", buildID, classify(ctx, err))
	}
	runs := make([]builder.TriggerRun, 0, len(all.Val()))
	for name, text := range all.Val() {
		run, err := parseRun(text, states.Val()[name])
		if err != nil {
			return nil, fmt.Errorf("triggers of build %s: %w", buildID, err)
		}
		runs = append(runs, run)
	}
	slices.SortFunc(runs, func(a, b builder.TriggerRun) int { return strings.Compare(a.Trigger, b.Trigger) })
	return runs, nil
}

// Runs returns what triggers did, those of the newest builds first, and what
// the page after begins before, "" at the end. It need not exist any more.
func (s *Store) Runs(ctx context.Context, f builder.RunFilter) (runs []builder.TriggerRun, next string, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	f.Limit = min(f.Limit, 200)
	next = f.Before
	for {
		r, err := s.run(ctx, s.scripts.findRuns, f.Repository, next, f.Limit-len(runs), f.Trigger, string(f.State))
		if err != nil {
			return nil, "", fmt.Errorf("trigger runs: %w", err)
		}
		found, err := s.runs(ctx, r.list(1))
		if err != nil {
			return nil, "", fmt.Errorf("trigger runs: %w", err)
		}
		runs = append(runs, found...)
		next = r.text(0)
		if next == "" || len(runs) >= f.Limit {
			return runs, next, nil
		}
	}
}

// runs reads the records of members of an index and their states, in pairs.
func (s *Store) runs(ctx context.Context, found reply) ([]builder.TriggerRun, error) {
	if len(found) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	var texts []*redis.StringCmd
	var states []string
	for member, state := range found.pairs() {
		id, name, _ := strings.Cut(member, ":")
		texts, states = append(texts, pipe.HGet(ctx, triggersKey(id), name)), append(states, state)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, classify(ctx, err)
	}
	var runs []builder.TriggerRun
	for i, t := range texts {
		if errors.Is(t.Err(), redis.Nil) {
			continue // it has expired meanwhile
		}
		run, err := parseRun(t.Val(), states[i])
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// parseRun reads a record. Its state is the one that control has, if any: a
// run that a person wants again waits before anything is recorded of it.
func parseRun(text, state string) (run builder.TriggerRun, err error) {
	if turn, rest, ok := strings.Cut(text, " "); ok && !strings.HasPrefix(turn, "{") {
		text = rest
	}
	if err := decode(text, &run); err != nil {
		return run, err
	}
	if state == string(builder.RunWaiting) && run.State.Terminal() {
		run.State = builder.RunWaiting
	}
	return run, nil
}

// RetryTrigger makes a trigger that is over due once more, for a person. It
// returns the state that the run is in then. builder.ErrState, with the state,
// while it is not over, builder.ErrNotFound when it never ran.
func (s *Store) RetryTrigger(ctx context.Context, repository builder.Repository, buildID, trigger, by string) (builder.RunState, error) {
	was := ""
	run, err := s.TriggerRun(ctx, buildID, trigger)
	switch {
	case err == nil:
		was = string(run.State)
	case !errors.Is(err, builder.ErrNotFound):
		return "", err
	}
	r, err := s.run(ctx, s.scripts.retryRun, buildID, trigger, by, was, repository.Key(), ms(s.opts.Builds))
	if err == nil {
		switch r.number(0) {
		case 0:
			err = builder.ErrNotFound
		case -1:
			err = builder.ErrState
		}
	}
	if err != nil {
		return builder.RunState(r.text(1)), fmt.Errorf("retry trigger %s of build %s: %w", trigger, buildID, err)
	}
	return builder.RunState(r.text(1)), nil
}
