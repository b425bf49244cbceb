package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Append accepts an event: gives it its number and time, and puts it into its
// repository's inbox, all at once. An id that was accepted within
// Options.Events is a duplicate, with the number that it has. The intent of
// the same id, if there is one, is dropped.
//
// The repository is known from then on as the event describes it. A pull
// request moves the accepted head of its own ref, which it has while it is
// open; a merge queue and a build by hand move none.
func (s *Store) Append(ctx context.Context, e builder.Event) (builder.Receipt, error) {
	e.Seq, e.AcceptedAt = 0, time.Time{}
	event, err := encode(e)
	if err != nil {
		return builder.Receipt{}, err
	}
	repo, err := encode(e.Repository)
	if err != nil {
		return builder.Receipt{}, err
	}
	effect := ""
	switch e.Kind {
	case builder.BranchPushed, builder.TagPushed:
		effect = "set"
	case builder.BranchDeleted, builder.TagDeleted:
		effect = "drop"
	case builder.PullChanged, builder.PullClosed:
		effect = pullEffect(e)
	case builder.ImagePushed:
		effect = "keep" // it says of the repository what a registration said long ago
	}
	about := aboutRef(e)
	if about == e.Ref {
		about = ""
	}
	r, err := s.run(ctx, s.scripts.append, e.ID, event, e.Repository.Key(), repo, e.Ref, e.Commit, effect, about)
	if err != nil {
		return builder.Receipt{}, fmt.Errorf("append event %s: %w", e.ID, err)
	}
	return builder.Receipt{Seq: r.number(0), Duplicate: r.number(1) == 1}, nil
}

// pullEffect is what a pull request's event does to the accepted head of its
// ref.
func pullEffect(e builder.Event) string {
	_, isPull := builder.ParsePullRef(e.Ref)
	switch {
	case !isPull || e.ByHand():
		return ""
	case e.Kind == builder.PullClosed:
		return "drop"
	case e.Commit == "":
		return ""
	}
	return "set"
}

// aboutRef is the ref whose builds and approval decide the event: a pull
// request's, also for what is written on it.
func aboutRef(e builder.Event) string {
	switch {
	case e.Pull != nil && e.Pull.Number > 0:
		return builder.PullRef(e.Pull.Number)
	case e.Command != nil && e.Command.Pull > 0:
		return builder.PullRef(e.Command.Pull)
	}
	return e.Ref
}

// Event returns an accepted event.
func (s *Store) Event(ctx context.Context, id string) (builder.Event, error) {
	v, err := s.client.HMGet(ctx, eventKey(id), "event", "seq", "at").Result()
	if err != nil {
		return builder.Event{}, fmt.Errorf("event %s: %w", id, classify(ctx, err))
	}
	r := reply(v)
	if r.text(0) == "" {
		return builder.Event{}, fmt.Errorf("event %s: %w", id, builder.ErrNotFound)
	}
	return decodeEvent(r.text(0), r.text(1), r.text(2))
}

func decodeEvent(text, seq, at string) (builder.Event, error) {
	var e builder.Event
	if err := decode(text, &e); err != nil {
		return e, err
	}
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil {
		return e, fmt.Errorf("event %s: number %q: %w", e.ID, seq, err)
	}
	us, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return e, fmt.Errorf("event %s: time %q: %w", e.ID, at, err)
	}
	e.Seq, e.AcceptedAt = n, time.UnixMicro(us).UTC()
	return e, nil
}

// Decision returns what an event came to: builder.ErrNotFound where the event
// is not known, builder.ErrState while it is undecided.
func (s *Store) Decision(ctx context.Context, eventID string) (builder.Decision, error) {
	v, err := s.client.HMGet(ctx, eventKey(eventID), "seq", "decision", "decided").Result()
	if err != nil {
		return builder.Decision{}, fmt.Errorf("decision on %s: %w", eventID, classify(ctx, err))
	}
	r := reply(v)
	switch {
	case r.text(0) == "":
		return builder.Decision{}, fmt.Errorf("decision on %s: %w", eventID, builder.ErrNotFound)
	case r.text(1) == "":
		return builder.Decision{}, fmt.Errorf("decision on %s: undecided: %w", eventID, builder.ErrState)
	}
	var d builder.Decision
	if err := decode(r.text(1), &d); err != nil {
		return d, fmt.Errorf("decision on %s: %w", eventID, err)
	}
	if d.DecidedAt.IsZero() {
		d.DecidedAt = parseMillis(r.text(2))
	}
	return d, nil
}

// AwaitDecision blocks until the event is decided. builder.ErrNotFound where
// it was never accepted.
func (s *Store) AwaitDecision(ctx context.Context, eventID string) (d builder.Decision, err error) {
	err = s.await(ctx, func() (bool, time.Duration, error) {
		var err error
		d, err = s.Decision(ctx, eventID)
		if errors.Is(err, builder.ErrState) {
			return false, 0, nil
		}
		return err == nil, 0, err
	}, topicEvent(eventID))
	return d, err
}

// Intend durably writes what a push is about to do, before any ref moves: all
// of it or nothing.
func (s *Store) Intend(ctx context.Context, events []builder.Event) error {
	if len(events) == 0 {
		return nil
	}
	pipe := s.client.TxPipeline()
	for _, e := range events {
		text, err := encode(e)
		if err != nil {
			return err
		}
		pipe.HSet(ctx, intentsKey(e.Repository.Key()), e.ID, text)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("intend a push: %w", classify(ctx, err))
	}
	return nil
}

// Intents returns what was intended in a repository and neither appended nor
// dropped, in no order.
func (s *Store) Intents(ctx context.Context, repoKey string) ([]builder.Event, error) {
	all, err := s.client.HGetAll(ctx, intentsKey(repoKey)).Result()
	if err != nil {
		return nil, fmt.Errorf("intents of %s: %w", repoKey, classify(ctx, err))
	}
	events := make([]builder.Event, 0, len(all))
	for _, text := range all {
		var e builder.Event
		if err := decode(text, &e); err != nil {
			return nil, fmt.Errorf("intents of %s: %w", repoKey, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// DropIntents forgets intents that came to nothing.
func (s *Store) DropIntents(ctx context.Context, repoKey string, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := s.client.HDel(ctx, intentsKey(repoKey), ids...).Err(); err != nil {
		return fmt.Errorf("drop intents of %s: %w", repoKey, classify(ctx, err))
	}
	return nil
}

// parseMillis reads a time in ms; what is no number is the zero time.
func parseMillis(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
