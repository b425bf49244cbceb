package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// fired leaves a build that has ended with the triggers due, and nothing else.
func fired(t testing.TB, s *store.Store, id, repo string, triggers ...string) {
	t.Helper()
	enqueue(t, s, pushed("e"+id, repo, "refs/heads/main", "c"+id), id)
	l := claim(t, s, "w", id)
	if err := s.Finish(ctx, l, builder.Succeeded, builder.Result{}, triggers...); err != nil {
		t.Fatal(err)
	}
	reports(t, s)
}

// reports takes what is to be told, without waiting.
func reports(t testing.TB, s *store.Store) []string {
	t.Helper()
	var told []string
	for {
		e := s.TryEffect(t)
		if e == nil || e.Kind == builder.FireTrigger {
			if e != nil {
				if err := s.Retry(ctx, e, 0); err != nil {
					t.Fatal(err)
				}
			}
			return told
		}
		told = append(told, strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.ID, " ", e.Trigger)))
		if err := s.Done(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
}

func run(id, repo, trigger string, state builder.RunState) builder.TriggerRun {
	return builder.TriggerRun{BuildID: id, Repository: repository(repo), Trigger: trigger, State: state, Attempts: 1, StartedAt: time.Unix(1, 0).UTC()}
}

func settle(t testing.TB, s *store.Store, r builder.TriggerRun, tell builder.Telling) *builder.Effect {
	t.Helper()
	e := nextOf(t, s, builder.LaneTriggers)
	r.Trigger = e.Trigger
	if err := s.Settle(ctx, e, r, tell); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSettle(t *testing.T) {
	told := builder.Telling{When: builder.TellAgain, Commit: "cb1", Context: "registry-build/a: tell"}
	always := told
	always.When = builder.TellAlways
	cases := []struct {
		name   string
		state  builder.RunState
		retry  time.Duration
		tell   builder.Telling
		before bool // something was told of the trigger
		told   []string
		again  bool // the effect is there still
	}{
		{"over", builder.RunSucceeded, 0, builder.Telling{}, true, nil, false},
		{"over, and told", builder.RunFailed, 0, always, false, []string{"run b1 tell"}, false},
		{"over, and nothing was told before", builder.RunSucceeded, 0, told, false, nil, false},
		{"over, and something was told before", builder.RunSucceeded, 0, told, true, []string{"run b1 tell"}, false},
		{"waits", builder.RunWaiting, time.Hour, told, false, nil, true},
		{"is watched", builder.RunRunning, time.Hour, always, false, []string{"run b1 tell"}, true},
		{"has begun", builder.RunRunning, 0, always, false, []string{"run b1 tell"}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := storetest.New(t, store.Options{})
			fired(t, s, "b1", "a", "tell")
			if c.before {
				if _, err := s.PutStatus(ctx, builder.Report{Repository: repository("a"), Commit: told.Commit, Context: told.Context}); err != nil {
					t.Fatal(err)
				}
			}
			r := run("b1", "a", "tell", c.state)
			r.Retry = c.retry
			e := settle(t, s, r, c.tell)
			if diff := cmp.Diff(c.told, reports(t, s)); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			r.Retry = 0
			if got, err := s.TriggerRuns(ctx, "b1"); err != nil || cmp.Diff([]builder.TriggerRun{r}, got) != "" {
				t.Errorf("recorded %+v, %v", got, err)
			}
			store.ExpireEffects(t, s)
			if more := s.TryEffect(t); (more != nil) != c.again {
				t.Errorf("effect %+v, want one: %t", more, c.again)
			}
			if err := s.Settle(ctx, e, r, c.tell); !errors.Is(err, builder.ErrLeaseLost) {
				t.Errorf("who lost the lease settles: %v", err)
			}
		})
	}
}

// A forge that asked for time is told at once how a trigger has come on.
func TestSettleDoesNotWaitForABackoff(t *testing.T) {
	s := storetest.New(t, store.Options{})
	fired(t, s, "b1", "a", "tell")
	tell := builder.Telling{When: builder.TellAlways, Commit: "cb1", Context: "registry-build/a: tell"}
	begun := run("b1", "a", "tell", builder.RunRunning)
	begun.Retry = time.Millisecond
	settle(t, s, begun, tell)
	if err := s.Retry(ctx, nextEffect(t, s), time.Hour); err != nil {
		t.Fatal(err)
	}
	settle(t, s, run("b1", "a", "tell", builder.RunSucceeded), tell)
	if e := nextEffect(t, s); e.Kind != builder.ReportRun || e.Attempt != 1 {
		t.Errorf("effect %+v", e)
	}
}

// Who lost the lease writes nothing over the record of who has it.
func TestSettleIsFenced(t *testing.T) {
	s := storetest.New(t, store.Options{})
	fired(t, s, "b1", "a", "tell")
	stale := nextOf(t, s, builder.LaneTriggers)
	store.ExpireEffects(t, s)
	want := run("b1", "a", "tell", builder.RunSucceeded)
	settle(t, s, want, builder.Telling{})
	if err := s.Settle(ctx, stale, run("b1", "a", "tell", builder.RunFailed), builder.Telling{When: builder.TellAlways}); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("stale: %v", err)
	}
	if got, err := s.TriggerRun(ctx, "b1", "tell"); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if told := reports(t, s); len(told) > 0 {
		t.Errorf("told %q", told)
	}
}

