package builder_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// idle is a store that hands out one build, one event or one effect, answers
// as the test says and writes down what it is told. What it is not asked for
// in these tests is not there.
type idle struct {
	builder.Inbox
	builder.Inputs
	builder.Records
	lease  *builder.Lease
	event  *builder.EventLease
	effect *builder.Effect
	finish func() error
	record func() error
	told   []string
}

func (s *idle) Claim(ctx context.Context, _ string) (*builder.Lease, error) {
	if l := s.lease; l != nil {
		s.lease = nil
		return l, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *idle) Advance(context.Context, *builder.Lease, builder.State, builder.Result) error {
	return nil
}

func (s *idle) Finish(_ context.Context, _ *builder.Lease, state builder.State, r builder.Result, _ ...string) error {
	err := s.finish()
	if err == nil {
		s.told = append(s.told, string(state)+" "+r.Digest)
	}
	return err
}

func (s *idle) Release(context.Context, *builder.Lease) error { return s.finish() }

func (s *idle) Heartbeat(context.Context, *builder.Lease) (*builder.Stop, error) { return nil, nil }

func (s *idle) AwaitStop(ctx context.Context, _ *builder.Lease) (*builder.Stop, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *idle) OpenLog(context.Context, *builder.Lease) io.WriteCloser {
	return labWriter{io.Discard}
}

func (s *idle) NextEvent(ctx context.Context, _ string) (*builder.EventLease, error) {
	if l := s.event; l != nil {
		s.event = nil
		return l, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *idle) ClaimHome(context.Context, *builder.EventLease) error { return nil }

func (s *idle) Extend(context.Context, *builder.EventLease) error { return nil }

func (s *idle) Defer(_ context.Context, _ *builder.EventLease, wait time.Duration) error {
	s.told = append(s.told, "deferred for "+wait.String())
	return nil
}

func (s *idle) NextEffects(ctx context.Context, _ string, lane builder.EffectLane, _ int) ([]*builder.Effect, error) {
	if lane != builder.LaneTriggers {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if e := s.effect; e != nil {
		s.effect = nil
		return []*builder.Effect{e}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *idle) HoldEffects(context.Context, ...*builder.Effect) ([]*builder.Effect, error) {
	return nil, nil
}

func (s *idle) Done(context.Context, *builder.Effect) error {
	s.told = append(s.told, "done")
	return nil
}

func (s *idle) Retry(ctx context.Context, _ *builder.Effect, wait time.Duration) error {
	if ctx.Err() == nil {
		s.told = append(s.told, "again after "+wait.String())
	}
	return nil
}

func (s *idle) Build(context.Context, string) (builder.Record, error) { return builder.Record{}, nil }

func (s *idle) Settle(_ context.Context, _ *builder.Effect, run builder.TriggerRun, _ builder.Telling) error {
	err := s.record()
	switch {
	case err != nil:
	case run.Retry > 0:
		s.told = append(s.told, "again after "+run.Retry.String())
	default:
		s.told = append(s.told, "done")
	}
	return err
}

// idleWorker runs one build of an uploaded Dockerfile.
func idleWorker(t *testing.T, s *idle) *builder.Worker {
	l := &lab{t: t, resolve: func(string) (string, error) { return "", builder.ErrNotFound },
		solve: func(context.Context, builder.SolveRequest, io.Writer) (builder.Solution, error) {
			return builder.Solution{Digest: "sha256:one"}, nil
		}}
	s.lease = &builder.Lease{Worker: "w", Attempt: 1, Build: builder.Build{ID: "b", Destination: "acme/hello",
		Spec: builder.Spec{Inline: "FROM scratch", NoCache: true}}}
	w := l.worker()
	w.Queue, w.Leases, w.Inputs, w.Logs, w.Parallel = s, s, s, s, 1
	return w
}

var errRedis = errors.Join(builder.ErrUnavailable, errors.New("connection refused"))

// What was pushed is not forgotten because Redis is away for minutes.
func TestEndOutlastsRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &idle{}
		s.finish = func() error {
			if time.Since(began) < 10*time.Minute {
				return errRedis
			}
			return nil
		}
		w := idleWorker(t, s)
		run, stop := context.WithCancel(t.Context())
		defer stop()
		go w.Run(run)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got := strings.Join(s.told, ", "); got != "succeeded sha256:one" {
			t.Errorf("the store was told %q; want the success", got)
		}
	})
}

// A stop is not held up by a Redis that is away.
func TestStopDoesNotWaitForRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &idle{finish: func() error { return errRedis }}
		w := idleWorker(t, s)
		w.Drain = 10 * time.Second
		run, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(run) }()
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		<-done
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the stop took %s; want the drain and a moment", took)
		}
	})
}

