package store_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

var longAgo = time.Unix(0, 0)

func heads(t testing.TB, s *store.Store, repo string) map[string]string {
	t.Helper()
	h, err := s.AcceptedHeads(ctx, repo)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRepositoryIsAsItsLastEventSays(t *testing.T) {
	full := builder.Repository{Forge: "github", ID: "7", Owner: "acme", Name: "old", DefaultBranch: "main", Installation: "1"}
	renamed := full
	renamed.Owner, renamed.Name, renamed.Installation = "umbrella", "new", "2"
	sparse := builder.Repository{Forge: "github", ID: "7", Owner: "acme", Name: "new/er"} // as installation events tell
	filled := sparse
	filled.DefaultBranch, filled.Installation = "main", "1"
	tests := map[string]struct {
		events []builder.Repository
		want   builder.Repository
	}{
		"one":                  {[]builder.Repository{full}, full},
		"renamed, transferred": {[]builder.Repository{full, renamed}, renamed},
		"said in part":         {[]builder.Repository{full, sparse}, filled},
		"first in part":        {[]builder.Repository{sparse, full}, full},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := storetest.New(t, store.Options{})
			for i, r := range tt.events {
				accept(t, s, builder.Event{ID: fmt.Sprint(i), Kind: builder.BranchPushed, Repository: r, Ref: "refs/heads/main", Commit: "c"})
			}
			accept(t, s, builder.Event{ID: "0", Kind: builder.BranchPushed, Repository: tt.events[0]}) // delivered again
			got, err := s.Repository(ctx, "github:7")
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestActiveRepositories(t *testing.T) {
	s := storetest.New(t, store.Options{})
	for _, name := range []string{"a", "b", "c"} {
		decided(t, s, pushed("e-"+name, name, "refs/heads/main", "c"), builder.Decision{})
	}
	now := time.Now()
	active := func(since time.Time) []string {
		t.Helper()
		repos, err := s.ActiveRepositories(ctx, since)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range repos {
			names = append(names, r.Name)
		}
		return names
	}
	s.ActiveAt(t, "git:acme/a", now.Add(-2*time.Hour))
	s.ActiveAt(t, "git:acme/b", now.Add(-time.Hour))
	if diff := cmp.Diff([]string{"c", "b"}, active(now.Add(-90*time.Minute))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	decided(t, s, pushed("e2", "a", "refs/heads/main", "c2"), builder.Decision{})
	if got := active(now.Add(-time.Minute)); len(got) == 0 || got[0] != "a" {
		t.Errorf("%q, a was the last", got)
	}
	if got := active(now.Add(time.Hour)); got != nil {
		t.Errorf("%q in an hour", got)
	}
}

func TestManyActiveRepositories(t *testing.T) {
	s := storetest.New(t, store.Options{})
	for i := range 1100 {
		e := pushed(fmt.Sprint("e", i), fmt.Sprint("r", i), "refs/heads/main", "c")
		accept(t, s, e)
		s.ActiveAt(t, e.Repository.Key(), time.Now())
	}
	if repos, err := s.ActiveRepositories(ctx, longAgo); err != nil || len(repos) != 1100 {
		t.Errorf("%d, %v", len(repos), err)
	}
}

// Only what moves a branch, a tag or a pull request moves an accepted head, and
// only its own.
func TestAcceptedHeadsAreOfPushes(t *testing.T) {
	s := storetest.New(t, store.Options{})
	accept(t, s, pushed("e1", "a", "refs/heads/main", "c1"))
	for i, kind := range []builder.EventKind{
		builder.MergeQueued, builder.Requested, builder.Commanded, builder.Installation, builder.PullChanged, builder.PullClosed,
	} {
		for _, ref := range []string{"refs/heads/main", "refs/heads/other", pull5} {
			e := builder.Event{ID: fmt.Sprint(i, ref), Kind: kind, Repository: repository("a"), Ref: ref, Commit: "c2"}
			if ref == pull5 && kind == builder.PullChanged {
				e.Request = &builder.Request{}
			}
			accept(t, s, e)
		}
	}
	if diff := cmp.Diff(map[string]string{"refs/heads/main": "c1"}, heads(t, s, "git:acme/a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A pull request has an accepted head while it is open.
func TestAcceptedHeadsOfPulls(t *testing.T) {
	s := storetest.New(t, store.Options{})
	for i, step := range []struct {
		kind   builder.EventKind
		commit string
		want   map[string]string
	}{
		{builder.PullChanged, "c1", map[string]string{pull5: "c1"}},
		{builder.PullChanged, "c2", map[string]string{pull5: "c2"}},
		{builder.PullChanged, "", map[string]string{pull5: "c2"}},
		{builder.PullClosed, "c2", map[string]string{}},
		{builder.PullChanged, "c2", map[string]string{pull5: "c2"}},
		{builder.PullClosed, "", map[string]string{}},
	} {
		accept(t, s, builder.Event{ID: fmt.Sprint(i), Kind: step.kind, Repository: repository("a"), Ref: pull5, Commit: step.commit})
		if diff := cmp.Diff(step.want, heads(t, s, "git:acme/a")); diff != "" {
			t.Errorf("after %d, %s (-want +got):\n%s", i, step.kind, diff)
		}
	}
}

// Comments are read from when we were let in, and again after we were shut out.
func TestLooks(t *testing.T) {
	s := storetest.New(t, store.Options{})
	looked := func(want time.Time) {
		t.Helper()
		if got, err := s.Looked(ctx, "git:acme/a"); err != nil || !got.Equal(want) {
			t.Errorf("looked %v, %v; want %v", got, err, want)
		}
	}
	looked(time.Time{})
	at := time.UnixMilli(1_700_000_000_123)
	for range 2 {
		if err := s.SetLooked(ctx, "git:acme/a", at); err != nil {
			t.Fatal(err)
		}
		looked(at)
		at = at.Add(-time.Hour)
	}
	decided(t, s, builder.Event{ID: "out", Kind: builder.Installation, Repository: repository("a"), Withdrawn: true}, builder.Decision{StopAll: "shut out"})
	looked(time.Time{})
}

func TestSeedHeads(t *testing.T) {
	const repo = "git:acme/a"
	s := storetest.New(t, store.Options{})
	accept(t, s, pushed("e1", "a", "refs/heads/main", "newer"))
	seed := func(h map[string]string, want bool) {
		t.Helper()
		if first, err := s.SeedHeads(ctx, repo, h); first != want || err != nil {
			t.Errorf("first %t, %v; want %t", first, err, want)
		}
	}
	seed(map[string]string{"refs/heads/main": "older", "refs/heads/x": "x1"}, true)
	want := map[string]string{"refs/heads/main": "newer", "refs/heads/x": "x1"}
	if diff := cmp.Diff(want, heads(t, s, repo)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	seed(map[string]string{"refs/heads/y": "y1"}, false)
	seed(nil, false)
	if diff := cmp.Diff(want, heads(t, s, repo)); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	if first, err := s.SeedHeads(ctx, "git:acme/empty", nil); !first || err != nil {
		t.Errorf("an empty repository: %t, %v", first, err)
	}
	if first, err := s.SeedHeads(ctx, "git:acme/empty", nil); first || err != nil {
		t.Errorf("an empty repository, again: %t, %v", first, err)
	}
}

func TestSeedManyHeads(t *testing.T) {
	for _, n := range []int{1, 499, 500, 501, 1000, 12_345} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := storetest.New(t, store.Options{})
			want := map[string]string{}
			for i := range n {
				want[fmt.Sprint("refs/tags/v", i)] = fmt.Sprintf("%040x", i)
			}
			if first, err := s.SeedHeads(ctx, "git:acme/a", want); !first || err != nil {
				t.Fatalf("first %t, %v", first, err)
			}
			if got := heads(t, s, "git:acme/a"); !maps.Equal(want, got) {
				t.Errorf("%d heads", len(got))
			}
			if first, err := s.SeedHeads(ctx, "git:acme/a", want); first || err != nil {
				t.Errorf("again: %t, %v", first, err)
			}
		})
	}
}

// Two processes hear of a repository while it is being pushed to.
func TestConcurrentSeeds(t *testing.T) {
	server := storetest.Start(t)
	stores := []*store.Store{server.Store(t, store.Options{}), server.Store(t, store.Options{})}
	before, want := map[string]string{}, map[string]string{}
	for i := range 2000 {
		ref := fmt.Sprint("refs/heads/b", i)
		before[ref], want[ref] = "before", "before"
	}
	var wg sync.WaitGroup
	firsts := make(chan bool, 4)
	for i := range 4 {
		wg.Go(func() {
			first, err := stores[i%2].SeedHeads(ctx, "git:acme/a", before)
			if err != nil {
				t.Error(err)
			}
			firsts <- first
		})
	}
	for i := range 50 {
		ref := fmt.Sprint("refs/heads/b", i*40)
		want[ref] = "pushed"
		wg.Go(func() {
			if _, err := stores[i%2].Append(ctx, pushed(ref, "a", ref, "pushed")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(firsts)
	n := 0
	for first := range firsts {
		if first {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d were the first", n)
	}
	if diff := cmp.Diff(want, heads(t, stores[0], "git:acme/a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
