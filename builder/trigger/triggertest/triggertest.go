// Package triggertest holds the contract that every kind of trigger keeps. A
// kind's own tests call Run with a real peer: a server that the kind talks to
// as it talks to the real one.
package triggertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// Mood is how the peer treats what comes.
type Mood int

const (
	Accept Mood = iota // takes it and answers "welcome"
	Refuse             // refuses it for good
	Busy               // refuses it for now
	Hang               // takes it and never answers
)

// Subject is a kind that can reach its peer.
type Subject struct {
	Kind    trigger.Kind
	Trigger config.Trigger // points at the peer
	Secret  string         // what signs or opens: it must show nowhere; "" for none
	// Peer sets how the peer treats what comes from now on. It may be called
	// while the kind fires.
	Peer func(Mood)
	// Seen lists, in order, the identity that the peer saw with each thing
	// that came: what it would look at to know that it has it already.
	Seen func() []string
}

// Firing is what a build that pushed v1.2.3 tells through the trigger.
func Firing(t config.Trigger, attempt int) trigger.Firing {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	r := builder.Record{
		Build: builder.Build{
			ID:          "06EXAMPLE0BUILD1",
			Repository:  builder.Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello"},
			Image:       "hello",
			Ref:         "refs/tags/v1.2.3",
			Commit:      "4f2c1a9d3b8e7f6a5c4d3e2f1a0b9c8d7e6f5a4b",
			Actor:       "ada",
			Destination: "acme/hello",
			Tags:        []string{"v1.2.3"},
			Triggers:    []config.Trigger{t},
			AcceptedAt:  at,
		},
		Progress: builder.Progress{State: builder.Succeeded, StartedAt: at.Add(time.Second), FinishedAt: at.Add(43500 * time.Millisecond)},
		Result: builder.Result{
			Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			Tagged: []builder.TagOutcome{{Tag: "v1.2.3", Moved: true}},
		},
	}
	return trigger.Firing{
		Trigger: t, Event: config.OnPushed, Record: r, Tags: []string{"v1.2.3"},
		Delivery: r.ID + "-" + t.Name, Attempt: attempt,
	}
}

// Run checks a kind against the contract of trigger.Kind. open makes a new
// subject with a peer of its own, and cleans up by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	tests := []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"accepted", accepted},
		{"refused for good", refusedForGood},
		{"refused for now", refusedForNow},
		{"attempts have one identity", oneIdentity},
		{"ends with its context", endsWithContext},
		{"a context that has ended", endedContext},
		{"concurrently", concurrently},
		{"of another kind", otherKind},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

// fire fires once and looks for the secret in what comes back.
func fire(ctx context.Context, t *testing.T, s Subject, f trigger.Firing) (string, error) {
	t.Helper()
	answer, err := s.Kind.Fire(ctx, f)
	action := s.Kind.Action(f.Trigger)
	if action == "" || strings.Contains(action, "\n") {
		t.Errorf("Action is %q, want one line", action)
	}
	if text := fmt.Sprint(answer, err, action); s.Secret != "" && strings.Contains(text, s.Secret) {
		t.Errorf("the secret shows in %q", text)
	}
	if err != nil && (answer.Again > 0 || answer.Skipped) {
		t.Errorf("an error (%v) and an answer that goes on: %+v", err, answer)
	}
	if answer.Again > 0 && answer.Skipped {
		t.Errorf("skipped, and under way: %+v", answer)
	}
	if u, err := url.Parse(answer.URL); answer.URL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil) {
		t.Errorf("URL is %q, want a page that people can open", answer.URL)
	}
	return answer.Text, err
}

// finish calls until it is over what one call may only begin.
func finish(t *testing.T, s Subject, f trigger.Firing) (text string, err error) {
	t.Helper()
	for range 1000 {
		answer, err := s.Kind.Fire(t.Context(), f)
		if s.Secret != "" && strings.Contains(fmt.Sprint(answer, err), s.Secret) {
			t.Errorf("the secret shows in %+v, %v", answer, err)
		}
		if err != nil || answer.Again == 0 {
			return answer.Text, err
		}
		f.Memo = answer.Memo
	}
	return "", errors.New("1,000 calls, and it is not over")
}

func accepted(t *testing.T, s Subject) {
	s.Peer(Accept)
	answer, err := finish(t, s, Firing(s.Trigger, 1))
	if err != nil || !strings.Contains(answer, "welcome") {
		t.Errorf("Fire = %q, %v; want the peer's answer", answer, err)
	}
	if n := len(s.Seen()); n != 1 {
		t.Errorf("the peer saw %d, want 1", n)
	}
}

func refusedForGood(t *testing.T, s Subject) {
	s.Peer(Refuse)
	_, err := fire(t.Context(), t, s, Firing(s.Trigger, 1))
	if _, again := trigger.IsTemporary(err); err == nil || again {
		t.Errorf("error %v (temporary: %t), want a final one", err, again)
	}
}

func refusedForNow(t *testing.T, s Subject) {
	s.Peer(Busy)
	_, err := fire(t.Context(), t, s, Firing(s.Trigger, 1))
	if _, again := trigger.IsTemporary(err); !again {
		t.Errorf("error %v, want a temporary one", err)
	}
}

func oneIdentity(t *testing.T, s Subject) {
	s.Peer(Busy)
	_, _ = fire(t.Context(), t, s, Firing(s.Trigger, 1))
	s.Peer(Accept)
	for _, attempt := range []int{2, 3} {
		if _, err := fire(t.Context(), t, s, Firing(s.Trigger, attempt)); err != nil {
			t.Fatal(err)
		}
	}
	other := Firing(s.Trigger, 1)
	other.Record.ID = "06EXAMPLE0BUILD2"
	other.Delivery = other.Record.ID + "-" + s.Trigger.Name
	if _, err := fire(t.Context(), t, s, other); err != nil {
		t.Fatal(err)
	}
	seen := s.Seen()
	if len(seen) != 4 || seen[0] == "" || seen[0] != seen[1] || seen[1] != seen[2] || seen[2] == seen[3] {
		t.Errorf("identities %q; want three times the same, then another", seen)
	}
}

func endsWithContext(t *testing.T, s Subject) {
	s.Peer(Hang)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := fire(ctx, t, s, Firing(s.Trigger, 1))
		ended <- err
	}()
	awaitSeen(t, s, 1)
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error where nobody answered")
		}
	case <-time.After(10 * time.Second):
		t.Error("Fire goes on 10 s after its context ended")
	}
}

func endedContext(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	if _, err := fire(ctx, t, s, Firing(s.Trigger, 1)); err == nil {
		t.Error("no error")
	}
	if n := len(s.Seen()); n != 0 {
		t.Errorf("the peer saw %d, want none", n)
	}
}

func concurrently(t *testing.T, s Subject) {
	s.Peer(Accept)
	const n = 8
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := fire(t.Context(), t, s, Firing(s.Trigger, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(s.Seen()); got != n {
		t.Errorf("the peer saw %d, want %d", got, n)
	}
}

// A trigger of another kind is an error, never a panic.
func otherKind(t *testing.T, s Subject) {
	_, err := fire(t.Context(), t, s, Firing(config.Trigger{Name: "other"}, 1))
	if _, again := trigger.IsTemporary(err); err == nil || again {
		t.Errorf("error %v, want a final one", err)
	}
}

// awaitSeen waits until the peer has seen n.
func awaitSeen(t *testing.T, s Subject, n int) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for len(s.Seen()) < n {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the peer saw %d within 10 s, want %d", len(s.Seen()), n)
		}
	}
}
