package forgetest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// awaitLimit is how long a story waits for what takes milliseconds.
const awaitLimit = 30 * time.Second

// Inbox takes deliveries in as the intake does: it is what a forge's double
// calls. It keeps each event once, in the order in which they came.
type Inbox struct {
	t *testing.T

	mu       sync.Mutex
	verifier forge.Verifier
	events   []builder.Event
	taken    int
	known    map[string]bool
	away     bool
	more     chan struct{} // closed and made anew with each event
}

var _ builder.Events = (*Inbox)(nil)

// NewInbox makes an Inbox. It answers 503 until it has a verifier: a double
// needs our address before the adapter can have its.
func NewInbox(t *testing.T) *Inbox {
	return &Inbox{t: t, known: map[string]bool{}, more: make(chan struct{})}
}

// Use sets the adapter that verifies and reads.
func (in *Inbox) Use(v forge.Verifier) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.verifier = v
}

// Away makes the Inbox answer 503, as we do while Redis is away.
func (in *Inbox) Away(away bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.away = away
}

// ServeHTTP answers as the intake does.
func (in *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in.mu.Lock()
	verifier, away := in.verifier, in.away
	in.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil || verifier == nil || away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if err := verifier.Verify(r.Header, body); err != nil {
		in.t.Errorf("a delivery of the double: %v", err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	events, err := verifier.Events(r.Header, body)
	if err != nil && !errors.Is(err, forge.ErrIgnored) {
		in.t.Errorf("a delivery of the double: %v", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, e := range events {
		_, _ = in.Append(r.Context(), e) // it cannot fail
	}
	w.WriteHeader(http.StatusAccepted)
}

// Append implements builder.Events.
func (in *Inbox) Append(_ context.Context, e builder.Event) (builder.Receipt, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.known[e.ID] {
		return builder.Receipt{Duplicate: true}, nil
	}
	in.known[e.ID] = true
	in.events = append(in.events, e)
	close(in.more)
	in.more = make(chan struct{})
	return builder.Receipt{Seq: int64(len(in.events))}, nil
}

// Next waits for n events after those that were returned before.
func (in *Inbox) Next(t *testing.T, n int) []builder.Event {
	t.Helper()
	timeout := time.After(awaitLimit)
	for {
		in.mu.Lock()
		events, more := in.events[in.taken:], in.more
		if len(events) >= n {
			in.taken += n
			in.mu.Unlock()
			return events[:n]
		}
		in.mu.Unlock()
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("%d events, want %d: %+v", len(events), n, events)
		}
	}
}
