package builder_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// notes is a store with one trigger that is due, what is recorded of it, and
// what is recorded from now on.
type notes struct {
	idle
	build   builder.Record
	before  *builder.TriggerRun
	settled []builder.TriggerRun
	refuse  error // of the first Settle
}

func (n *notes) Build(context.Context, string) (builder.Record, error) { return n.build, nil }

func (n *notes) TriggerRun(context.Context, string, string) (builder.TriggerRun, error) {
	if n.before == nil {
		return builder.TriggerRun{}, builder.ErrNotFound
	}
	return *n.before, nil
}

func (n *notes) Settle(_ context.Context, _ *builder.Effect, run builder.TriggerRun, _ builder.Telling) error {
	n.settled = append(n.settled, run)
	err := n.refuse
	n.refuse = nil
	return err
}

// What a firing goes on from, and what is recorded of it.
func TestFiringGoesOnFromItsRecord(t *testing.T) {
	first, last := time.Unix(100, 0).UTC(), time.Unix(200, 0).UTC()
	recorded := func(state builder.RunState) *builder.TriggerRun {
		return &builder.TriggerRun{BuildID: "b", Trigger: "prod", State: state, Attempts: 2, FirstAt: first, StartedAt: last}
	}
	old := recorded(builder.RunWaiting)
	old.FirstAt = time.Time{} // as before this was recorded
	failed := recorded(builder.RunFailed)
	rollout := config.Trigger{Name: "prod", Kubernetes: &config.Kubernetes{}}
	for _, tt := range []struct {
		name    string
		trigger config.Trigger
		effect  builder.Effect
		before  *builder.TriggerRun
		refuse  error
		fired   []bool // each call, with what came before or without
		firstAt time.Time
		settled []builder.RunState
	}{
		{"the first attempt", config.Trigger{}, builder.Effect{Attempt: 1}, nil, nil, []bool{false}, time.Time{}, []builder.RunState{"waiting"}},
		{"looks nothing up", config.Trigger{}, builder.Effect{Attempt: 1}, failed, nil, []bool{false}, time.Time{}, []builder.RunState{"waiting"}},
		{"the next", config.Trigger{}, builder.Effect{Attempt: 2}, recorded(builder.RunWaiting), nil, []bool{true}, first, []builder.RunState{"waiting"}},
		{"after one of an older version", config.Trigger{}, builder.Effect{Attempt: 2}, old, nil, []bool{true}, last, []builder.RunState{"waiting"}},
		{"recorded as over before a crash", config.Trigger{}, builder.Effect{Attempt: 2}, failed, nil, nil, first, []builder.RunState{"failed"}},
		{"a person wants it again", config.Trigger{}, builder.Effect{Attempt: 1, Asked: 7, By: "ada"}, failed, nil, []bool{false}, first, []builder.RunState{"waiting"}},
		{"a run that cannot be noted at once", config.Trigger{}, builder.Effect{Attempt: 1}, nil, errAway, []bool{false}, time.Time{}, []builder.RunState{"waiting", "waiting"}},
		{"a rollout begins", rollout, builder.Effect{Attempt: 1}, nil, nil, []bool{false}, time.Time{}, []builder.RunState{"running", "waiting"}},
		{"a rollout goes on", rollout, builder.Effect{Attempt: 2}, recorded(builder.RunRunning), nil, []bool{true}, first, []builder.RunState{"waiting"}},
		{"a rollout that is somebody else's", rollout, builder.Effect{Attempt: 1}, nil, builder.ErrLeaseLost, nil, time.Time{}, []builder.RunState{"running"}},
		{"a rollout whose beginning cannot be noted", rollout, builder.Effect{Attempt: 1}, nil, errAway, []bool{false}, time.Time{}, []builder.RunState{"running", "waiting"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				effect, began := tt.effect, time.Now().UTC()
				effect.Kind, effect.ID, effect.Trigger = builder.FireTrigger, "b", "prod"
				n := &notes{before: tt.before, refuse: tt.refuse, build: builder.Record{
					Build:    builder.Build{ID: "b", Commit: "c0ffee", Repository: labRepo, Image: "api", Triggers: []config.Trigger{tt.trigger}},
					Progress: builder.Progress{State: builder.Succeeded}}}
				n.effect = &effect
				var fired []bool
				c := &builder.Courier{Outbox: n, Records: n, Log: slog.New(slog.DiscardHandler), Triggers: byRun(func(_ context.Context, f builder.Firing) builder.TriggerRun {
					fired = append(fired, f.Before != nil)
					return builder.TriggerRun{BuildID: "b", Trigger: "prod", State: builder.RunWaiting, Retry: time.Minute}
				})}
				ctx, stop := context.WithCancel(t.Context())
				ran := make(chan struct{})
				go func() { defer close(ran); c.Run(ctx) }()
				time.Sleep(10 * time.Second)
				stop()
				<-ran
				var states []builder.RunState
				for _, run := range n.settled {
					states = append(states, run.State)
				}
				if diff := cmp.Diff(tt.fired, fired); diff != "" {
					t.Errorf("fired, with what came before (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.settled, states); diff != "" {
					t.Fatalf("recorded (-want +got):\n%s", diff)
				}
				want := tt.firstAt
				if want.IsZero() {
					want = began
				}
				got := n.settled[len(n.settled)-1]
				if !got.FirstAt.Equal(want) || got.Asked != effect.Asked || got.AskedBy != effect.By {
					t.Errorf("recorded %+v; want since %s, asked %d by %q", got, want, effect.Asked, effect.By)
				}
				if next := got.NextAt; (got.State == builder.RunWaiting) != next.Equal(began.Add(time.Minute)) {
					t.Errorf("%s, next at %s", got.State, next)
				}
			})
		})
	}
}
