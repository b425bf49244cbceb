package builder_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

// twoSides is a forge's repositories on one side and what was accepted of
// them on the other.
type twoSides struct {
	mu     sync.Mutex
	active []builder.Repository
	refs   map[string]map[string]string // repository key -> ref -> commit
	heads  map[string]map[string]string
	seeded map[string]bool
	ids    map[string]bool
	events []builder.Event
	asked  map[string]int
	broken map[string]error // of Refs
	down   bool             // the store
}

func newTwoSides(names ...string) *twoSides {
	s := &twoSides{refs: map[string]map[string]string{}, heads: map[string]map[string]string{}, seeded: map[string]bool{},
		ids: map[string]bool{}, asked: map[string]int{}, broken: map[string]error{}}
	for i, name := range names {
		repo := builder.Repository{Forge: "github", ID: fmt.Sprint(i + 1), Owner: "acme", Name: name, DefaultBranch: "main"}
		s.active = append(s.active, repo)
		s.refs[repo.Key()] = map[string]string{"refs/heads/main": "a1"}
		s.heads[repo.Key()] = map[string]string{}
	}
	return s
}

func (s *twoSides) ActiveRepositories(context.Context, time.Time) ([]builder.Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, builder.ErrUnavailable
	}
	return append([]builder.Repository{}, s.active...), nil
}

func (s *twoSides) AcceptedHeads(_ context.Context, key string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.heads[key]), nil
}

func (s *twoSides) SeedHeads(_ context.Context, key string, heads map[string]string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seeded[key] {
		return false, nil
	}
	s.seeded[key] = true
	for ref, commit := range heads {
		if s.heads[key][ref] == "" {
			s.heads[key][ref] = commit
		}
	}
	return true, nil
}

func (s *twoSides) Refs(_ context.Context, repo builder.Repository) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[repo.Name]++
	if err := s.broken[repo.Name]; err != nil {
		return nil, err
	}
	return maps.Clone(s.refs[repo.Key()]), nil
}

func (s *twoSides) Append(_ context.Context, e builder.Event) (builder.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[e.ID] {
		return builder.Receipt{Duplicate: true}, nil
	}
	s.ids[e.ID] = true
	s.events = append(s.events, e)
	s.moved(s.heads, e.Repository.Key(), e.Ref, e.Commit)
	return builder.Receipt{Seq: int64(len(s.events))}, nil
}

func (s *twoSides) moved(side map[string]map[string]string, key, ref, commit string) {
	if side[key][ref] = commit; commit == "" {
		delete(side[key], ref)
	}
}

// push moves a ref at the forge; told says that its event arrives as well.
func (s *twoSides) push(ref, commit string, told bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved(s.refs, "github:1", ref, commit)
	if told {
		s.moved(s.heads, "github:1", ref, commit)
	}
}

// made lists the events as "kind ref before..commit".
func (s *twoSides) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.events {
		out = append(out, fmt.Sprintf("%s %s %s..%s", e.Kind, e.Ref, e.Before, e.Commit))
	}
	return out
}

