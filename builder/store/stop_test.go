package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

const pull5 = "refs/pull/5/head"

func pullEvent(id string, kind builder.EventKind, repo, commit string) builder.Event {
	return builder.Event{ID: id, Kind: kind, Repository: repository(repo), Ref: pull5, Commit: commit,
		Pull: &builder.Pull{Number: 5, Head: commit, BaseBranch: "main"}}
}

// installed is a repository of GitHub's.
func installed(name, installation string) builder.Repository {
	r := repository(name)
	r.Forge, r.Installation = "github", installation
	return r
}

func wantStop(t testing.TB, s *store.Store, l *builder.Lease, reason string) {
	t.Helper()
	stop, err := s.Heartbeat(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	var want *builder.Stop
	if reason != "" {
		want = &builder.Stop{State: builder.Cancelled, Reason: reason}
	}
	if diff := cmp.Diff(want, stop); diff != "" {
		t.Errorf("stop of %s (-want +got):\n%s", l.ID, diff)
	}
}

func wantCancelled(t testing.TB, s *store.Store, id, reason string) {
	t.Helper()
	if r := record(t, s, id); r.State != builder.Cancelled || r.Reason != reason {
		t.Errorf("%s is %s %q, want cancelled %q", id, r.State, r.Reason, reason)
	}
}

// undecided accepts an event and leases it.
func undecided(t testing.TB, s *store.Store, e builder.Event) *builder.EventLease {
	t.Helper()
	accept(t, s, e)
	l := nextEvent(t, s)
	if l.Event.ID != e.ID {
		t.Fatalf("event %s came before %s", l.Event.ID, e.ID)
	}
	return l
}

func TestClosedPullStopsItsBuilds(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	enqueue(t, s, pullEvent("p1", builder.PullChanged, "a", "c1"), "running")
	enqueue(t, s, pullEvent("q1", builder.PullChanged, "b", "c1"), "elsewhere")
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c1"), "main")
	running, elsewhere, main := s.TryClaim(t, "w"), s.TryClaim(t, "w"), s.TryClaim(t, "w")
	enqueue(t, s, pullEvent("p2", builder.PullChanged, "a", "c2"), "queued")
	enqueue(t, s, pushed("e2", "a", "refs/heads/main", "c2"), "queued-main")
	effects(t, s)

	decided(t, s, pullEvent("p3", builder.PullClosed, "a", "c2"), builder.Decision{StopRef: pull5, Untag: 5})
	const why = "by the closing of pull request 5"
	wantCancelled(t, s, "queued", why)
	wantStop(t, s, running, why)
	wantStop(t, s, elsewhere, "")
	wantStop(t, s, main, "")
	wantState(t, s, "queued-main", builder.Queued)
	if want, got := []string{"build queued", "build running", "event p3", "untag p3"}, effects(t, s); !sameSet(got, want) {
		t.Errorf("effects %q, want %q", got, want)
	}
	finish(t, s, running, builder.Cancelled)
}

func TestSupersededByAPull(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pullEvent("p1", builder.PullChanged, "a", "c1"), "b1")
	enqueue(t, s, pullEvent("p2", builder.PullChanged, "a", "cccccccccc"), "b2")
	if r := record(t, s, "b1"); r.State != builder.Superseded || r.Reason != "by cccccc on pull request 5" {
		t.Errorf("%s %q", r.State, r.Reason)
	}
}

// known gives the repository all that a withdrawal forgets.
func known(t testing.TB, s *store.Store, r builder.Repository, id string) {
	t.Helper()
	e := builder.Event{ID: id + "-push", Kind: builder.BranchPushed, Repository: r, Ref: "refs/heads/main", Commit: "c1"}
	decided(t, s, e, builder.Decision{
		Head:    &builder.Position{Repository: r.Key(), Ref: e.Ref, Commit: "c1", Generation: 7},
		Approve: &builder.Approval{Ref: pull5, Commit: "c5", By: "ada"}, Pause: map[string]string{"": "ada"},
	})
	if first, err := s.SeedHeads(ctx, r.Key(), map[string]string{"refs/tags/v1": "c0"}); !first || err != nil {
		t.Fatalf("seed: %t, %v", first, err)
	}
	running := builder.Event{ID: id + "-running", Kind: builder.Requested, Repository: r, Ref: e.Ref, Commit: "c1"}
	enqueue(t, s, running, running.ID)
	claim(t, s, "w", running.ID) // a request goes before all pushes
	queued := builder.Event{ID: id + "-queued", Kind: builder.TagPushed, Repository: r, Ref: "refs/tags/v2", Commit: "c1"}
	enqueue(t, s, queued, queued.ID)
	effects(t, s)
}

