package handlers

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

const (
	// maxBodies bounds the memory that the bodies of deliveries take, all
	// together: nobody has proved who they are before the body is read. Two of
	// the largest fit.
	maxBodies = 64 << 20
	// smallBody is what a delivery may have without waiting for the others:
	// nearly all do, and a connection takes about as much anyway. So those who
	// send large bodies slowly hold up other large ones only.
	smallBody  = 64 << 10
	bodiesWait = 5 * time.Second  // forges wait ten seconds in all
	hookLimit  = 10 * time.Second // for a body to arrive
)

// Accepted is the answer to a delivery: 202, also for what starts no build.
type Accepted struct {
	Events  []string `json:"events,omitempty"`  // IDs; those of a repeated delivery too
	Ignored string   `json:"ignored,omitempty"` // why the delivery starts nothing
}

// intake takes deliveries in.
type intake struct {
	*Server
	metrics *metrics
	bodies  *semaphore.Weighted // bytes that may still be read
}

func (s *Server) newIntake() *intake {
	return &intake{Server: s, metrics: newMetrics(s.Metrics), bodies: semaphore.NewWeighted(maxBodies)}
}

// deliver answers one delivery and counts it.
func (in *intake) deliver(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	verifier := in.Forges[r.PathValue("forge")]
	outcome, accepted, err := in.take(w, r, verifier)
	outcome, err = accept(w, outcome, accepted, err)
	in.metrics.delivered(r, verifier, outcome, time.Since(began))
	return err
}

// accept answers what was taken in. err is why it was not: that is answered by
// whoever called us, and counted by whose fault it is.
func accept(w http.ResponseWriter, as outcome, accepted Accepted, err error) (outcome, error) {
	if err == nil {
		return as, writeJSON(w, http.StatusAccepted, accepted)
	}
	if status, _ := statusOf(err); status >= http.StatusInternalServerError {
		return outcomeFailed, err
	}
	return outcomeRefused, err
}

// take is the intake: cap, verify the raw bytes, parse, append, 202. It
// thinks about nothing: forges wait ten seconds at most, and what is accepted
// must not be lost. A delivery of several events that breaks off in the middle
// is refused; when it comes again, those that were appended are duplicates.
func (in *intake) take(w http.ResponseWriter, r *http.Request, verifier forge.Verifier) (outcome, Accepted, error) {
	if verifier == nil {
		return "", Accepted{}, refuse(http.StatusNotFound, "no forge %q is configured here", r.PathValue("forge"))
	}
	release, err := in.reserve(r)
	if err != nil {
		return "", Accepted{}, err
	}
	defer release()
	body, err := readBody(w, r, forge.MaxBody, hookLimit)
	if err != nil {
		return "", Accepted{}, err
	}
	if err := verifier.Verify(r.Header, body); err != nil {
		return "", Accepted{}, err
	}
	events, err := verifier.Events(r.Header, body)
	if errors.Is(err, forge.ErrIgnored) {
		return outcomeIgnored, Accepted{Ignored: err.Error()}, nil
	}
	if a, ok := verifier.(forge.Admitter); ok && err == nil {
		err = a.Admit(r.Context(), r.Header, events)
	}
	if err != nil {
		return "", Accepted{}, err
	}
	return in.append(r.Context(), events)
}

// append accepts the events, but for comments that hold no command.
func (in *intake) append(ctx context.Context, events []builder.Event) (outcome, Accepted, error) {
	var accepted Accepted
	outcome := outcomeDuplicate
	for _, e := range events {
		if e.Command != nil && e.Command.Source == builder.FromComment {
			command, ok := ReadCommand(*e.Command)
			if !ok {
				continue
			}
			e.Command = &command
		}
		receipt, err := in.Events.Append(ctx, e)
		if err != nil {
			return "", Accepted{}, err
		}
		if !receipt.Duplicate {
			outcome = outcomeAccepted
		}
		accepted.Events = append(accepted.Events, e.ID)
	}
	if len(accepted.Events) == 0 {
		return outcomeIgnored, Accepted{Ignored: "the comment's first line is no command of ours"}, nil
	}
	return outcome, accepted, nil
}

// reserve waits until there is room for the body, of the length that it says
// it has. The caller gives the room back.
func (in *intake) reserve(r *http.Request) (release func(), err error) {
	length := r.ContentLength
	if length >= 0 && length <= smallBody || length > forge.MaxBody { // the latter is refused unread
		return func() {}, nil
	}
	if length < 0 {
		length = forge.MaxBody
	}
	ctx, cancel := context.WithTimeout(r.Context(), bodiesWait)
	defer cancel()
	if err := in.bodies.Acquire(ctx, length); err != nil {
		return nil, refuse(http.StatusServiceUnavailable, "too many large deliveries at once; deliver this one again in a moment")
	}
	return func() { in.bodies.Release(length) }, nil
}