// hangingSources never opens a commit.
type hangingSources struct{ builder.Sources }

func (hangingSources) Open(ctx context.Context, _ builder.Repository, _ string) (builder.Source, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A fetch that hangs holds neither its repository for ever nor a stop.
func TestHangingFetchIsDeferred(t *testing.T) {
	for _, test := range []struct {
		name string
		stop time.Duration // after the start
		took time.Duration // from then, at most
	}{
		{"in time", 3 * time.Minute, 0},
		{"at a stop", time.Second, 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &idle{event: &builder.EventLease{Attempt: 1, Event: builder.Event{ID: "e", Kind: builder.BranchPushed, Ref: "refs/heads/main", Commit: "c1"}}}
				d := &builder.Dispatcher{Inbox: s, Sources: hangingSources{}, Log: slog.New(slog.DiscardHandler)}
				run, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); d.Run(run) }()
				time.Sleep(test.stop)
				began := time.Now()
				stop()
				<-done
				if got, took := strings.Join(s.told, ", "), time.Since(began); got != "deferred for 2s" || took > test.took {
					t.Errorf("%s after the stop the inbox was told %q; want deferred for 2s, within %s", took, got, test.took)
				}
			})
		})
	}
}

func TestEffectsOfTriggers(t *testing.T) {
	for _, test := range []struct {
		name   string
		fire   func(ctx context.Context) builder.TriggerRun
		record func(call int) error
		fired  int
		told   string
	}{
		{
			name: "a wait that the receiver asks for is kept as it is", fired: 1, told: "again after 30m0s",
			fire: func(context.Context) builder.TriggerRun { return builder.TriggerRun{Retry: 30 * time.Minute} },
		},
		{
			name: "a run that cannot be written down at once is not made again", fired: 1, told: "done",
			record: func(call int) error {
				if call < 3 {
					return errRedis
				}
				return nil
			},
		},
		{
			name: "one that cannot be written down at all keeps its wait", fired: 1, told: "again after 30m0s",
			fire:   func(context.Context) builder.TriggerRun { return builder.TriggerRun{Retry: 30 * time.Minute} },
			record: func(int) error { return errRedis },
		},
		{
			name: "one that hangs is given back", fired: 1, told: "again after 2s",
			fire: func(ctx context.Context) builder.TriggerRun {
				<-ctx.Done()
				return builder.TriggerRun{}
			},
			record: func(int) error { return errRedis },
		},
		{
			name: "that of a build which was deleted meanwhile is over", fired: 1, told: "done",
			fire:   func(context.Context) builder.TriggerRun { return builder.TriggerRun{Retry: time.Minute} },
			record: func(int) error { return builder.ErrNotFound },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &idle{effect: &builder.Effect{Kind: builder.FireTrigger, ID: "b", Trigger: "audit", Attempt: 1}}
				calls, fired := 0, 0
				s.record = func() error {
					calls++
					if test.record == nil {
						return nil
					}
					return test.record(calls)
				}
				c := &builder.Courier{Outbox: s, Records: s, Log: slog.New(slog.DiscardHandler),
					Triggers: firing(func(ctx context.Context) builder.TriggerRun {
						fired++
						if test.fire == nil {
							return builder.TriggerRun{}
						}
						return test.fire(ctx)
					})}
				run, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); c.Run(run) }()
				time.Sleep(5 * time.Minute)
				stop()
				<-done
				if got := strings.Join(s.told, ", "); got != test.told || fired != test.fired {
					t.Errorf("fired %d times, then told %q; want %d, %q", fired, got, test.fired, test.told)
				}
			})
		})
	}
}

type firing func(ctx context.Context) builder.TriggerRun

func (firing) Due(builder.Record, builder.State) []string { return nil }
func (firing) Begin(_ context.Context, f builder.Firing) builder.TriggerRun {
	return builder.TriggerRun{BuildID: f.Record.ID, Trigger: f.Trigger, State: builder.RunRunning}
}
func (f firing) Fire(ctx context.Context, _ builder.Firing) builder.TriggerRun {
	return f(ctx)
}
