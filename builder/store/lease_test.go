package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// What an event's lease tells of its ref, and of nothing else.
func TestEventLeaseTells(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	ended := func(e builder.Event, id, image string, state builder.State) {
		t.Helper()
		l := undecided(t, s, e)
		b := planned(id, l.Event)
		b.Image = image
		if err := s.Decide(ctx, l, builder.Decision{Builds: []builder.Build{b}}); err != nil {
			t.Fatal(err)
		}
		finish(t, s, claim(t, s, "w", id), state)
	}
	ended(pushed("e1", "a", "refs/heads/main", "c1"), "b1", "api", builder.Succeeded)
	ended(pushed("e2", "a", "refs/heads/main", "c2"), "b2", "web app", builder.Failed)
	ended(pushed("e3", "a", "refs/heads/main", "c3"), "b3", "web app", builder.Cancelled) // is no end
	ended(pushed("e4", "a", "refs/heads/x", "c1"), "b4", "api", builder.Failed)
	ended(pushed("e5", "b", "refs/heads/main", "c1"), "b5", "worker", builder.Failed)
	ended(pullEvent("p1", builder.PullChanged, "a", "c1"), "b6", "api", builder.Failed)
	decided(t, s, pushed("e6", "a", "refs/heads/y", "c1"), builder.Decision{
		Pause:   map[string]string{"": "ada", "api": "bob", "web": "eve"},
		Approve: &builder.Approval{Ref: pull5, Commit: "c1", By: "ada"},
	})
	decided(t, s, pushed("e7", "a", "refs/heads/y", "c2"), builder.Decision{
		Pause:   map[string]string{"api": "", "web": "zoe", "none": ""},
		Approve: &builder.Approval{Ref: "refs/pull/6/head", Commit: "c6", By: "ada"},
	})
	paused := map[string]string{"": "ada", "web": "zoe"}

	command := builder.Event{ID: "command", Kind: builder.Commanded, Repository: repository("a"),
		Command: &builder.Command{Name: builder.CommandStatus, Pull: 5}}
	onCommit := builder.Event{ID: "on-commit", Kind: builder.Commanded, Repository: repository("a"), Ref: "refs/heads/main", Commit: "c1",
		Command: &builder.Command{Name: builder.CommandRebuild}}
	tests := []struct {
		event    builder.Event
		last     map[string]builder.State
		paused   map[string]string
		approved string
	}{
		{pushed("branch", "a", "refs/heads/main", "c4"), map[string]builder.State{"api": builder.Succeeded, "web app": builder.Failed}, paused, ""},
		{pushed("new-branch", "a", "refs/heads/new", "c4"), map[string]builder.State{}, paused, ""},
		{pushed("other-repository", "b", "refs/heads/main", "c4"), map[string]builder.State{"worker": builder.Failed}, map[string]string{}, ""},
		{pullEvent("pull", builder.PullChanged, "a", "c2"), map[string]builder.State{"api": builder.Failed}, paused, "c1"},
		{command, map[string]builder.State{"api": builder.Failed}, paused, "c1"},
		{onCommit, map[string]builder.State{"api": builder.Succeeded, "web app": builder.Failed}, paused, ""},
		{pullEvent("pull-of-b", builder.PullChanged, "b", "c1"), map[string]builder.State{}, map[string]string{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.event.ID, func(t *testing.T) {
			l := undecided(t, s, tt.event)
			if diff := cmp.Diff(tt.last, l.Last); diff != "" {
				t.Errorf("last (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.paused, l.Paused); diff != "" {
				t.Errorf("paused (-want +got):\n%s", diff)
			}
			if l.Approved != tt.approved {
				t.Errorf("approved %q, want %q", l.Approved, tt.approved)
			}
			if err := s.Decide(ctx, l, builder.Decision{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An approval is of one commit, and ends with the pull request.
func TestApproval(t *testing.T) {
	s := storetest.New(t, store.Options{})
	approve := func(commit string) builder.Decision {
		return builder.Decision{Approve: &builder.Approval{Ref: pull5, Commit: commit, By: "ada"}}
	}
	steps := []struct {
		kind     builder.EventKind
		decision builder.Decision
		before   string
	}{
		{builder.Commanded, approve("c1"), ""},
		{builder.PullChanged, builder.Decision{}, "c1"},
		{builder.Commanded, approve("c2"), "c1"},
		{builder.PullClosed, builder.Decision{}, "c2"}, // it is open again
		{builder.PullClosed, builder.Decision{StopRef: pull5}, "c2"},
		{builder.PullChanged, builder.Decision{}, ""},
	}
	for i, step := range steps {
		l := undecided(t, s, pullEvent(fmt.Sprint("e", i), step.kind, "a", "c"))
		if l.Approved != step.before {
			t.Errorf("before step %d: %q is approved, want %q", i, l.Approved, step.before)
		}
		if err := s.Decide(ctx, l, step.decision); err != nil {
			t.Fatal(err)
		}
	}
	if left := s.KeysOf(t, "approved"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// How the builds of a ref ended is known as long as builds are: refs come and
// go without end.
func TestLastIsForgotten(t *testing.T) {
	s := storetest.New(t, store.Options{Builds: 100 * time.Hour})
	enqueue(t, s, pushed("e1", "a", "refs/heads/x", "c1"), "b1")
	finish(t, s, claim(t, s, "w", "b1"), builder.Failed)
	if d := s.TTL(t, "{rb}:last:git:acme/a:refs/heads/x"); d < 99*time.Hour || d > 100*time.Hour {
		t.Errorf("stays for %s", d)
	}
}
