package builder_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
)

// courier runs one until the test ends.
func (l *lab) courier(ctx context.Context) {
	c := &builder.Courier{Outbox: l.store, Records: l.store, Told: l.store, Reporters: map[string]builder.Reporter{"git": l},
		Triggers: labTriggers{l}, Name: "courier", Parallel: 1, Log: slog.New(slog.DiscardHandler)}
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); c.Run(run) }()
	l.t.Cleanup(func() { stop(); <-done })
}

// report waits for a report of the context in the state.
func (l *lab) report(context string, state builder.ReportState) builder.Report {
	l.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case r := <-l.reported:
			if r.Context == context && r.State == state {
				return r
			}
		case <-limit:
			l.t.Fatalf("no report %s %s; had %v", context, state, l.reports)
		}
	}
}

func TestReports(t *testing.T) {
	l := newLab(t, store.Options{})
	l.courier(t.Context())
	l.commit("c1", "", "one")
	id := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	if r := l.report("registry-build/hello", builder.StatusPending); !strings.HasPrefix(r.Description, "queued") {
		t.Errorf("first report %q; want queued", r.Description)
	}
	l.work(t.Context(), id)
	if r := l.report("registry-build/hello", builder.StatusSuccess); !strings.HasPrefix(r.Description, "pushed latest") {
		t.Errorf("last report %q; want pushed latest", r.Description)
	}
	if r := l.report("registry-build", builder.StatusSuccess); r.Description != "1 image built" || r.Commit != "c1" {
		t.Errorf("aggregate %q of %s; want 1 image built of c1", r.Description, r.Commit)
	}
}

func TestReportsOfEventsWithoutBuilds(t *testing.T) {
	for _, test := range []struct {
		name, file, ref string
		state           builder.ReportState
		text            string
	}{
		{"a broken build file, at its line", "version: 1\nimges: []\n", "refs/heads/main", builder.StatusError, `.registry-build.yml:2:1: unknown key "imges"; did you mean "images"?`},
		{"no rule matches", labFile, "refs/heads/other", builder.StatusSuccess, "nothing to build: no rule matches branch other"},
		{"an image that may not be pushed there", "version: 1\nimages:\n  - repository: evil/other\n", "refs/heads/main", builder.StatusError, "hello: image hello may not be pushed to evil/other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, store.Options{})
			l.courier(t.Context())
			l.commit("c1", "", "one")
			l.commits["c1"][".registry-build.yml"] = test.file
			l.push(t.Context(), test.ref, "", "c1")
			if r := l.report("registry-build", test.state); !strings.HasPrefix(r.Description, test.text) {
				t.Errorf("reported %q; want %q", r.Description, test.text)
			}
		})
	}
}

// A build file that is not there is a hint for the pusher, and nothing that a
// commit should be marked with.
func TestHintIsNoStatus(t *testing.T) {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "one")
	delete(l.commits["c1"], ".registry-build.yml")
	if d := l.push(t.Context(), "refs/heads/main", "", "c1"); d.Hint == "" || len(d.Builds) != 0 {
		t.Fatalf("decision %+v; want a hint and no build", d)
	}
	l.commit("c2", "c1", "two")
	l.courier(t.Context())
	l.push(t.Context(), "refs/heads/main", "c1", "c2")
	l.report("registry-build/hello", builder.StatusPending)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reports {
		if r.Commit == "c1" {
			t.Errorf("c1 was marked: %+v", r)
		}
	}
}

func TestTriggersAreRetriedUntilDone(t *testing.T) {
	l := newLab(t, store.Options{})
	l.due = []string{"audit"}
	var attempts atomic.Int32
	fired := make(chan struct{})
	l.fire = func(f builder.Firing) builder.TriggerRun {
		n := attempts.Add(1)
		run := builder.TriggerRun{BuildID: f.Record.ID, Trigger: f.Trigger, State: "waiting", Attempts: int(n), Retry: time.Millisecond}
		if n == 3 {
			run.State, run.Retry = "succeeded", 0
			close(fired)
		}
		return run
	}
	l.commit("c1", "", "one")
	id := l.push(t.Context(), "refs/heads/main", "", "c1").Builds[0].ID
	l.courier(t.Context())
	l.work(t.Context(), id)
	<-fired
	deadline := time.Now().Add(10 * time.Second)
	for {
		runs, err := l.store.TriggerRuns(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) == 1 && runs[0].State == "succeeded" && runs[0].Attempts == 3 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("runs %+v; want one, succeeded at attempt 3", runs)
		}
	}
}
