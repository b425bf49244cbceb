package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestAppendNumbersAndDeduplicates(t *testing.T) {
	s := storetest.New(t, store.Options{})
	e := pushed("git:1", "a", "refs/heads/main", "c1")
	if r := accept(t, s, e); r.Seq != 1 || r.Duplicate {
		t.Errorf("first: %+v", r)
	}
	if r := accept(t, s, pushed("git:2", "b", "refs/heads/main", "c1")); r.Seq != 2 || r.Duplicate {
		t.Errorf("second: %+v", r)
	}
	if r := accept(t, s, e); r.Seq != 1 || !r.Duplicate {
		t.Errorf("first again: %+v", r)
	}
	got := mustEvent(t, s, "git:1")
	if d := time.Since(got.AcceptedAt); d < -time.Second || d > time.Minute {
		t.Errorf("accepted %s ago", d)
	}
	want := e
	want.Seq, want.AcceptedAt = 1, got.AcceptedAt
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	l := nextEvent(t, s)
	if err := s.Decide(ctx, l, builder.Decision{}); err != nil {
		t.Fatal(err)
	}
	if r := accept(t, s, e); r.Seq != 1 || !r.Duplicate {
		t.Errorf("after the decision: %+v", r)
	}
	if l := nextEvent(t, s); l.Event.ID != "git:2" {
		t.Errorf("a duplicate came back: %s", l.Event.ID)
	}
}

