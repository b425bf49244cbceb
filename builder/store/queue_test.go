package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestBuildGoesThroughItsStates(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "hello", "refs/heads/main", "c0ffee"), "b1")

	r := record(t, s, "b1")
	if r.State != builder.Queued || r.Place != 1 || r.Attempt != 0 || r.QueuedAt.IsZero() || r.Seq != 1 {
		t.Errorf("queued: %+v", r.Progress)
	}
	if diff := cmp.Diff(planned("b1", mustEvent(t, s, "e1")), r.Build); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}

	l := claim(t, s, "w1", "b1")
	if l.Attempt != 1 || l.Worker != "w1" || l.Last != "" || l.Commit != "c0ffee" {
		t.Errorf("lease: %+v", l)
	}
	r = record(t, s, "b1")
	if r.State != builder.Running || r.Worker != "w1" || r.StartedAt.IsZero() || r.Place != 0 {
		t.Errorf("running: %+v", r.Progress)
	}
	if stop, err := s.Heartbeat(ctx, l); stop != nil || err != nil {
		t.Errorf("heartbeat: %v, %v", stop, err)
	}

	if err := s.Advance(ctx, l, builder.Pushing, builder.Result{Key: "k", Digest: "sha256:1"}); err != nil {
		t.Fatal(err)
	}
	r = record(t, s, "b1")
	if r.State != builder.Pushing || r.Digest != "sha256:1" {
		t.Errorf("pushing: %+v", r)
	}
	if err := s.Advance(ctx, l, builder.Running, builder.Result{}); !errors.Is(err, builder.ErrState) {
		t.Errorf("pushing to running: %v, want ErrState", err)
	}
	if got := record(t, s, "b1").Digest; got != "sha256:1" {
		t.Errorf("a refused advance left digest %q", got)
	}

	result := builder.Result{Key: "k", Digest: "sha256:2", Tagged: []builder.TagOutcome{{Tag: "latest", Moved: true}}}
	if err := s.Finish(ctx, l, builder.Succeeded, result, "tell"); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(ctx, l, builder.Succeeded, result, "tell"); err != nil {
		t.Errorf("the same finish again: %v", err)
	}
	r = record(t, s, "b1")
	if r.State != builder.Succeeded || r.FinishedAt.IsZero() {
		t.Errorf("succeeded: %+v", r.Progress)
	}
	if diff := cmp.Diff(result, r.Result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	want := []string{"event e1", "build b1", "trigger b1 tell"}
	got := effects(t, s)
	if !sameSet(got, want) {
		t.Errorf("effects %q, want %q", got, want)
	}
}

func mustEvent(t *testing.T, s *store.Store, id string) builder.Event {
	t.Helper()
	e, err := s.Event(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func sameSet(a, b []string) bool {
	in := make(map[string]int)
	for _, x := range a {
		in[x]++
	}
	for _, x := range b {
		in[x]--
	}
	for _, n := range in {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestFinishTakesTerminalStatesOnly(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "hello", "refs/heads/main", "c1"), "b1")
	l := claim(t, s, "w", "b1")
	for _, state := range []builder.State{builder.Queued, builder.Running, builder.Pushing} {
		if err := s.Finish(ctx, l, state, builder.Result{}); !errors.Is(err, builder.ErrState) {
			t.Errorf("finish as %s: %v, want ErrState", state, err)
		}
	}
	for _, state := range []builder.State{builder.Queued, builder.Succeeded, builder.Cancelled} {
		if err := s.Advance(ctx, l, state, builder.Result{}); !errors.Is(err, builder.ErrState) {
			t.Errorf("advance to %s: %v, want ErrState", state, err)
		}
	}
	wantState(t, s, "b1", builder.Running)
}

func TestEveryTerminalStateIsFinal(t *testing.T) {
	s := storetest.New(t, store.Options{})
	states := []builder.State{builder.Succeeded, builder.Failed, builder.Cancelled, builder.Superseded, builder.Promoted, builder.Skipped}
	for i, state := range states {
		id := fmt.Sprintf("b%d", i)
		enqueue(t, s, pushed("e"+id, "hello", "refs/tags/v"+id, "c"), id)
		l := claim(t, s, "w", id)
		finish(t, s, l, state)
		for _, other := range states {
			if other == state {
				continue
			}
			if err := s.Finish(ctx, l, other, builder.Result{}); !errors.Is(err, builder.ErrLeaseLost) {
				t.Errorf("%s then %s: %v, want ErrLeaseLost", state, other, err)
			}
		}
		refused(t, s, l)
		if got, err := s.Cancel(ctx, id, "by ada"); !errors.Is(err, builder.ErrState) || got != state {
			t.Errorf("cancel: %s, %v, want %s and ErrState", got, err, state)
		}
		wantState(t, s, id, state)
	}
}

// refused asks for everything that a lease allows and wants nothing of it.
func refused(t *testing.T, s *store.Store, l *builder.Lease) {
	t.Helper()
	before := record(t, s, l.ID)
	_, heartbeat := s.Heartbeat(ctx, l)
	_, input := s.ClaimInput(ctx, l, "key-of-a-stale-lease")
	for what, err := range map[string]error{
		"Heartbeat":  heartbeat,
		"Advance":    s.Advance(ctx, l, builder.Pushing, builder.Result{Digest: "sha256:stale"}),
		"Finish":     s.Finish(ctx, l, builder.Failed, builder.Result{Digest: "sha256:stale"}, "stale"),
		"Release":    s.Release(ctx, l),
		"ClaimInput": input,
		"KeepInput":  s.KeepInput(ctx, l, "key-of-a-stale-lease", "sha256:stale"),
	} {
		if !errors.Is(err, builder.ErrLeaseLost) {
			t.Errorf("%s with a stale lease: %v, want ErrLeaseLost", what, err)
		}
	}
	if diff := cmp.Diff(before, record(t, s, l.ID)); diff != "" {
		t.Errorf("a stale lease changed the build (-before +after):\n%s", diff)
	}
}

func TestLostLeaseIsFenced(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "hello", "refs/heads/main", "c1"), "b1")
	stale := claim(t, s, "w1", "b1")
	if err := s.Advance(ctx, stale, builder.Pushing, builder.Result{Digest: "sha256:old"}); err != nil {
		t.Fatal(err)
	}
	claimNothing(t, s) // the lease holds
	store.ExpireLease(t, s, "b1")
	fresh := claim(t, s, "w2", "b1")
	if fresh.Attempt != 2 {
		t.Errorf("attempt %d, want 2", fresh.Attempt)
	}
	if r := record(t, s, "b1"); r.State != builder.Running || r.Digest != "" {
		t.Errorf("the new attempt begins with %+v", r)
	}
	refused(t, s, stale)
	other := *fresh
	other.Worker = "w3"
	refused(t, s, &other)
	if in, err := s.ClaimInput(ctx, fresh, "key-of-a-stale-lease"); err != nil || in != (builder.Input{}) {
		t.Errorf("the stale lease left %+v, %v", in, err)
	}
	finish(t, s, fresh, builder.Succeeded)
	refused(t, s, stale)
	wantState(t, s, "b1", builder.Succeeded)
}