// knows returns what is still known of a repository after a withdrawal.
func knows(t testing.TB, s *store.Store, r builder.Repository) []string {
	t.Helper()
	var what []string
	heads, err := s.AcceptedHeads(ctx, r.Key())
	if err != nil {
		t.Fatal(err)
	}
	if len(heads) > 0 {
		what = append(what, "heads")
	}
	active, err := s.ActiveRepositories(ctx, longAgo)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(active, func(a builder.Repository) bool { return a.Key() == r.Key() }) {
		what = append(what, "activity")
	}
	e := pullEvent(fmt.Sprint("ask-", next.Add(1)), builder.PullChanged, "", "c5")
	e.Repository = r
	l := undecided(t, s, e)
	if l.Approved != "" {
		what = append(what, "approval")
	}
	if len(l.Paused) > 0 {
		what = append(what, "pause")
	}
	if err := s.Decide(ctx, l, builder.Decision{}); err != nil {
		t.Fatal(err)
	}
	if first, err := s.SeedHeads(ctx, r.Key(), nil); err != nil {
		t.Fatal(err)
	} else if !first {
		what = append(what, "seeds")
	}
	return what
}

var everything = []string{"heads", "activity", "approval", "pause", "seeds"}

func withdrawal(id string, r builder.Repository) builder.Event {
	return builder.Event{ID: id, Kind: builder.Installation, Repository: r, Withdrawn: true}
}