func TestConcurrentAppendsOfOneDelivery(t *testing.T) {
	server := storetest.Start(t)
	stores := []*store.Store{server.Store(t, store.Options{}), server.Store(t, store.Options{})}
	for round := range 10 {
		e := pushed(fmt.Sprint("git:", round), "a", "refs/heads/main", "c")
		var wg sync.WaitGroup
		receipts := make([]builder.Receipt, 16)
		for i := range receipts {
			wg.Go(func() {
				var err error
				if receipts[i], err = stores[i%2].Append(ctx, e); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		first := 0
		for _, r := range receipts {
			if !r.Duplicate {
				first++
			}
			if r.Seq != int64(round+1) {
				t.Errorf("round %d: number %d", round, r.Seq)
			}
		}
		if first != 1 {
			t.Errorf("round %d: accepted %d times", round, first)
		}
	}
}

func TestEventsOfARepositoryComeInOrderOneAtATime(t *testing.T) {
	s := storetest.New(t, store.Options{})
	accept(t, s, pushed("a1", "a", "refs/heads/main", "c1"))
	accept(t, s, pushed("a2", "a", "refs/heads/main", "c2"))
	accept(t, s, pushed("b1", "b", "refs/heads/main", "c1"))

	a1 := nextEvent(t, s)
	b1 := nextEvent(t, s)
	if a1.Event.ID != "a1" || b1.Event.ID != "b1" {
		t.Fatalf("leased %s and %s, want a1 and b1", a1.Event.ID, b1.Event.ID)
	}
	if a1.Attempt != 1 || a1.Head != nil || len(a1.TagOwners) != 0 {
		t.Errorf("lease: %+v", a1)
	}
	head := &builder.Position{Repository: "git:acme/a", Ref: "refs/heads/main", Commit: "c1", Generation: 1, Seq: 1}
	owners := map[string]string{"a:main": "refs/heads/main"}
	if err := s.Decide(ctx, a1, builder.Decision{Head: head, TagOwners: owners}); err != nil {
		t.Fatal(err)
	}
	a2 := nextEvent(t, s)
	if a2.Event.ID != "a2" {
		t.Fatalf("leased %s, want a2", a2.Event.ID)
	}
	if diff := cmp.Diff(head, a2.Head); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(owners, a2.TagOwners); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	// The first owner of a tag's name stays.
	if err := s.Decide(ctx, a2, builder.Decision{TagOwners: map[string]string{"a:main": "refs/heads/x"}}); err != nil {
		t.Fatal(err)
	}
	accept(t, s, pushed("a3", "a", "refs/heads/main", "c3"))
	if got := nextEvent(t, s).TagOwners; got["a:main"] != "refs/heads/main" {
		t.Errorf("owners: %v", got)
	}
}

func TestLostEventLeaseIsFenced(t *testing.T) {
	s := storetest.New(t, store.Options{})
	accept(t, s, pushed("e1", "a", "refs/heads/main", "c1"))
	stale := nextEvent(t, s)
	if err := s.Extend(ctx, stale); err != nil {
		t.Error(err)
	}
	store.ExpireEventLease(t, s, "git:acme/a")
	fresh := nextEvent(t, s)
	if fresh.Attempt != 2 || fresh.Token == stale.Token {
		t.Errorf("second lease: %+v", fresh)
	}
	stalePlan := planned("b1", stale.Event)
	stalePlan.Tags = []string{"stale"}
	wantLost := func() {
		t.Helper()
		for what, err := range map[string]error{
			"Extend": s.Extend(ctx, stale),
			"Defer":  s.Defer(ctx, stale, 0),
			"Decide": s.Decide(ctx, stale, builder.Decision{Builds: []builder.Build{planned("b2", stale.Event)}}),
		} {
			if !errors.Is(err, builder.ErrLeaseLost) {
				t.Errorf("%s with a stale lease: %v, want ErrLeaseLost", what, err)
			}
		}
	}
	wantLost()
	if err := s.Decide(ctx, fresh, builder.Decision{Builds: []builder.Build{planned("b1", fresh.Event)}}); err != nil {
		t.Fatal(err)
	}
	wantLost()
	if err := s.Decide(ctx, stale, builder.Decision{Builds: []builder.Build{stalePlan}}); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("a stale plan of the same build: %v", err)
	}
	if got := record(t, s, "b1").Tags; !cmp.Equal(got, []string{"latest"}) {
		t.Errorf("the stale plan won: %q", got)
	}
	if _, err := s.Build(ctx, "b2"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("the stale decision queued a build: %v", err)
	}
}

func TestDecidingAgainChangesNothing(t *testing.T) {
	s := storetest.New(t, store.Options{})
	accept(t, s, pushed("e1", "a", "refs/heads/main", "c1"))
	l := nextEvent(t, s)
	d := builder.Decision{Builds: []builder.Build{planned("b1", l.Event)}}
	if err := s.Decide(ctx, l, d); err != nil {
		t.Fatal(err)
	}
	finish(t, s, claim(t, s, "w", "b1"), builder.Succeeded)
	effects(t, s)
	if err := s.Decide(ctx, l, d); err != nil {
		t.Errorf("again: %v", err)
	}
	wantState(t, s, "b1", builder.Succeeded)
	if got := effects(t, s); len(got) > 0 {
		t.Errorf("effects %q", got)
	}
	claimNothing(t, s)
}

func TestDefer(t *testing.T) {
	s := storetest.New(t, store.Options{})
	accept(t, s, pushed("e1", "a", "refs/heads/main", "c1"))
	accept(t, s, pushed("e2", "a", "refs/heads/main", "c2"))
	if err := s.Defer(ctx, nextEvent(t, s), 30*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	l := nextEvent(t, s)
	if l.Event.ID != "e1" || l.Attempt != 2 {
		t.Errorf("after the wait: %s, attempt %d", l.Event.ID, l.Attempt)
	}
	if d := time.Since(began); d < 20*time.Millisecond || d > 800*time.Millisecond {
		t.Errorf("waited %s, want about 30 ms", d)
	}
	if err := s.Defer(ctx, l, time.Hour); err != nil {
		t.Fatal(err)
	}
	accept(t, s, pushed("e3", "a", "refs/heads/main", "c3")) // does not jump the wait
	if err := s.Extend(ctx, l); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("extend after defer: %v", err)
	}
	store.ExpireEventLease(t, s, "git:acme/a")
	if l := nextEvent(t, s); l.Event.ID != "e1" || l.Attempt != 3 {
		t.Errorf("after the hour: %s, attempt %d", l.Event.ID, l.Attempt)
	}
}

func TestDeletedRefCancelsItsQueuedBuilds(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "a", "refs/heads/x", "c1"), "running")
	claim(t, s, "w", "running")
	enqueue(t, s, pushed("e2", "a", "refs/heads/y", "c1"), "other")
	enqueue(t, s, pushed("e3", "a", "refs/heads/x", "c2"), "queued")
	accept(t, s, builder.Event{ID: "e4", Kind: builder.BranchDeleted, Repository: repository("a"), Ref: "refs/heads/x", Before: "c2"})
	gone := &builder.Position{Repository: "git:acme/a", Ref: "refs/heads/x", Generation: 3, Seq: 4}
	if err := s.Decide(ctx, nextEvent(t, s), builder.Decision{CancelRef: "refs/heads/x", Head: gone}); err != nil {
		t.Fatal(err)
	}
	if r := record(t, s, "queued"); r.State != builder.Cancelled || r.Reason != "by the deletion of x" {
		t.Errorf("%s %q", r.State, r.Reason)
	}
	wantState(t, s, "running", builder.Running)
	wantState(t, s, "other", builder.Queued)
	accept(t, s, pushed("e5", "a", "refs/heads/x", "c3"))
	if diff := cmp.Diff(gone, nextEvent(t, s).Head); diff != "" {
		t.Errorf("the generation is lost (-want +got):\n%s", diff)
	}
}