func TestSameWorkerClaimsItsLostBuildAgain(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "hello", "refs/heads/main", "c1"), "b1")
	stale := claim(t, s, "w1", "b1")
	store.ExpireLease(t, s, "b1")
	claim(t, s, "w1", "b1")
	refused(t, s, stale)
}

func TestBuildFailsAfterMaxAttempts(t *testing.T) {
	s := storetest.New(t, store.Options{MaxAttempts: 2})
	enqueue(t, s, pushed("e1", "hello", "refs/heads/main", "c1"), "b1")
	claim(t, s, "w1", "b1")
	store.ExpireLease(t, s, "b1")
	claim(t, s, "w2", "b1")
	store.ExpireLease(t, s, "b1")
	if l := claim(t, s, "w3", "b1"); l.Lost != 2 {
		t.Errorf("the worker that may give it up is told of %d lost leases, want 2", l.Lost)
	}
	store.ExpireLease(t, s, "b1")
	claimNothing(t, s)
	r := record(t, s, "b1")
	if r.State != builder.Failed || r.Failure == nil || !strings.Contains(r.Failure.Message, "given up") {
		t.Errorf("%s, %+v", r.State, r.Failure)
	}
}

func TestRelease(t *testing.T) {
	s := storetest.New(t, store.Options{MaxAttempts: 1})
	enqueue(t, s, pushed("e1", "hello", "refs/heads/main", "c1"), "b1")
	for attempt := 1; attempt <= 3; attempt++ { // it is no loss, however often
		l := claim(t, s, "w", "b1")
		if l.Attempt != attempt {
			t.Errorf("attempt %d, want %d", l.Attempt, attempt)
		}
		if err := s.Release(ctx, l); err != nil {
			t.Fatal(err)
		}
		wantState(t, s, "b1", builder.Queued)
		refused(t, s, l)
	}
	l := claim(t, s, "w", "b1")
	if _, err := s.Cancel(ctx, "b1", "by ada"); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(ctx, l); err != nil {
		t.Fatal(err)
	}
	if r := record(t, s, "b1"); r.State != builder.Cancelled || r.Reason != "by ada" {
		t.Errorf("released after cancel: %s %q", r.State, r.Reason)
	}
}

func TestOneTerminalStateUnderConcurrentFinishers(t *testing.T) {
	server := storetest.Start(t)
	stores := []*store.Store{server.Store(t, store.Options{}), server.Store(t, store.Options{})}
	states := []builder.State{builder.Succeeded, builder.Failed, builder.Cancelled, builder.Promoted}
	for round := range 20 {
		id := fmt.Sprintf("b%02d", round)
		enqueue(t, stores[0], pushed("e"+id, "hello", "refs/tags/"+id, "c"), id)
		l := claim(t, stores[0], "w", id)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				errs[i] = stores[i%2].Finish(ctx, l, states[i%4], builder.Result{Digest: fmt.Sprint(i)}, fmt.Sprint("t", i))
			})
		}
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil:
				t.Errorf("finishers %d and %d both won", winner, i)
			case !errors.Is(err, builder.ErrLeaseLost):
				t.Errorf("finisher %d: %v, want ErrLeaseLost", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody finished")
		}
		r := record(t, stores[1], id)
		if r.State != states[winner%4] || r.Digest != fmt.Sprint(winner) {
			t.Errorf("winner %d (%s) left %s with %q", winner, states[winner%4], r.State, r.Digest)
		}
		want := []string{"event e" + id, "build " + id, fmt.Sprintf("trigger %s t%d", id, winner)}
		if got := effects(t, stores[0]); !sameSet(got, want) {
			t.Errorf("effects %q, want %q", got, want)
		}
	}
}