func TestWithdrawnRepositoryStartsAfresh(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	a, b := installed("a", "1"), installed("b", "1")
	known(t, s, a, "a")
	known(t, s, b, "b")
	const why = "because the app was removed from acme/a"
	decided(t, s, withdrawal("w", a), builder.Decision{StopAll: why})
	wantCancelled(t, s, "a-queued", why)
	if stop := record(t, s, "a-running").Stop; stop == nil || stop.Reason != why {
		t.Errorf("the running build: %v", stop)
	}
	if want, got := []string{"build a-queued", "build a-running", "event w"}, effects(t, s); !sameSet(got, want) {
		t.Errorf("effects %q, want %q", got, want)
	}
	wantState(t, s, "b-queued", builder.Queued)
	if diff := cmp.Diff([]string(nil), knows(t, s, a)); diff != "" {
		t.Errorf("of the withdrawn one (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(everything, knows(t, s, b)); diff != "" {
		t.Errorf("of another one (-want +got):\n%s", diff)
	}
	// What was there stays on record, and generations go on counting.
	if r, err := s.Repository(ctx, a.Key()); err != nil || r.Name != "a" {
		t.Errorf("repository: %+v, %v", r, err)
	}
	back := undecided(t, s, builder.Event{ID: "back", Kind: builder.BranchPushed, Repository: a, Ref: "refs/heads/main", Commit: "c2"})
	if back.Head == nil || back.Head.Generation != 7 {
		t.Errorf("head %+v", back.Head)
	}
}

func TestWithdrawnInstallation(t *testing.T) {
	s := storetest.New(t, store.Options{PerRepository: 10})
	a, b, other, moved := installed("a", "1"), installed("b", "1"), installed("other", "2"), installed("moved", "1")
	elsewhere := installed("a", "1")
	elsewhere.Forge = "ghes"
	for id, r := range map[string]builder.Repository{"a": a, "b": b, "other": other, "elsewhere": elsewhere, "moved": moved} {
		known(t, s, r, id)
	}
	moved.Installation = "3" // installed again before the withdrawal is decided
	decided(t, s, builder.Event{ID: "m", Kind: builder.Installation, Repository: moved}, builder.Decision{})
	// An event of the installation itself names a repository that stands for all.
	all := builder.Repository{Forge: "github", ID: "installation-1", Owner: "acme", Name: "*", Installation: "1"}
	decided(t, s, withdrawal("w", all), builder.Decision{StopInstallation: "1"})
	for _, id := range []string{"a", "b"} {
		wantCancelled(t, s, id+"-queued", "by the removal of the app")
		if stop := record(t, s, id+"-running").Stop; stop == nil {
			t.Errorf("%s runs on", id)
		}
	}
	for _, id := range []string{"other", "elsewhere", "moved"} {
		wantState(t, s, id+"-queued", builder.Queued)
		if stop := record(t, s, id+"-running").Stop; stop != nil {
			t.Errorf("%s: %+v", id, stop)
		}
	}
	for id, r := range map[string]builder.Repository{"a": a, "b": b} {
		if got := knows(t, s, r); len(got) > 0 {
			t.Errorf("of %s is known: %q", id, got)
		}
	}
	for id, r := range map[string]builder.Repository{"other": other, "elsewhere": elsewhere, "moved": moved} {
		if diff := cmp.Diff(everything, knows(t, s, r)); diff != "" {
			t.Errorf("of %s (-want +got):\n%s", id, diff)
		}
	}
	active, err := s.ActiveRepositories(ctx, longAgo)
	if err != nil || slices.ContainsFunc(active, func(r builder.Repository) bool { return r.Name == "*" }) {
		t.Errorf("an installation is no repository: %v, %v", active, err)
	}
}

func TestWithdrawnInstallationOfManyRepositories(t *testing.T) {
	s := storetest.New(t, store.Options{})
	const many = 1300
	for i := range many {
		accept(t, s, builder.Event{ID: fmt.Sprint("e", i), Kind: builder.Installation, Repository: installed(fmt.Sprint("r", i), "1")})
	}
	stay := installed("stays", "2")
	accept(t, s, builder.Event{ID: "stays", Kind: builder.Installation, Repository: stay})
	for i := 0; ; i++ {
		l := nextEvent(t, s)
		d := builder.Decision{}
		if l.Event.ID == "stays" {
			d.StopInstallation = "1" // whatever event says so
		}
		if err := s.Decide(ctx, l, d); err != nil {
			t.Fatal(err)
		}
		if i == many {
			break
		}
	}
	active, err := s.ActiveRepositories(ctx, longAgo)
	if err != nil || len(active) > 0 {
		t.Errorf("%d are active, %v", len(active), err)
	}
}

func TestWithdrawalIsFenced(t *testing.T) {
	s := storetest.New(t, store.Options{})
	a := installed("a", "1")
	known(t, s, a, "a")
	all := builder.Repository{Forge: "github", ID: "installation-1", Name: "*", Installation: "1"}
	stale := undecided(t, s, withdrawal("w", all))
	store.ExpireEventLease(t, s, all.Key())
	fresh := nextEvent(t, s)
	if err := s.Decide(ctx, stale, builder.Decision{StopInstallation: "1"}); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("stale: %v", err)
	}
	wantState(t, s, "a-queued", builder.Queued)
	d := builder.Decision{StopInstallation: "1"}
	for range 2 { // the answer to the first was lost
		if err := s.Decide(ctx, fresh, d); err != nil {
			t.Fatal(err)
		}
	}
	wantState(t, s, "a-queued", builder.Cancelled)
}

// It was installed again between the look at the list and the withdrawal.
func TestWithdrawalSparesWhatCameBackMeanwhile(t *testing.T) {
	s := storetest.New(t, store.Options{})
	a := installed("a", "2")
	known(t, s, a, "a")
	l := undecided(t, s, withdrawal("w", builder.Repository{Forge: "github", ID: "installation-1", Installation: "1"}))
	s.WithdrawFound(t, l, "1", a.Key(), "github:unknown")
	wantState(t, s, "a-queued", builder.Queued)
	s.WithdrawFound(t, l, "2", a.Key())
	wantState(t, s, "a-queued", builder.Cancelled)
}
