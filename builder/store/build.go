package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

// Build returns a build with what became of it.
func (s *Store) Build(ctx context.Context, id string) (builder.Record, error) {
	records, err := s.records(ctx, []string{id})
	if err != nil {
		return builder.Record{}, fmt.Errorf("build %s: %w", id, err)
	}
	if len(records) == 0 {
		return builder.Record{}, fmt.Errorf("build %s: %w", id, builder.ErrNotFound)
	}
	return records[0], nil
}

// Builds returns builds, newest first, and the id to go on before, "" at the
// end. It need not exist any more.
func (s *Store) Builds(ctx context.Context, f builder.BuildFilter) (records []builder.Record, next string, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	f.Limit = min(f.Limit, 200)
	next = f.Before
	for {
		r, err := s.run(ctx, s.scripts.find, f.Repository, next, f.Limit-len(records),
			f.Image, f.Ref, f.Commit, string(f.State))
		if err != nil {
			return nil, "", fmt.Errorf("builds: %w", err)
		}
		found, err := s.records(ctx, r.list(1).texts())
		if err != nil {
			return nil, "", fmt.Errorf("builds: %w", err)
		}
		records = append(records, found...)
		next = r.text(0)
		if next == "" || len(records) >= f.Limit {
			return records, next, nil
		}
	}
}

// records reads builds in the order of the ids, leaving out what is not there.
func (s *Store) records(ctx context.Context, ids []string) ([]builder.Record, error) {
	states, err := s.hashes(ctx, ids, buildKey)
	if err != nil {
		return nil, err
	}
	pipe := s.client.Pipeline()
	details := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		details[i] = pipe.HMGet(ctx, detailKey(id), "plan", "result:"+states[i]["result"])
	}
	if len(ids) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, classify(ctx, err)
		}
	}
	records := make([]builder.Record, 0, len(ids))
	for i, id := range ids {
		if len(states[i]) == 0 {
			continue
		}
		detail := reply(details[i].Val())
		if states[i]["result"] != "" && detail.text(1) == "" && len(ids) > 1 {
			again, err := s.records(ctx, ids[i:i+1]) // it moved on between the two reads
			if err != nil {
				return nil, err
			}
			records = append(records, again...)
			continue
		}
		r, err := newRecord(states[i], detail)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", id, err)
		}
		if r.State == builder.Queued {
			place, err := s.run(ctx, s.scripts.place, id)
			if err != nil {
				return nil, err
			}
			r.Place = int(place.number(0))
		}
		records = append(records, r)
	}
	return records, nil
}

func (s *Store) hashes(ctx context.Context, ids []string, key func(string) string) ([]map[string]string, error) {
	hashes := make([]map[string]string, len(ids))
	if len(ids) == 0 {
		return hashes, nil
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HGetAll(ctx, key(id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, classify(ctx, err)
	}
	for i, c := range cmds {
		hashes[i] = c.Val()
	}
	return hashes, nil
}

// newRecord puts together what control and details say. What a script ended
// by itself has its reason or failure in control.
func newRecord(state map[string]string, detail reply) (builder.Record, error) {
	var r builder.Record
	if plan := detail.text(0); plan != "" {
		if err := decode(plan, &r.Build); err != nil {
			return r, err
		}
	}
	if result := detail.text(1); result != "" {
		if err := decode(result, &r.Result); err != nil {
			return r, err
		}
	}
	if failure := state["failure"]; failure != "" {
		r.Failure = new(builder.Failure)
		if err := decode(failure, r.Failure); err != nil {
			return r, err
		}
	}
	if reason := state["reason"]; reason != "" {
		r.Reason = reason
	}
	attempt, err := strconv.Atoi(state["attempt"])
	if err != nil {
		return r, fmt.Errorf("attempt %q: %w", state["attempt"], err)
	}
	r.Progress = builder.Progress{
		State: builder.State(state["state"]), Attempt: attempt, Worker: state["worker"],
		QueuedAt: parseMillis(state["queued"]), StartedAt: parseMillis(state["started"]),
		FinishedAt: parseMillis(state["finished"]),
	}
	if stop := state["stop_state"]; stop != "" && !r.State.Terminal() {
		r.Stop = &builder.Stop{State: builder.State(stop), Reason: state["stop_reason"]}
	}
	return r, nil
}

// Cancel ends a queued build at once and asks a running one to stop, which it
// hears at its next heartbeat, or in AwaitStop. It returns the state that
// the build is in then. builder.ErrState when it has ended already,
// builder.ErrNotFound.
func (s *Store) Cancel(ctx context.Context, id, reason string) (builder.State, error) {
	r, err := s.run(ctx, s.scripts.cancel, id, reason, ms(s.opts.Builds))
	if err := buildError("cancel", id, r, err); err != nil {
		return builder.State(r.text(1)), err
	}
	s.sealAll(ctx, r.list(2).texts())
	return builder.State(r.text(1)), nil
}

// Delete forgets a build that has ended: record, log and trigger runs. Tags
// and statuses stay. builder.ErrState when it has not ended,
// builder.ErrNotFound.
func (s *Store) Delete(ctx context.Context, id string) error {
	r, err := s.run(ctx, s.scripts.delete, id)
	if err := buildError("delete", id, r, err); err != nil {
		return err
	}
	// One slot, but not the script's: what a crash leaves here expires.
	keys := []string{detailKey(id), triggersKey(id), logKey(id), logMetaKey(id), logFrameKey(id)}
	if err := s.client.Unlink(ctx, keys...).Err(); err != nil {
		return fmt.Errorf("delete details of build %s: %w", id, classify(ctx, err))
	}
	return nil
}

func buildError(what, id string, r reply, err error) error {
	if err == nil {
		switch r.number(0) {
		case 0:
			err = builder.ErrNotFound
		case -1:
			err = fmt.Errorf("it is %s: %w", r.text(1), builder.ErrState)
		}
	}
	if err != nil {
		return fmt.Errorf("%s build %s: %w", what, id, err)
	}
	return nil
}
