package builder_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

var watchedRepo = builder.Repository{Forge: "gitlab", ID: "7", Owner: "acme/platform", Name: "shop", DefaultBranch: "main"}

// watchedForge is a forge with one repository that can be asked.
type watchedForge struct {
	mu       sync.Mutex
	refs     map[string]string
	pulls    map[int]builder.Pull // open and ended ones
	comments []builder.Event
	written  []time.Time // of comments
	since    []time.Time // asked for comments
	broken   map[string]error
}

func (f *watchedForge) Refs(context.Context, builder.Repository) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refs, nil
}

func (f *watchedForge) OpenPulls(context.Context, builder.Repository) ([]builder.Pull, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var open []builder.Pull
	for _, p := range f.pulls {
		if p.Open {
			open = append(open, p)
		}
	}
	return open, f.broken["open"]
}

func (f *watchedForge) Comments(_ context.Context, _ builder.Repository, since time.Time) ([]builder.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = append(f.since, since)
	var newer []builder.Event
	for i, e := range f.comments {
		if f.written[i].After(since) {
			newer = append(newer, e)
		}
	}
	return newer, f.broken["comments"]
}

func (f *watchedForge) Pull(_ context.Context, _ builder.Repository, number int) (builder.Pull, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pulls[number]
	if !ok {
		return p, builder.ErrNotFound
	}
	return p, f.broken["pull"]
}

func (f *watchedForge) Permission(context.Context, builder.Repository, string) (builder.Permission, error) {
	return builder.PermissionNone, nil
}

func (f *watchedForge) Protected(context.Context, builder.Repository, string) (bool, error) {
	return false, nil
}

// watched is a Reconciler over a real store and a forge that is polled.
type watched struct {
	*builder.Reconciler
	forge *watchedForge
	store *store.Store
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	s := storetest.New(t, store.Options{})
	f := &watchedForge{refs: map[string]string{"refs/heads/main": "a1"}, pulls: map[int]builder.Pull{}, broken: map[string]error{}}
	w := &watched{forge: f, store: s, Reconciler: &builder.Reconciler{
		Heads: s, Refs: f, Events: s, Forges: []string{"gitlab"}, Grace: -1, Active: -1, Log: slog.New(slog.DiscardHandler),
		Watchers: map[string]builder.Watcher{"gitlab": f}, Pulls: map[string]builder.Forge{"gitlab": f}, Looks: s,
		Read: func(c builder.Command) (builder.Command, bool) {
			read, ok := builder.ParseCommand(strings.TrimSpace(c.Body))
			read.Source, read.Pull, read.Comment = c.Source, c.Pull, c.Comment
			return read, ok
		},
	}}
	// Being let in makes the repository known.
	w.append(t, builder.Event{ID: "gitlab:in", Kind: builder.Installation, Repository: watchedRepo})
	w.taken(t)
	return w
}

