package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

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