// reconciling runs a Reconciler over both sides while story goes on, in
// synctest's time.
func reconciling(t *testing.T, s *twoSides, story func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &builder.Reconciler{Heads: s, Refs: s, Events: s, Forges: []string{"github"}, Log: slog.New(slog.DiscardHandler)}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait() // the first round
		story()
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestReconciler(t *testing.T) {
	for _, test := range []struct {
		name  string
		story func(s *twoSides)
		want  []string
	}{
		{name: "what was there before is not built", story: func(*twoSides) { time.Sleep(time.Hour) }},
		{
			name: "four tags in one push, which GitHub does not tell",
			story: func(s *twoSides) {
				for i := range 4 {
					s.push(fmt.Sprint("refs/tags/v", i), "a1", false)
				}
				time.Sleep(6 * time.Minute)
			},
			want: []string{"tag_pushed refs/tags/v0 ..a1", "tag_pushed refs/tags/v1 ..a1", "tag_pushed refs/tags/v2 ..a1", "tag_pushed refs/tags/v3 ..a1"},
		},
		{
			name: "a branch that moved, and two that are gone",
			story: func(s *twoSides) {
				s.push("refs/heads/old", "a0", true)
				s.push("refs/tags/old", "a0", true)
				s.push("refs/heads/main", "a2", false)
				s.push("refs/heads/old", "", false)
				s.push("refs/tags/old", "", false)
				time.Sleep(6 * time.Minute)
			},
			want: []string{"branch_pushed refs/heads/main a1..a2", "branch_deleted refs/heads/old a0..", "tag_deleted refs/tags/old a0.."},
		},
		{
			name: "the same move twice",
			story: func(s *twoSides) {
				for _, commit := range []string{"a2", "a1", "a2"} {
					s.push("refs/heads/main", commit, false)
					time.Sleep(6 * time.Minute)
				}
			},
			want: []string{"branch_pushed refs/heads/main a1..a2", "branch_pushed refs/heads/main a2..a1", "branch_pushed refs/heads/main a1..a2"},
		},
		{
			name: "a delivery on its way is not overtaken",
			story: func(s *twoSides) {
				time.Sleep(5*time.Minute - time.Second)
				s.push("refs/heads/main", "a2", false)
				time.Sleep(20 * time.Second) // the round has seen it
				s.push("refs/heads/main", "a2", true)
				time.Sleep(time.Hour)
			},
		},
		{
			name: "a ref that goes on moving waits for its own half minute",
			story: func(s *twoSides) {
				time.Sleep(5*time.Minute - time.Second)
				s.push("refs/heads/main", "a2", false)
				time.Sleep(20 * time.Second)
				s.push("refs/heads/main", "a3", false)
				time.Sleep(6 * time.Minute)
			},
			want: []string{"branch_pushed refs/heads/main a1..a3"},
		},
		{
			name: "what is no push",
			story: func(s *twoSides) {
				s.push("refs/heads/gh-readonly-queue/main/pr-1-a1", "q1", false)
				s.push("refs/pull/1/head", "p1", false)
				s.push("refs/notes/commits", "n1", false)
				time.Sleep(time.Hour)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTwoSides("shop")
			reconciling(t, s, func() { test.story(s) })
			if diff := cmp.Diff(test.want, s.made()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReconcilerEvent(t *testing.T) {
	s := newTwoSides("shop")
	reconciling(t, s, func() {
		s.push("refs/heads/main", "a2", false)
		time.Sleep(6 * time.Minute)
	})
	if len(s.events) != 1 {
		t.Fatalf("%d events; want 1", len(s.events))
	}
	e := s.events[0]
	if diff := cmp.Diff(s.active[0], e.Repository); diff != "" {
		t.Errorf("repository (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(e.ID, "github:missed-") || !strings.HasSuffix(e.ID, ":refs/heads/main") {
		t.Errorf("ID %s; want github:missed-…:refs/heads/main", e.ID)
	}
}

// The head that an event told stays at the first sight, so what has moved
// since then is built.
func TestReconcilerSeedsAroundEvents(t *testing.T) {
	s := newTwoSides("shop")
	s.heads["github:1"]["refs/heads/main"] = "a0"
	s.refs["github:1"]["refs/heads/old"] = "z9"
	reconciling(t, s, func() { time.Sleep(11 * time.Minute) })
	if diff := cmp.Diff([]string{"branch_pushed refs/heads/main a0..a1"}, s.made()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReconcilerGoesOn(t *testing.T) {
	for _, test := range []struct {
		name   string
		broken error
		asked  int // times for the broken one, in the first round
	}{
		{"after a repository that is broken", errors.New("no route to host"), 1},
		{"after one that is gone", builder.ErrNotFound, 1},
		{"after a limit's wait", fmt.Errorf("token: %w", builder.Later{Wait: time.Minute, Reason: "limit"}), 2},
		{"past a limit that is hours away", builder.Later{Wait: time.Hour, Reason: "limit"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTwoSides("broken", "shop")
			s.broken["broken"] = test.broken
			asked := 0
			reconciling(t, s, func() {
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				s.mu.Lock()
				defer s.mu.Unlock()
				asked = s.asked["broken"]
			})
			if !s.seeded["github:2"] {
				t.Error("the other repository was left out")
			}
			if asked != test.asked {
				t.Errorf("the broken one was asked %d times; want %d", asked, test.asked)
			}
		})
	}
}

// Only the repositories with differences are looked at again in half a minute.
func TestReconcilerLooksAgainWhereItMatters(t *testing.T) {
	s := newTwoSides("shop", "quiet")
	s.active = append(s.active, builder.Repository{Forge: "git", ID: "acme/local", Owner: "acme", Name: "local"})
	reconciling(t, s, func() {
		s.push("refs/heads/main", "a2", false)
		time.Sleep(6 * time.Minute)
	})
	if want := map[string]int{"shop": 3, "quiet": 2}; !cmp.Equal(want, s.asked) {
		t.Errorf("asked %v; want %v", s.asked, want)
	}
}

func TestReconcilerOutlastsTheStore(t *testing.T) {
	s := newTwoSides("shop")
	s.down = true
	reconciling(t, s, func() {
		time.Sleep(time.Minute)
		s.mu.Lock()
		s.down = false
		s.mu.Unlock()
		time.Sleep(5 * time.Minute)
	})
	if !s.seeded["github:1"] {
		t.Error("nothing was compared after the store came back")
	}
}

func TestSeed(t *testing.T) {
	s := newTwoSides("shop")
	s.refs["github:1"]["refs/heads/gh-readonly-queue/main/pr-1"] = "q1"
	r := &builder.Reconciler{Heads: s, Refs: s, Events: s, Log: slog.New(slog.DiscardHandler)}
	if err := r.Seed(t.Context(), s.active[0]); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"refs/heads/main": "a1"}; !cmp.Equal(want, s.heads["github:1"]) {
		t.Errorf("heads %v; want %v", s.heads["github:1"], want)
	}
	s.broken["shop"] = builder.ErrNotFound
	if err := r.Seed(t.Context(), s.active[0]); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("of one that is gone: %v; want ErrNotFound", err)
	}
}
