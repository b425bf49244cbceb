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
// the forge that shows deployments and statuses.
type rollout struct {
	idle
	mu       sync.Mutex
	build    builder.Record
	attempt  int
	done     bool
	wake     map[builder.EffectLane]chan struct{}
	run      *builder.TriggerRun
	shown    []string // deployments
	statuses []string
	refuse   []error // what Deploy answers, in turn
}

func newRollout(t config.Trigger) *rollout {
	return &rollout{
		wake: map[builder.EffectLane]chan struct{}{builder.LaneTriggers: make(chan struct{}, 1), builder.LaneReports: make(chan struct{}, 100)},
		build: builder.Record{
			Build: builder.Build{ID: "b", Image: "api", Commit: "c0ffee", Repository: builder.Repository{Forge: "github", ID: "1"},
				Triggers: []config.Trigger{t}},
			Progress: builder.Progress{State: builder.Succeeded},
		}}
}

func (r *rollout) NextEffects(ctx context.Context, _ string, lane builder.EffectLane, _ int) ([]*builder.Effect, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.wake[lane]:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if lane == builder.LaneReports {
		return []*builder.Effect{{Kind: builder.ReportRun, ID: r.build.ID, Trigger: "prod", Attempt: 1}}, nil
	}
	r.attempt++
	return []*builder.Effect{{Kind: builder.FireTrigger, ID: r.build.ID, Trigger: "prod", Attempt: r.attempt}}, nil
}

func (r *rollout) Settle(_ context.Context, _ *builder.Effect, run builder.TriggerRun, tell builder.Telling) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run, r.done = &run, run.State.Terminal()
	if tell.When != builder.TellNever && tell.Commit == "" {
		r.statuses = append(r.statuses, "told of no commit")
	}
	if run.Retry > 0 {
		time.AfterFunc(run.Retry, func() { r.wake[builder.LaneTriggers] <- struct{}{} })
	}
	if tell.When == builder.TellAlways || tell.When == builder.TellAgain && len(r.statuses) > 0 {
		r.wake[builder.LaneReports] <- struct{}{}
	}
	return nil
}

func (r *rollout) Done(context.Context, *builder.Effect) error { return nil }

func (r *rollout) Retry(_ context.Context, e *builder.Effect, wait time.Duration) error {
	lane := builder.LaneReports
	if e.Kind == builder.FireTrigger {
		lane = builder.LaneTriggers
	}
	time.AfterFunc(wait, func() { r.wake[lane] <- struct{}{} })
	return nil
}

func (r *rollout) Build(context.Context, string) (builder.Record, error) { return r.build, nil }

func (r *rollout) TriggerRun(context.Context, string, string) (builder.TriggerRun, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run == nil {
		return builder.TriggerRun{}, builder.ErrNotFound
	}
	return *r.run, nil
}

func (r *rollout) PutStatus(context.Context, builder.Report) (bool, error) { return true, nil }
func (r *rollout) Statuses(context.Context, string, string) ([]builder.Report, error) {
	return nil, nil
}
func (r *rollout) Remark(context.Context, builder.Thread, ...builder.Remark) (builder.Thread, error) {
	return builder.Thread{}, nil
}

func (r *rollout) Report(_ context.Context, p builder.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line := p.Context + ": " + string(p.State) + "; " + p.Description; len(r.statuses) == 0 || r.statuses[len(r.statuses)-1] != line {
		r.statuses = append(r.statuses, line)
	}
	return nil
}

func (r *rollout) Deploy(_ context.Context, d builder.Deployment) error {
	if len(r.refuse) > 0 {
		err := r.refuse[0]
		r.refuse = r.refuse[1:]
		if err != nil {
			return err
		}
	}
	line := strings.Join([]string{string(d.State), d.Environment, d.Commit, d.Description}, "; ")
	if len(r.shown) == 0 || r.shown[len(r.shown)-1] != line {
		r.shown = append(r.shown, line)
	}
	return nil
}