func (w *watched) append(t *testing.T, e builder.Event) {
	t.Helper()
	if _, err := w.store.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// taken decides all events that wait, and lists them.
func (w *watched) taken(t *testing.T) []builder.Event {
	t.Helper()
	// The end of what waits, and no other way to see it.
	w.append(t, builder.Event{ID: fmt.Sprint("gitlab:end-", time.Now().UnixNano()), Kind: builder.Requested, Repository: watchedRepo, Request: &builder.Request{}})
	var events []builder.Event
	for {
		l, err := w.store.NextEvent(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.store.Decide(t.Context(), l, builder.Decision{}); err != nil {
			t.Fatal(err)
		}
		if l.Event.Kind == builder.Requested {
			return events
		}
		events = append(events, l.Event)
	}
}

// round compares once and lists what came of it: "kind ref before..commit",
// with the pull request's state or the command.
func (w *watched) round(t *testing.T) []string {
	t.Helper()
	if again := w.Round(t.Context()); len(again) > 0 {
		t.Errorf("to be seen again: %v", again)
	}
	var told []string
	for _, e := range w.taken(t) {
		line := fmt.Sprintf("%s %s %s..%s", e.Kind, e.Ref, e.Before, e.Commit)
		if e.Pull != nil {
			line += fmt.Sprintf(" !%d open=%t merged=%t by %s", e.Pull.Number, e.Pull.Open, e.Pull.Merged, e.Pull.Author)
		}
		if e.Command != nil {
			line = fmt.Sprintf("%s %s %s !%d by %s", e.Kind, e.ID, e.Command.Name, e.Command.Pull, e.Actor)
		}
		told = append(told, line)
	}
	return told
}

func (w *watched) pull(number int, head string, change func(*builder.Pull)) {
	w.forge.mu.Lock()
	defer w.forge.mu.Unlock()
	p := builder.Pull{Number: number, Author: "ann", HeadBranch: "topic", Head: head, BaseBranch: "main", Open: true}
	if change != nil {
		change(&p)
	}
	w.forge.pulls[number] = p
}

func (w *watched) comment(id, body string, at time.Time) builder.Event {
	e := builder.Event{ID: "gitlab:note-" + id, Kind: builder.Commanded, Repository: watchedRepo, Actor: "ann",
		Command: &builder.Command{Source: builder.FromComment, Pull: 1, Comment: id, Body: body}}
	w.forge.mu.Lock()
	defer w.forge.mu.Unlock()
	w.forge.comments, w.forge.written = append(w.forge.comments, e), append(w.forge.written, at)
	return e
}

func closed(merged bool) func(*builder.Pull) {
	return func(p *builder.Pull) { p.Open, p.Merged = false, merged }
}

func TestReconcilerPulls(t *testing.T) {
	for _, tt := range []struct {
		name  string
		story func(t *testing.T, w *watched) // after the first round, with pull request 1 open at p1
		want  []string                       // of the rounds after that
	}{
		{"what was open before is not built", func(*testing.T, *watched) {}, nil},
		{"opened", func(_ *testing.T, w *watched) { w.pull(2, "q1", nil) }, []string{"pull_changed refs/pull/2/head ..q1 !2 open=true merged=false by ann"}},
		{"pushed", func(_ *testing.T, w *watched) { w.pull(1, "p2", nil) }, []string{"pull_changed refs/pull/1/head p1..p2 !1 open=true merged=false by ann"}},
		{"merged", func(_ *testing.T, w *watched) { w.pull(1, "p2", closed(true)) }, []string{"pull_closed refs/pull/1/head ..p2 !1 open=false merged=true by ann"}},
		{"closed", func(_ *testing.T, w *watched) { w.pull(1, "p1", closed(false)) }, []string{"pull_closed refs/pull/1/head ..p1 !1 open=false merged=false by ann"}},
		{"deleted", func(_ *testing.T, w *watched) { delete(w.forge.pulls, 1) }, []string{"pull_closed refs/pull/1/head ..p1 !1 open=false merged=false by "}},
		{"closed, and nobody may be asked", func(_ *testing.T, w *watched) { w.Pulls = nil; delete(w.forge.pulls, 1) }, []string{"pull_closed refs/pull/1/head ..p1 !1 open=false merged=false by "}},
		{"opened and closed between two looks", func(_ *testing.T, w *watched) { w.pull(2, "q1", closed(false)) }, nil},
		{"opened without a commit", func(_ *testing.T, w *watched) { w.pull(2, "", nil) }, nil},
		{"its branch is gone", func(_ *testing.T, w *watched) { w.pull(1, "", nil) }, nil},
		{"a branch and a pull request", func(_ *testing.T, w *watched) {
			w.pull(1, "p2", nil)
			w.forge.refs = map[string]string{"refs/heads/main": "a2", "refs/heads/topic": "p2"}
		}, []string{"branch_pushed refs/heads/main a1..a2", "branch_pushed refs/heads/topic ..p2", "pull_changed refs/pull/1/head p1..p2 !1 open=true merged=false by ann"}},
		{"told in time", func(t *testing.T, w *watched) {
			w.pull(1, "p2", nil)
			w.append(t, builder.Event{ID: "gitlab:d:refs/pull/1/head", Kind: builder.PullChanged, Repository: watchedRepo, Ref: "refs/pull/1/head", Commit: "p2", Pull: &builder.Pull{Number: 1, Head: "p2", Open: true}})
			w.taken(t)
		}, nil},
		{"there are none any more", func(_ *testing.T, w *watched) {
			w.forge.broken["open"] = builder.ErrNotFound
			w.forge.pulls = nil
			w.forge.refs = map[string]string{"refs/heads/main": "a2"}
		}, []string{"branch_pushed refs/heads/main a1..a2"}},
		{"the forge is away", func(_ *testing.T, w *watched) {
			w.forge.broken["open"] = errors.New("no route to host")
			w.forge.pulls = nil
		}, nil},
		{"the forge is away when asked how it ended", func(_ *testing.T, w *watched) {
			w.forge.broken["pull"] = errors.New("no route to host")
			w.pull(1, "p1", closed(true))
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatched(t)
			w.pull(1, "p1", nil)
			if first := w.round(t); len(first) > 0 {
				t.Errorf("the first round: %q", first)
			}
			tt.story(t, w)
			told := append(w.round(t), w.round(t)...) // once is enough
			if diff := cmp.Diff(tt.want, told); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// The same move is told again when it is made again, and once by several
// processes.
func TestReconcilerPullsBackAndForth(t *testing.T) {
	w := newWatched(t)
	w.pull(1, "p1", nil)
	w.round(t)
	var told []string
	for _, head := range []string{"p2", "p1", "p2"} {
		w.pull(1, head, nil)
		told = append(told, w.round(t)...)
	}
	for _, open := range []bool{false, true} {
		w.pull(1, "p2", func(p *builder.Pull) { p.Open = open })
		told = append(told, w.round(t)...)
	}
	var moves []string
	for _, line := range told {
		moves = append(moves, strings.Join(strings.Fields(line)[:3], " "))
	}
	want := []string{"pull_changed refs/pull/1/head p1..p2", "pull_changed refs/pull/1/head p2..p1", "pull_changed refs/pull/1/head p1..p2",
		"pull_closed refs/pull/1/head ..p2", "pull_changed refs/pull/1/head ..p2"}
	if diff := cmp.Diff(want, moves); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReconcilerComments(t *testing.T) {
	now := time.Now()
	w := newWatched(t)
	w.comment("1", "/build old", now.Add(-time.Hour))
	if told := w.round(t); len(told) > 0 {
		t.Errorf("at the first sight: %q", told)
	}
	w.comment("2", "/build api", now.Add(time.Second))
	w.comment("3", "thanks", now.Add(time.Second))
	w.append(t, w.comment("4", "/rebuild", now.Add(time.Second)))
	w.taken(t)
	want := []string{"commanded gitlab:note-2 build !1 by ann"}
	if diff := cmp.Diff(want, append(w.round(t), w.round(t)...)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	w.forge.broken["comments"] = builder.Later{Wait: time.Hour, Reason: "limit"}
	w.comment("5", "/cancel", now.Add(time.Second))
	if told := w.round(t); len(told) > 0 {
		t.Errorf("at the limit: %q", told)
	}
	delete(w.forge.broken, "comments")
	if diff := cmp.Diff([]string{"commanded gitlab:note-5 cancel !1 by ann"}, w.round(t)); diff != "" {
		t.Errorf("after the limit (-want +got):\n%s", diff)
	}
	// What was let in again starts afresh.
	w.append(t, builder.Event{ID: "gitlab:out", Kind: builder.Installation, Repository: watchedRepo, Withdrawn: true})
	l, err := w.store.NextEvent(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Decide(t.Context(), l, builder.Decision{StopAll: "shut out"}); err != nil {
		t.Fatal(err)
	}
	w.comment("6", "/pause", now)
	if err := w.Seed(t.Context(), watchedRepo); err != nil {
		t.Fatal(err)
	}
	if at, err := w.store.Looked(t.Context(), watchedRepo.Key()); err != nil || at.Before(now.Truncate(time.Millisecond)) {
		t.Errorf("after it was let in again comments are read since %v, %v", at, err)
	}
}

// Looks overlap, and go no further back than events are known.
func TestReconcilerLooks(t *testing.T) {
	w := newWatched(t)
	day := 24 * time.Hour
	for _, tt := range []struct {
		name      string
		last, ago time.Duration
		next      time.Duration // before now: where the look after this begins
	}{
		{"a look a moment ago", time.Second, time.Second, time.Second},
		{"a look five minutes ago", 5 * time.Minute, 5 * time.Minute, 2 * time.Minute},
		{"a look a month ago", 30 * day, 3 * day, 2 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			if err := w.store.SetLooked(t.Context(), watchedRepo.Key(), now.Add(-tt.last)); err != nil {
				t.Fatal(err)
			}
			w.forge.since = nil
			w.round(t)
			near := func(got time.Time, ago time.Duration) bool { return got.Sub(now.Add(-ago)).Abs() < time.Second/2 }
			if len(w.forge.since) != 1 || !near(w.forge.since[0], tt.ago) {
				t.Errorf("asked since %v at %v", w.forge.since, now)
			}
			if next, err := w.store.Looked(t.Context(), watchedRepo.Key()); err != nil || !near(next, tt.next) {
				t.Errorf("next since %v, %v, at %v", next, err, now)
			}
		})
	}
}

// A delivery on its way is not overtaken: a pull request that moved is looked
// at again before it is told, and comments follow what they are about.
func TestReconcilerPullsWait(t *testing.T) {
	w := newWatched(t)
	w.Grace = time.Hour
	w.pull(1, "p1", nil)
	w.round(t)
	w.pull(1, "p2", nil)
	w.comment("7", "/why", time.Now().Add(time.Second))
	if again := w.Round(t.Context()); !slices.Equal(again, []builder.Repository{watchedRepo}) {
		t.Errorf("to be seen again: %v", again)
	}
	if told := w.taken(t); len(told) > 0 {
		t.Errorf("told at once: %v", told)
	}
	w.Grace = time.Nanosecond
	if diff := cmp.Diff([]string{"pull_changed refs/pull/1/head p1..p2 !1 open=true merged=false by ann", "commanded gitlab:note-7 why !1 by ann"}, w.round(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSeedPulls(t *testing.T) {
	w := newWatched(t)
	w.pull(1, "p1", nil)
	w.pull(2, "p2", closed(true))
	if err := w.Seed(t.Context(), watchedRepo); err != nil {
		t.Fatal(err)
	}
	heads, err := w.store.AcceptedHeads(t.Context(), watchedRepo.Key())
	if diff := cmp.Diff(map[string]string{"refs/heads/main": "a1", "refs/pull/1/head": "p1"}, heads); diff != "" || err != nil {
		t.Errorf("%v, heads (-want +got):\n%s", err, diff)
	}
	w.forge.broken["open"] = errors.New("no route to host")
	if err := w.Seed(t.Context(), watchedRepo); err == nil {
		t.Error("seeded without knowing the pull requests")
	}
}
