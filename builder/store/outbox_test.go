package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func nextEffect(t testing.TB, s *store.Store) *builder.Effect {
	t.Helper()
	return nextOf(t, s, builder.LaneReports)
}

func nextOf(t testing.TB, s *store.Store, lane builder.EffectLane) *builder.Effect {
	t.Helper()
	effects, err := s.NextEffects(within(t, 5*time.Second), "courier", lane, 1)
	if err != nil || len(effects) != 1 {
		t.Fatalf("%d effects, %v", len(effects), err)
	}
	return effects[0]
}

// oneEffect leaves a claimed build whose report is the only effect that is due.
func oneEffect(t *testing.T, s *store.Store) (*builder.Lease, *builder.Effect) {
	t.Helper()
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c1"), "b1")
	effects(t, s)
	l := claim(t, s, "w", "b1")
	e := nextEffect(t, s)
	if e.Kind != builder.ReportBuild || e.ID != "b1" || e.Attempt != 1 {
		t.Fatalf("effect: %+v", e)
	}
	return l, e
}

func TestEffectsCoalesceWhileTheyWait(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c1"), "b1")
	l := claim(t, s, "w", "b1")
	if err := s.Advance(ctx, l, builder.Pushing, builder.Result{}); err != nil {
		t.Fatal(err)
	}
	finish(t, s, l, builder.Succeeded)
	if want, got := []string{"build b1", "event e1"}, effects(t, s); !sameSet(got, want) {
		t.Errorf("effects %q, want %q", got, want)
	}
}

func TestEffectAddedWhileItIsCarriedComesAgain(t *testing.T) {
	s := storetest.New(t, store.Options{})
	l, e := oneEffect(t, s)
	finish(t, s, l, builder.Succeeded) // after the courier read the record
	if again := s.TryEffect(t); again != nil {
		t.Fatalf("carried twice at a time: %+v", again)
	}
	if err := s.Done(ctx, e); err != nil {
		t.Fatal(err)
	}
	again := nextEffect(t, s)
	if again.ID != "b1" || again.Attempt != 1 {
		t.Errorf("the newer state: %+v", again)
	}
	if err := s.Done(ctx, again); err != nil {
		t.Fatal(err)
	}
	if more := s.TryEffect(t); more != nil {
		t.Errorf("still due: %+v", more)
	}
}

func TestEffectIsRetried(t *testing.T) {
	s := storetest.New(t, store.Options{})
	_, e := oneEffect(t, s)
	if err := s.Retry(ctx, e, 30*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	e = nextEffect(t, s)
	if e.ID != "b1" || e.Attempt != 2 {
		t.Errorf("second try: %+v", e)
	}
	if d := time.Since(began); d < 20*time.Millisecond || d > 800*time.Millisecond {
		t.Errorf("waited %s, want about 30 ms", d)
	}
	if err := s.Retry(ctx, e, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Done(ctx, e); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("done after retry: %v, want ErrLeaseLost", err)
	}
}

func advance(t testing.TB, s *store.Store, l *builder.Lease, state builder.State, digest string) {
	t.Helper()
	if err := s.Advance(ctx, l, state, builder.Result{Digest: digest}); err != nil {
		t.Fatal(err)
	}
}

func TestBackoffSurvivesNewerVersions(t *testing.T) {
	s := storetest.New(t, store.Options{})
	l, e := oneEffect(t, s)
	if err := s.Retry(ctx, e, time.Hour); err != nil {
		t.Fatal(err)
	}
	advance(t, s, l, builder.Pushing, "sha256:1")
	if more := s.TryEffect(t); more != nil {
		t.Errorf("a forge that asked for time is called: %+v", more)
	}
}

func TestEndOfABuildDoesNotWait(t *testing.T) {
	ends := map[string]func(t *testing.T, s *store.Store, l *builder.Lease){
		"finished": func(t *testing.T, s *store.Store, l *builder.Lease) { finish(t, s, l, builder.Failed) },
		"cancelled while nobody has it": func(t *testing.T, s *store.Store, l *builder.Lease) {
			if err := s.Release(ctx, l); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Cancel(ctx, l.ID, "by ada"); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, end := range ends {
		t.Run(name+" during a backoff", func(t *testing.T) {
			s := storetest.New(t, store.Options{})
			l, e := oneEffect(t, s)
			if err := s.Retry(ctx, e, time.Hour); err != nil {
				t.Fatal(err)
			}
			end(t, s, l)
			e = nextEffect(t, s)
			if e.ID != "b1" || e.Attempt != 1 {
				t.Errorf("effect %+v", e)
			}
			// The forge asks for time once more: now nothing newer waits.
			if err := s.Retry(ctx, e, time.Hour); err != nil {
				t.Fatal(err)
			}
			if more := s.TryEffect(t); more != nil {
				t.Errorf("called again at once: %+v", more)
			}
		})
		t.Run(name+" while it is carried", func(t *testing.T) {
			s := storetest.New(t, store.Options{})
			l, e := oneEffect(t, s)
			end(t, s, l)
			if more := s.TryEffect(t); more != nil {
				t.Fatalf("carried twice at a time: %+v", more)
			}
			if err := s.Retry(ctx, e, time.Hour); err != nil { // what it carried was not the end
				t.Fatal(err)
			}
			e = nextEffect(t, s)
			if e.ID != "b1" || e.Attempt != 1 {
				t.Errorf("effect %+v", e)
			}
			if err := s.Done(ctx, e); err != nil {
				t.Fatal(err)
			}
			if more := s.TryEffect(t); more != nil {
				t.Errorf("still due: %+v", more)
			}
		})
	}
}

func TestEndOfABuildWhoseCourierDied(t *testing.T) {
	s := storetest.New(t, store.Options{})
	l, _ := oneEffect(t, s)
	finish(t, s, l, builder.Succeeded)
	store.ExpireEffects(t, s)
	e := nextEffect(t, s)
	if err := s.Retry(ctx, e, time.Hour); err != nil {
		t.Fatal(err)
	}
	if more := s.TryEffect(t); more != nil {
		t.Errorf("the wait counts, what it carried was the end: %+v", more)
	}
}

func TestProgressIsTold(t *testing.T) {
	s := storetest.New(t, store.Options{})
	l, e := oneEffect(t, s)
	if err := s.Done(ctx, e); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{"build b1"}, {"build b1"}, nil, {"build b1"}} {
		digest := []string{"sha256:1", "sha256:2", "sha256:2", "sha256:3"}[i]
		advance(t, s, l, builder.Running, digest)
		if diff := cmp.Diff(want, effects(t, s)); diff != "" {
			t.Errorf("result %d, %s (-want +got):\n%s", i, digest, diff)
		}
	}
}

func TestLostEffectLease(t *testing.T) {
	s := storetest.New(t, store.Options{})
	_, stale := oneEffect(t, s)
	store.ExpireEffects(t, s)
	fresh := nextEffect(t, s)
	if fresh.Attempt != 2 {
		t.Errorf("attempt %d, want 2", fresh.Attempt)
	}
	if err := s.Done(ctx, stale); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("stale Done: %v", err)
	}
	if err := s.Retry(ctx, stale, 0); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("stale Retry: %v", err)
	}
	if err := s.Done(ctx, fresh); err != nil {
		t.Error(err)
	}
}

