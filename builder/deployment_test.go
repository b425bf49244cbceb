package builder_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// rollout is an outbox with one trigger of one build, the records of it, and
// the forge that shows deployments.
type rollout struct {
	idle
	mu      sync.Mutex
	build   builder.Record
	attempt int
	done    bool
	wake    chan struct{}
	runs    []builder.TriggerRun
	shown   []string
	refuse  []error // what Deploy answers, in turn
}

func (r *rollout) NextEffect(ctx context.Context, _ string) (*builder.Effect, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.wake:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempt++
	return &builder.Effect{Kind: builder.FireTrigger, ID: r.build.ID, Trigger: "prod", Attempt: r.attempt}, nil
}

func (r *rollout) Done(context.Context, *builder.Effect) error {
	r.done = true
	return nil
}

func (r *rollout) Retry(_ context.Context, _ *builder.Effect, wait time.Duration) error {
	time.AfterFunc(wait, func() { r.wake <- struct{}{} })
	return nil
}

func (r *rollout) Build(context.Context, string) (builder.Record, error) { return r.build, nil }

func (r *rollout) PutTriggerRun(_ context.Context, run builder.TriggerRun) error {
	r.runs = []builder.TriggerRun{run}
	return nil
}

func (r *rollout) TriggerRuns(context.Context, string) ([]builder.TriggerRun, error) {
	return r.runs, nil
}

func (r *rollout) Report(context.Context, builder.Report) error { return nil }

func (r *rollout) Deploy(_ context.Context, d builder.Deployment) error {
	if len(r.refuse) > 0 {
		err := r.refuse[0]
		r.refuse = r.refuse[1:]
		if err != nil {
			return err
		}
	}
	r.shown = append(r.shown, strings.Join([]string{string(d.State), d.Environment, d.Commit, d.Description}, "; "))
	return nil
}

func TestDeployment(t *testing.T) {
	waiting := builder.TriggerRun{State: "waiting", Error: "502", Retry: time.Second, Attempts: 1}
	good, bad := builder.TriggerRun{State: "succeeded", Attempts: 2}, builder.TriggerRun{State: "failed", Error: "no", Attempts: 3}
	begun, ended, failed := "in_progress; production; c0ffee; trigger prod of api", "success; production; c0ffee; trigger prod of api",
		"failure; production; c0ffee; trigger prod failed after 3 attempts"
	cases := []struct {
		name   string
		change func(*builder.Record)
		runs   []builder.TriggerRun // what the attempts come to
		refuse []error
		shown  []string
	}{
		{"succeeds", nil, []builder.TriggerRun{good}, nil, []string{begun, ended}},
		{"succeeds the second time", nil, []builder.TriggerRun{waiting, good}, nil, []string{begun, ended}},
		{"fails", nil, []builder.TriggerRun{bad}, nil, []string{begun, failed}},
		{"the beginning cannot be shown", nil, []builder.TriggerRun{good}, []error{errors.New("502")}, []string{ended}},
		{"the end is shown later, and fires nothing again", nil, []builder.TriggerRun{good},
			[]error{nil, builder.Later{Wait: time.Minute}, errors.New("502")}, []string{begun, ended}},
		{"no environment", func(r *builder.Record) { r.Triggers[0].Environment = "" }, []builder.TriggerRun{good}, nil, nil},
		{"of a failed build", func(r *builder.Record) { r.State = builder.Failed }, []builder.TriggerRun{good}, nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rollout{refuse: c.refuse, wake: make(chan struct{}, 1), build: builder.Record{
					Build: builder.Build{ID: "b", Image: "api", Commit: "c0ffee", Repository: builder.Repository{Forge: "github", ID: "1"},
						Triggers: []config.Trigger{{Name: "prod", Environment: "production"}}},
					Progress: builder.Progress{State: builder.Succeeded},
				}}
				if c.change != nil {
					c.change(&r.build)
				}
				fired := 0
				courier := &builder.Courier{Outbox: r, Records: r, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
					Reporters: map[string]builder.Reporter{"github": r},
					Triggers: firing(func(context.Context) builder.TriggerRun {
						run := c.runs[min(fired, len(c.runs)-1)]
						fired++
						run.Trigger = "prod"
						return run
					})}
				ctx, stop := context.WithCancel(t.Context())
				ran := make(chan struct{})
				go func() { defer close(ran); courier.Run(ctx) }()
				r.wake <- struct{}{}
				time.Sleep(time.Hour) // synctest's clock: longer than all retries
				stop()
				<-ran
				if diff := cmp.Diff(c.shown, r.shown); diff != "" || fired != len(c.runs) || !r.done {
					t.Errorf("fired %d times, done %v, shown (-want +got):\n%s", fired, r.done, diff)
				}
			})
		})
	}
}
