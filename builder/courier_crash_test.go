package builder_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
	"github.com/registry-build/registry-build/config"
)

// dying is the outbox of a process that is killed with the first trigger that
// it takes in hand: from then on it asks the store for nothing.
type dying struct {
	builder.Outbox
	killed atomic.Bool
}

func (d *dying) NextEffects(ctx context.Context, worker string, lane builder.EffectLane, most int) ([]*builder.Effect, error) {
	if lane == builder.LaneReports || d.killed.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	effects, err := d.Outbox.NextEffects(ctx, worker, lane, most)
	d.killed.Store(true)
	return effects, err
}

func (d *dying) HoldEffects(ctx context.Context, effects ...*builder.Effect) ([]*builder.Effect, error) {
	if d.killed.Load() {
		return nil, errAway
	}
	return d.Outbox.HoldEffects(ctx, effects...)
}

// A trigger that is in flight when its process and Redis are killed is carried
// again by whoever comes next, once, and the answer that reaches the dead one
// late changes nothing. The lease that this waits for is 15 s where nobody
// sets another: so long it takes at most.
func TestTriggerInFlightOutlivesAKill(t *testing.T) {
	server := storetest.Start(t)
	o := store.Options{EffectLease: time.Second}
	s := server.Store(t, o)
	ctx := t.Context()
	if _, err := s.Append(ctx, builder.Event{ID: "e", Kind: builder.BranchPushed, Repository: labRepo, Ref: "refs/heads/main", Commit: "c"}); err != nil {
		t.Fatal(err)
	}
	event, err := s.NextEvent(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	b := builder.Build{ID: "b1", EventID: "e", Repository: labRepo, Image: "hello", Commit: "c", Destination: labImage,
		Triggers: []config.Trigger{{Name: "prod", Kubernetes: &config.Kubernetes{}}}}
	if err := s.Decide(ctx, event, builder.Decision{Builds: []builder.Build{b}}); err != nil {
		t.Fatal(err)
	}
	lease, err := s.Claim(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(ctx, lease, builder.Succeeded, builder.Result{}, "prod"); err != nil {
		t.Fatal(err)
	}

	run := func(name string, outbox builder.Outbox, records *store.Store, fire func(context.Context, builder.Firing) builder.TriggerRun) (stop func()) {
		c := &builder.Courier{Outbox: outbox, Records: records, Told: records, Name: name, Triggers: byRun(fire), Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan struct{})
		go func() { defer close(ran); c.Run(ctx) }()
		return func() { cancel(); <-ran }
	}
	inFlight, answer := make(chan struct{}), make(chan struct{})
	stopFirst := run("first", &dying{Outbox: s}, s, func(context.Context, builder.Firing) builder.TriggerRun {
		close(inFlight)
		<-answer
		return builder.TriggerRun{BuildID: "b1", Trigger: "prod", State: builder.RunFailed, Answer: "first"}
	})
	<-inFlight
	server.Kill(t)
	server.Restart(t)

	after := server.Store(t, o)
	again := make(chan builder.Firing, 8)
	stopSecond := run("second", after, after, func(_ context.Context, f builder.Firing) builder.TriggerRun {
		again <- f
		return builder.TriggerRun{BuildID: "b1", Trigger: "prod", State: builder.RunSucceeded, Answer: "second"}
	})
	defer stopSecond()
	select {
	case f := <-again:
		// It learns that the trigger had begun, and looks before it calls.
		if f.Before == nil || f.Before.State != builder.RunRunning {
			t.Errorf("fired with %+v before", f.Before)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody carries it again")
	}
	recorded := func() builder.TriggerRun {
		got, err := after.TriggerRun(ctx, "b1", "prod")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for deadline := time.Now().Add(10 * time.Second); recorded().Answer != "second"; {
		if time.Now().After(deadline) {
			t.Fatalf("recorded %+v", recorded())
		}
	}
	close(answer)
	stopFirst()
	if got := recorded(); got.Answer != "second" || got.State != builder.RunSucceeded {
		t.Errorf("who was taken for dead has changed the record: %+v", got)
	}
	if more := len(again); more > 0 {
		t.Errorf("fired %d times more", more)
	}
}

// byRun fires triggers as a test says.
type byRun func(ctx context.Context, f builder.Firing) builder.TriggerRun

func (byRun) Due(builder.Record, builder.State) []string { return nil }
func (byRun) Begin(_ context.Context, f builder.Firing) builder.TriggerRun {
	return builder.TriggerRun{BuildID: f.Record.ID, Trigger: f.Trigger, State: builder.RunRunning}
}
func (b byRun) Fire(ctx context.Context, f builder.Firing) builder.TriggerRun { return b(ctx, f) }