// Lua returns some thousand values at most, and fails after all is written.
func TestDeletedRefWithManyBuilds(t *testing.T) {
	s := storetest.New(t, store.Options{})
	ids := make([]string, 8100)
	for i := range ids {
		ids[i] = fmt.Sprintf("b%04d", i)
	}
	enqueue(t, s, pushed("e1", "a", "refs/heads/x", "c1"), ids...)
	accept(t, s, builder.Event{ID: "e2", Kind: builder.BranchDeleted, Repository: repository("a"), Ref: "refs/heads/x", Before: "c1"})
	if err := s.Decide(ctx, nextEvent(t, s), builder.Decision{CancelRef: "refs/heads/x"}); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, ids[0], builder.Cancelled)
	wantState(t, s, ids[len(ids)-1], builder.Cancelled)
}

func TestDecision(t *testing.T) {
	s := storetest.New(t, store.Options{})
	if _, err := s.Decision(ctx, "e1"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := s.AwaitDecision(ctx, "e1"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("await unknown: %v", err)
	}
	accept(t, s, pushed("e1", "a", "refs/heads/main", "c1"))
	if _, err := s.Decision(ctx, "e1"); !errors.Is(err, builder.ErrState) {
		t.Errorf("undecided: %v", err)
	}
	waiting := store.Waiting(s, "event:e1")
	got := make(chan builder.Decision, 1)
	go func() {
		d, err := s.AwaitDecision(within(t, 5*time.Second), "e1")
		if err != nil {
			t.Error(err)
		}
		got <- d
	}()
	<-waiting
	l := nextEvent(t, s)
	want := builder.Decision{
		EventID: "e1", Builds: []builder.Build{planned("b1", l.Event)},
		Reasons: []builder.Reason{{Image: "x", Rule: "tag: v*", Line: 3, Message: "no"}}, Hint: "h",
	}
	if err := s.Decide(ctx, l, want); err != nil {
		t.Fatal(err)
	}
	d := <-got
	if d.DecidedAt.IsZero() {
		t.Error("no time")
	}
	d.DecidedAt = time.Time{}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

func TestIntentsAndAcceptedHeads(t *testing.T) {
	s := storetest.New(t, store.Options{})
	main, v1 := pushed("p:main", "a", "refs/heads/main", "c1"), pushed("p:v1", "a", "refs/tags/v1", "c1")
	if err := s.Intend(ctx, []builder.Event{main, v1}); err != nil {
		t.Fatal(err)
	}
	if heads, err := s.AcceptedHeads(ctx, "git:acme/a"); err != nil || len(heads) > 0 {
		t.Errorf("an intent is no event: %v, %v", heads, err)
	}
	accept(t, s, main)
	intents, err := s.Intents(ctx, "git:acme/a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]builder.Event{v1}, intents); diff != "" {
		t.Errorf("intents (-want +got):\n%s", diff)
	}
	if err := s.DropIntents(ctx, "git:acme/a", "p:v1", "p:unknown"); err != nil {
		t.Error(err)
	}
	if intents, err := s.Intents(ctx, "git:acme/a"); err != nil || len(intents) > 0 {
		t.Errorf("after drop: %v, %v", intents, err)
	}

	accept(t, s, v1)
	accept(t, s, pushed("p2", "a", "refs/heads/main", "c2"))
	accept(t, s, builder.Event{ID: "r", Kind: builder.Requested, Repository: repository("a"), Ref: "refs/heads/main", Commit: "c1"})
	accept(t, s, builder.Event{ID: "d", Kind: builder.TagDeleted, Repository: repository("a"), Ref: "refs/tags/v1", Before: "c1"})
	heads, err := s.AcceptedHeads(ctx, "git:acme/a")
	if diff := cmp.Diff(map[string]string{"refs/heads/main": "c2"}, heads); diff != "" || err != nil {
		t.Errorf("heads: %v (-want +got):\n%s", err, diff)
	}

	r, err := s.Repository(ctx, "git:acme/a")
	if diff := cmp.Diff(repository("a"), r); diff != "" || err != nil {
		t.Errorf("repository: %v (-want +got):\n%s", err, diff)
	}
	if _, err := s.Repository(ctx, "git:acme/none"); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("unknown repository: %v", err)
	}
}