func TestStatusesNewestWins(t *testing.T) {
	s := storetest.New(t, store.Options{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	report := func(context string, seq int64, after time.Duration, text string) builder.Report {
		return builder.Report{Repository: repository("a"), Commit: "c1", Context: context, Seq: seq,
			State: builder.StatusPending, Description: text, UpdatedAt: at.Add(after)}
	}
	for _, r := range []builder.Report{
		report("rb/a", 2, 0, "second"),
		report("rb/a", 1, time.Hour, "first, told late"),
		report("rb/a", 2, time.Second, "second, newer"),
		report("rb/a", 2, time.Millisecond, "second, older"),
		report("rb/b", 1, 0, "other"),
	} {
		newest, err := s.PutStatus(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if late := strings.HasSuffix(r.Description, "late") || strings.HasSuffix(r.Description, "older"); newest == late {
			t.Errorf("%s: newest %t", r.Description, newest)
		}
	}
	got, err := s.Statuses(ctx, "git:acme/a", "c1")
	if err != nil {
		t.Fatal(err)
	}
	want := []builder.Report{report("rb/a", 2, time.Second, "second, newer"), report("rb/b", 1, 0, "other")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestHeldEffectIsNobodyElses(t *testing.T) {
	const lease = 200 * time.Millisecond
	s := storetest.New(t, store.Options{EffectLease: lease})
	_, e := oneEffect(t, s)
	until := time.Now().Add(3 * lease)
	for time.Now().Before(until) { // longer than the lease, held at every turn
		if lost, err := s.HoldEffects(ctx, e); err != nil || len(lost) > 0 {
			t.Fatalf("lost %v, %v", lost, err)
		}
		if other := s.TryEffect(t); other != nil {
			t.Fatalf("somebody else has %+v", other)
		}
	}
	store.ExpireEffects(t, s)
	nextEffect(t, s)
	if lost, err := s.HoldEffects(ctx, e); err != nil || len(lost) != 1 || lost[0] != e {
		t.Errorf("lost %v, %v; want the one", lost, err)
	}
}

func TestLanes(t *testing.T) {
	s := storetest.New(t, store.Options{})
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c1"), "b1")
	l := claim(t, s, "w", "b1")
	effects(t, s)
	if err := s.Finish(ctx, l, builder.Succeeded, builder.Result{}, "one", "two", "three"); err != nil {
		t.Fatal(err)
	}
	store.AsBefore(t, s, "b1", "two")
	if e := nextOf(t, s, builder.LaneReports); e.Kind != builder.ReportBuild {
		t.Errorf("reports: %+v", e)
	}
	var got []string
	for len(got) < 3 {
		effects, err := s.NextEffects(within(t, 5*time.Second), "courier", builder.LaneTriggers, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range effects {
			got = append(got, string(e.Kind)+" "+e.Trigger)
		}
	}
	if want := []string{"trigger one", "trigger two", "trigger three"}; !sameSet(got, want) {
		t.Errorf("triggers %q, want %q", got, want)
	}
}

// Who dies with an effect in hand holds it up for 15 seconds at most.
func TestEffectOfADeadCourierIsDueSoon(t *testing.T) {
	s := storetest.New(t, store.Options{})
	oneEffect(t, s)
	if wait := store.EffectsDue(t, s, "outbox"); wait <= 0 || wait > 15*time.Second {
		t.Errorf("a report is due again after %s", wait)
	}
	fired(t, s, "b2", "b", "tell")
	nextOf(t, s, builder.LaneTriggers)
	if wait := store.EffectsDue(t, s, "firing"); wait <= 0 || wait > 15*time.Second {
		t.Errorf("a trigger is due again after %s", wait)
	}
}
