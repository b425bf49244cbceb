package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestFairByRepository(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	for i := range 4 { // one repository pushes a lot, then two others a little
		id := fmt.Sprintf("a%d", i)
		enqueue(t, s, pushed(id, "a", "refs/heads/"+id, "c"), id)
	}
	enqueue(t, s, pushed("x0", "x", "refs/heads/main", "c"), "x0")
	enqueue(t, s, pushed("y0", "y", "refs/heads/main", "c"), "y0")
	enqueue(t, s, pushed("y1", "y", "refs/heads/other", "c"), "y1")
	if got := record(t, s, "x0").Place; got != 2 {
		t.Errorf("x0 is %d in line, want 2", got)
	}
	if got := record(t, s, "a3").Place; got != 7 {
		t.Errorf("a3 is %d in line, want 7", got)
	}
	for _, want := range []string{"a0", "x0", "y0", "a1", "y1", "a2", "a3"} {
		claim(t, s, "w", want)
	}
}

func TestPrioritiesGoBeforeTurns(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	enqueue(t, s, pushed("1", "a", "refs/heads/main", "c"), "branch-a")
	enqueue(t, s, pushed("2", "b", "refs/heads/main", "c"), "branch-b")
	enqueue(t, s, pushed("3", "b", "refs/tags/v1", "c"), "tag-b")
	enqueue(t, s, builder.Event{ID: "4", Kind: builder.Requested, Repository: repository("c"), Commit: "c"}, "command-c")
	if got := record(t, s, "branch-b").Place; got != 4 {
		t.Errorf("branch-b is %d in line, want 4", got)
	}
	for _, want := range []string{"command-c", "tag-b", "branch-a", "branch-b"} {
		claim(t, s, "w", want)
	}
	claimNothing(t, s)
}

func TestLimitOfARepository(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 2})
	for i := range 4 {
		id := fmt.Sprintf("a%d", i)
		enqueue(t, s, pushed(id, "a", "refs/heads/"+id, "c"), id)
	}
	l := claim(t, s, "w", "a0")
	claim(t, s, "w", "a1")
	claimNothing(t, s)
	enqueue(t, s, pushed("x0", "x", "refs/heads/main", "c"), "x0")
	claim(t, s, "w", "x0")
	claimNothing(t, s)
	finish(t, s, l, builder.Succeeded)
	claim(t, s, "w", "a2")
	claimNothing(t, s)
	store.ExpireLease(t, s, "a1")
	claim(t, s, "w", "a1")
	claimNothing(t, s)
}

func TestIdleClaimIsPickedUpAtOnce(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 1000, Poll: time.Minute})
	const rounds = 50
	took := make([]time.Duration, 0, rounds)
	for i := range rounds {
		id := fmt.Sprintf("b%d", i)
		accept(t, s, pushed("e"+id, "a", "refs/tags/"+id, "c"))
		l := nextEvent(t, s)
		claimed := make(chan time.Time, 1)
		waiting := store.Waiting(s, "queue")
		go func() {
			if _, err := s.Claim(within(t, 10*time.Second), "w"); err != nil {
				t.Error(err)
			}
			claimed <- time.Now()
		}()
		<-waiting
		if err := s.Decide(ctx, l, builder.Decision{Builds: []builder.Build{planned(id, l.Event)}}); err != nil {
			t.Fatal(err)
		}
		decided := time.Now()
		took = append(took, max(0, (<-claimed).Sub(decided)))
	}
	p50 := median(took)
	t.Logf("from decided to claimed: p50 %s", p50)
	if p50 > 20*time.Millisecond { // about a millisecond on an idle machine
		t.Errorf("p50 of an idle pick-up is %s", p50)
	}
}

func TestClaimEndsWithItsContext(t *testing.T) {
	s := storetest.New(t, store.Options{})
	c, cancel := context.WithCancel(ctx)
	waiting := store.Waiting(s, "queue")
	ended := make(chan error, 1)
	go func() {
		_, err := s.Claim(c, "w")
		ended <- err
	}()
	<-waiting
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}