func TestRetryTrigger(t *testing.T) {
	s := storetest.New(t, store.Options{})
	retry := func(trigger string, state builder.RunState, want error) {
		t.Helper()
		if got, err := s.RetryTrigger(ctx, repository("a"), "b1", trigger, "ada"); got != state || !errors.Is(err, want) {
			t.Errorf("retry %s: %s, %v; want %s, %v", trigger, got, err, state, want)
		}
	}
	retry("tell", "", builder.ErrNotFound)
	fired(t, s, "b1", "a", "tell")
	retry("tell", builder.RunWaiting, builder.ErrState) // due for the first time
	waiting := run("b1", "a", "tell", builder.RunWaiting)
	waiting.Retry = time.Millisecond
	settle(t, s, waiting, builder.Telling{})
	retry("tell", builder.RunWaiting, builder.ErrState)
	running := run("b1", "a", "tell", builder.RunRunning)
	running.Retry = time.Millisecond
	settle(t, s, running, builder.Telling{})
	retry("tell", builder.RunRunning, builder.ErrState)
	settle(t, s, run("b1", "a", "tell", builder.RunFailed), builder.Telling{})
	retry("other", "", builder.ErrNotFound)

	retry("tell", builder.RunWaiting, nil)
	retry("tell", builder.RunWaiting, builder.ErrState)
	if got, err := s.TriggerRuns(ctx, "b1"); err != nil || got[0].State != builder.RunWaiting {
		t.Errorf("listed %+v, %v; want waiting", got, err)
	}
	e := nextOf(t, s, builder.LaneTriggers)
	if e.By != "ada" || e.Asked == 0 || e.Attempt != 1 {
		t.Errorf("effect %+v", e)
	}
	if err := s.Retry(ctx, e, 0); err != nil {
		t.Fatal(err)
	}
	if again := nextOf(t, s, builder.LaneTriggers); again.By != "ada" || again.Asked != e.Asked {
		t.Errorf("the next attempt has forgotten who asked: %+v", again)
	}
}

// Runs that a version without the list recorded can be retried, too.
func TestRetryTriggerOfAnOlderRecord(t *testing.T) {
	s := storetest.New(t, store.Options{})
	store.PutOldRun(t, s, "b1", "tell", `{"buildId":"b1","trigger":"tell","state":"failed","attempts":8,"startedAt":"2026-01-01T00:00:00Z","took":5}`)
	runs, err := s.TriggerRuns(ctx, "b1")
	if err != nil || len(runs) != 1 || runs[0].Attempts != 8 {
		t.Fatalf("%+v, %v", runs, err)
	}
	if state, err := s.RetryTrigger(ctx, repository("a"), "b1", "tell", "ada"); state != builder.RunWaiting || err != nil {
		t.Errorf("%s, %v", state, err)
	}
}

func TestRuns(t *testing.T) {
	s := storetest.New(t, store.Options{})
	for i, repo := range []string{"a", "b", "a"} {
		id := fmt.Sprint("b", i)
		fired(t, s, id, repo, "audit", "prod")
		for range 2 {
			e := nextOf(t, s, builder.LaneTriggers)
			r := run(id, repo, e.Trigger, builder.RunSucceeded)
			if e.Trigger == "prod" && i > 0 {
				r.State = builder.RunFailed
			}
			if err := s.Settle(ctx, e, r, builder.Telling{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(f builder.RunFilter) []string {
		t.Helper()
		var got []string
		for {
			runs, next, err := s.Runs(ctx, f)
			if err != nil || f.Limit > 0 && len(runs) > f.Limit {
				t.Fatalf("%d runs, %v", len(runs), err)
			}
			for _, r := range runs {
				got = append(got, r.BuildID+" "+r.Trigger)
			}
			if f.Before = next; next == "" {
				return got
			}
		}
	}
	all := []string{"b2 prod", "b2 audit", "b1 prod", "b1 audit", "b0 prod", "b0 audit"}
	for _, c := range []struct {
		name string
		f    builder.RunFilter
		want []string
	}{
		{"all", builder.RunFilter{}, all},
		{"by twos", builder.RunFilter{Limit: 2}, all},
		{"one by one", builder.RunFilter{Limit: 1}, all},
		{"of a repository", builder.RunFilter{Repository: "git:acme/b"}, []string{"b1 prod", "b1 audit"}},
		{"of a trigger", builder.RunFilter{Trigger: "audit", Limit: 1}, []string{"b2 audit", "b1 audit", "b0 audit"}},
		{"in a state", builder.RunFilter{State: builder.RunFailed}, []string{"b2 prod", "b1 prod"}},
		{"of nobody", builder.RunFilter{Repository: "git:acme/c"}, nil},
	} {
		if diff := cmp.Diff(c.want, list(c.f)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if err := s.Delete(ctx, "b2"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all[2:], list(builder.RunFilter{})); diff != "" {
		t.Errorf("after a build was deleted (-want +got):\n%s", diff)
	}
	for _, key := range s.KeysOf(t, "b2") {
		if key != "{rb}:event:eb2" {
			t.Errorf("left: %s", key)
		}
	}
}
