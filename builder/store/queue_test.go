package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

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
	claimNothing(t, s)
	r := record(t, s, "b1")
	if r.State != builder.Failed || r.Failure == nil || !strings.Contains(r.Failure.Message, "2 workers") {
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

func TestNewerPushSupersedes(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "aaaaaaaaaaaa"), "b1")
	running := claim(t, s, "w", "b1")
	enqueue(t, s, pushed("e2", "a", "refs/heads/main", "bbbbbbbbbbbb"), "b2")
	enqueue(t, s, pushed("e3", "a", "refs/heads/other", "cccccccccccc"), "b3")
	effects(t, s)
	enqueue(t, s, pushed("e4", "a", "refs/heads/main", "dddddddddddd"), "b4")

	if r := record(t, s, "b2"); r.State != builder.Superseded || r.Reason != "by dddddd on main" || r.FinishedAt.IsZero() {
		t.Errorf("queued, older: %s %q", r.State, r.Reason)
	}
	wantState(t, s, "b3", builder.Queued)
	if want, got := []string{"build b2", "build b4", "event e4"}, effects(t, s); !sameSet(got, want) {
		t.Errorf("effects %q, want %q", got, want)
	}
	if stop, err := s.Heartbeat(ctx, running); stop != nil || err != nil {
		t.Errorf("running, before the newer one runs: %v, %v", stop, err)
	}

	claim(t, s, "w", "b3")
	claim(t, s, "w", "b4")
	stop, err := s.Heartbeat(ctx, running)
	if diff := cmp.Diff(&builder.Stop{State: builder.Superseded, Reason: "by dddddd on main"}, stop); diff != "" || err != nil {
		t.Errorf("running, after: %v (-want +got):\n%s", err, diff)
	}
	store.ExpireLease(t, s, "b1") // it dies on the way: there is nothing to try again
	claimNothing(t, s)
	if r := record(t, s, "b1"); r.State != builder.Superseded || r.Reason != "by dddddd on main" {
		t.Errorf("lost while stopping: %s %q", r.State, r.Reason)
	}
}

func TestPushingIsNotSuperseded(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "aaaaaa"), "b1")
	l := claim(t, s, "w", "b1")
	if err := s.Advance(ctx, l, builder.Pushing, builder.Result{}); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, pushed("e2", "a", "refs/heads/main", "bbbbbb"), "b2")
	newer := claim(t, s, "w", "b2")
	if stop, err := s.Heartbeat(ctx, l); stop != nil || err != nil {
		t.Errorf("pushing: %v, %v", stop, err)
	}
	finish(t, s, newer, builder.Succeeded)
	store.ExpireLease(t, s, "b1") // lost after the newer one is done: outdated
	claimNothing(t, s)
	wantState(t, s, "b1", builder.Superseded)
}

func TestTagsAndTwinsAreNotSuperseded(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	enqueue(t, s, pushed("e1", "a", "refs/tags/v1", "aaaaaa"), "t1")
	enqueue(t, s, pushed("e2", "a", "refs/tags/v1", "bbbbbb"), "t2")
	enqueue(t, s, pushed("e3", "a", "refs/heads/main", "cccccc"), "m1", "m2") // match: all
	for _, id := range []string{"t1", "t2", "m1", "m2"} {
		claim(t, s, "w", id)
	}
	for _, id := range []string{"t1", "t2", "m1", "m2"} {
		if r := record(t, s, id); r.State != builder.Running || r.Stop != nil {
			t.Errorf("%s is %s, stop %v", id, r.State, r.Stop)
		}
	}
}

func TestCancel(t *testing.T) {
	s := storetest.New(t, store.Options{})
	if _, err := s.Cancel(ctx, "nothing", "by ada"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("unknown build: %v, want ErrNotFound", err)
	}
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c"), "b1")
	if state, err := s.Cancel(ctx, "b1", "by ada"); state != builder.Cancelled || err != nil {
		t.Errorf("queued: %s, %v", state, err)
	}
	if r := record(t, s, "b1"); r.State != builder.Cancelled || r.Reason != "by ada" {
		t.Errorf("queued: %s %q", r.State, r.Reason)
	}
	claimNothing(t, s)

	enqueue(t, s, pushed("e2", "a", "refs/heads/main", "c"), "b2")
	l := claim(t, s, "w", "b2")
	heard := make(chan *builder.Stop, 1)
	go func() {
		stop, err := s.AwaitStop(within(t, 5*time.Second), l)
		if err != nil {
			t.Error(err)
		}
		heard <- stop
	}()
	if state, err := s.Cancel(ctx, "b2", "by ada"); state != builder.Running || err != nil {
		t.Errorf("running: %s, %v", state, err)
	}
	if state, err := s.Cancel(ctx, "b2", "by bob"); state != builder.Running || err != nil {
		t.Errorf("again: %s, %v", state, err)
	}
	want := &builder.Stop{State: builder.Cancelled, Reason: "by ada"}
	if diff := cmp.Diff(want, <-heard); diff != "" {
		t.Errorf("AwaitStop (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, record(t, s, "b2").Stop); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	finish(t, s, l, builder.Cancelled)
	if record(t, s, "b2").Stop != nil {
		t.Error("a build that has ended is still asked to stop")
	}
}

func TestLastState(t *testing.T) {
	s := storetest.New(t, store.Options{})
	n := 0
	run := func(ref string, want, end builder.State) {
		t.Helper()
		n++
		id := fmt.Sprintf("b%d", n)
		enqueue(t, s, pushed("e"+id, "a", ref, "c"), id)
		l := claim(t, s, "w", id)
		if l.Last != want {
			t.Errorf("%s on %s: last %q, want %q", id, ref, l.Last, want)
		}
		finish(t, s, l, end)
	}
	run("refs/heads/main", "", builder.Failed)
	run("refs/heads/main", builder.Failed, builder.Cancelled)
	run("refs/heads/main", builder.Failed, builder.Superseded)
	run("refs/heads/main", builder.Failed, builder.Succeeded)
	run("refs/heads/other", "", builder.Failed)
	run("refs/heads/main", builder.Succeeded, builder.Promoted)
	run("refs/heads/main", builder.Promoted, builder.Failed)
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