// carry lets a courier carry until all is over, with what the calls of the
// trigger come to, and returns how many there were.
func (r *rollout) carry(t *testing.T, runs []builder.TriggerRun) int {
	t.Helper()
	fired := 0
	courier := &builder.Courier{Outbox: r, Records: r, Told: r, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Reporters: map[string]builder.Reporter{"github": r},
		Triggers: firing(func(context.Context) builder.TriggerRun {
			run := runs[min(fired, len(runs)-1)]
			fired++
			time.Sleep(time.Second) // synctest's clock
			run.Trigger, run.StartedAt = "prod", time.Now().Add(-run.Took)
			return run
		})}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); courier.Run(ctx) }()
	r.wake[builder.LaneTriggers] <- struct{}{}
	time.Sleep(time.Hour) // longer than all retries
	stop()
	<-ran
	return fired
}

func TestDeployment(t *testing.T) {
	waiting := builder.TriggerRun{State: "waiting", Error: "502", Retry: time.Second, Attempts: 1}
	good, bad := builder.TriggerRun{State: "succeeded", Attempts: 2}, builder.TriggerRun{State: "failed", Error: "no", Attempts: 3}
	begun, ended, failed := "in_progress; production; c0ffee; trigger prod of api", "success; production; c0ffee; trigger prod of api",
		"failure; production; c0ffee; no; given up after 3 attempts"
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
		{"a newer image went first", nil, []builder.TriggerRun{{State: "skipped", Answer: "v1 was pushed again"}}, nil,
			[]string{begun, "inactive; production; c0ffee; skipped: v1 was pushed again"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRollout(config.Trigger{Name: "prod", Environment: "production"})
				r.refuse = c.refuse
				if c.change != nil {
					c.change(&r.build)
				}
				fired := r.carry(t, c.runs)
				if diff := cmp.Diff(c.shown, r.shown); diff != "" || fired != len(c.runs) || !r.done {
					t.Errorf("fired %d times, done %v, shown (-want +got):\n%s", fired, r.done, diff)
				}
			})
		})
	}
}

// What a trigger does is seen on the commit: a rollout from its beginning, a
// message only where it does not get through.
func TestTriggersOnTheCommit(t *testing.T) {
	const context = "registry-build/api: prod: "
	rollout := config.Trigger{Name: "prod", Kubernetes: &config.Kubernetes{}}
	hook := config.Trigger{Name: "prod", Webhook: &config.Webhook{}}
	good := builder.TriggerRun{State: "succeeded", Action: "webhook https://example.com", Attempts: 1, Answer: "200 OK\nthanks", Took: 40 * time.Millisecond}
	bad := builder.TriggerRun{State: "failed", Error: "it answered\n404", Attempts: 1}
	again := func(attempt int) builder.TriggerRun {
		return builder.TriggerRun{State: "waiting", Error: "it answered 503", Attempts: attempt, Retry: 2 * time.Minute}
	}
	cases := []struct {
		name    string
		trigger config.Trigger
		commit  string
		runs    []builder.TriggerRun
		want    []string
	}{
		{"a rollout is watched", rollout, "c0ffee", []builder.TriggerRun{
			{State: "running", Attempts: 1, Answer: "1 of 3 updated", Retry: time.Second},
			{State: "succeeded", Attempts: 1, Answer: "rolled out to prod/shop deployment/api", Took: 12 * time.Second}},
			[]string{"pending; ", "pending; 1 of 3 updated", "success; rolled out to prod/shop deployment/api in 12 s"}},
		{"a rollout fails", rollout, "c0ffee", []builder.TriggerRun{bad}, []string{"pending; ", "failure; it answered"}},
		{"a message arrives", hook, "c0ffee", []builder.TriggerRun{good}, nil},
		{"a message is refused", hook, "c0ffee", []builder.TriggerRun{bad}, []string{"error; it answered"}},
		{"a receiver restarts", hook, "c0ffee", []builder.TriggerRun{again(1), again(2), good}, nil},
		{"a receiver is away", hook, "c0ffee", []builder.TriggerRun{again(1), again(2), again(3), good},
			[]string{"pending; it answered 503; 3rd attempt, again in 2 min", "success; webhook https://example.com answered 200 OK in 40 ms"}},
		{"no commit", rollout, "", []builder.TriggerRun{bad}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRollout(c.trigger)
				r.build.Commit = c.commit
				fired := r.carry(t, c.runs)
				var want []string
				for _, line := range c.want {
					want = append(want, context+line)
				}
				if diff := cmp.Diff(want, r.statuses); diff != "" || fired != len(c.runs) {
					t.Errorf("fired %d times, statuses (-want +got):\n%s", fired, diff)
				}
			})
		})
	}
}
