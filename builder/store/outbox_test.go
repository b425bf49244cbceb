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
	e, err := s.NextEffect(within(t, 5*time.Second), "courier")
	if err != nil {
		t.Fatal(err)
	}
	return e
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

func TestTriggerRuns(t *testing.T) {
	s := storetest.New(t, store.Options{})
	tell := builder.TriggerRun{BuildID: "b1", Trigger: "tell", State: "waiting", Attempts: 1, StartedAt: time.Unix(1, 0).UTC()}
	audit := builder.TriggerRun{BuildID: "b1", Trigger: "audit", State: "failed", Took: time.Second, StartedAt: time.Unix(1, 0).UTC()}
	for _, run := range []builder.TriggerRun{tell, audit} {
		if err := s.PutTriggerRun(ctx, run); err != nil {
			t.Fatal(err)
		}
	}
	tell.State, tell.Attempts = "succeeded", 2
	if err := s.PutTriggerRun(ctx, tell); err != nil {
		t.Fatal(err)
	}
	got, err := s.TriggerRuns(ctx, "b1")
	if diff := cmp.Diff([]builder.TriggerRun{audit, tell}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
