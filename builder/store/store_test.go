package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
)

var (
	ctx  = context.Background()
	next atomic.Int64 // makes ids of benchmarks unique
)

func repository(name string) builder.Repository {
	return builder.Repository{Forge: "git", ID: "acme/" + name, Owner: "acme", Name: name, DefaultBranch: "main"}
}

func pushed(id, repo, ref, commit string) builder.Event {
	kind := builder.BranchPushed
	if strings.HasPrefix(ref, "refs/tags/") {
		kind = builder.TagPushed
	}
	return builder.Event{ID: id, Kind: kind, Repository: repository(repo), Ref: ref, Commit: commit}
}

// planned is one build of an event, as builder.Plan would make it.
func planned(id string, e builder.Event) builder.Build {
	b := builder.Build{
		ID: id, EventID: e.ID, EventKind: e.Kind, Repository: e.Repository, Image: e.Repository.Name,
		Lane: builder.TrustedLane, Priority: builder.PriorityBranch, Ref: e.Ref, Commit: e.Commit,
		Seq: e.Seq, AcceptedAt: e.AcceptedAt, Destination: "acme/" + e.Repository.Name, Tags: []string{"latest"},
	}
	switch e.Kind {
	case builder.TagPushed:
		b.Priority = builder.PriorityTag
	case builder.Requested:
		b.Priority = builder.PriorityCommand
	default:
		b.Lineage = e.Repository.Key() + "|" + b.Image + "|" + e.Ref
	}
	return b
}

func accept(t testing.TB, s *store.Store, e builder.Event) builder.Receipt {
	t.Helper()
	r, err := s.Append(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func nextEvent(t testing.TB, s *store.Store) *builder.EventLease {
	t.Helper()
	l, err := s.NextEvent(within(t, 5*time.Second), "dispatcher")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ClaimHome(ctx, l); err != nil {
		t.Fatal(err)
	}
	return l
}

// enqueue takes an event through the inbox to the builds of the given ids.
func enqueue(t testing.TB, s *store.Store, e builder.Event, ids ...string) {
	t.Helper()
	accept(t, s, e)
	l := nextEvent(t, s)
	if l.Event.ID != e.ID {
		t.Fatalf("event %s came before %s", l.Event.ID, e.ID)
	}
	var d builder.Decision
	for _, id := range ids {
		d.Builds = append(d.Builds, planned(id, l.Event))
	}
	if err := s.Decide(ctx, l, d); err != nil {
		t.Fatal(err)
	}
}

func claim(t testing.TB, s *store.Store, worker, want string) *builder.Lease {
	t.Helper()
	l := s.TryClaim(t, worker)
	if l == nil {
		t.Fatalf("%s claims nothing, want %s", worker, want)
	}
	if l.ID != want {
		t.Fatalf("%s claims %s, want %s", worker, l.ID, want)
	}
	return l
}

func claimNothing(t testing.TB, s *store.Store) {
	t.Helper()
	if l := s.TryClaim(t, "idle"); l != nil {
		t.Fatalf("claimed %s, want nothing", l.ID)
	}
}

func finish(t testing.TB, s *store.Store, l *builder.Lease, state builder.State) {
	t.Helper()
	if err := s.Finish(ctx, l, state, builder.Result{}); err != nil {
		t.Fatal(err)
	}
}

func record(t testing.TB, s *store.Store, id string) builder.Record {
	t.Helper()
	r, err := s.Build(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantState(t testing.TB, s *store.Store, id string, want builder.State) {
	t.Helper()
	if got := record(t, s, id).State; got != want {
		t.Errorf("build %s is %s, want %s", id, got, want)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(ctx, d)
	t.Cleanup(cancel)
	return c
}

// effects takes what is due out of the outbox, without waiting.
func effects(t testing.TB, s *store.Store) []string {
	t.Helper()
	var names []string
	for {
		e := s.TryEffect(t)
		if e == nil {
			return names
		}
		names = append(names, strings.TrimSuffix(fmt.Sprintf("%s %s %s", e.Kind, e.ID, e.Trigger), " "))
		if err := s.Done(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
