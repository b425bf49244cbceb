package builder_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

// limited is a forge whose checks have to wait, and all that the courier reads.
type limited struct {
	idle
	once    sync.Once
	said    []string
	settled chan time.Duration // how long the effect waits now; 0: it is done
}

func (l *limited) NextEffects(ctx context.Context, _ string, lane builder.EffectLane, _ int) (effects []*builder.Effect, err error) {
	if lane == builder.LaneReports {
		l.once.Do(func() { effects = []*builder.Effect{{Kind: builder.ReportEvent, ID: "e1", Attempt: 1}} })
	}
	if effects == nil {
		<-ctx.Done()
		err = ctx.Err()
	}
	return effects, err
}
func (l *limited) Done(context.Context, *builder.Effect) error { l.settled <- 0; return nil }
func (l *limited) Retry(_ context.Context, _ *builder.Effect, wait time.Duration) error {
	l.settled <- wait
	return nil
}
func (l *limited) Event(context.Context, string) (builder.Event, error) {
	return builder.Event{ID: "e1", Kind: builder.Commanded, Repository: builder.Repository{Forge: "forge", ID: "1"}, Commit: "c1", Actor: "ada",
		Command: &builder.Command{Source: builder.FromComment, Name: builder.CommandBuild, Text: "/build", Pull: 7, Comment: "5"}}, nil
}
func (l *limited) Decision(context.Context, string) (builder.Decision, error) {
	return builder.Decision{EventID: "e1", Answer: &builder.Answer{Text: "Building"}, Builds: []builder.Build{{ID: "b1", Image: "shop", Commit: "c1"}}}, nil
}
func (l *limited) Build(context.Context, string) (builder.Record, error) {
	return builder.Record{Build: builder.Build{ID: "b1", Image: "shop", Commit: "c1"}, Progress: builder.Progress{State: builder.Running}}, nil
}
func (l *limited) Builds(context.Context, builder.BuildFilter) ([]builder.Record, string, error) {
	return nil, "", nil
}
func (l *limited) PutStatus(context.Context, builder.Report) (bool, error) { return true, nil }
func (l *limited) Statuses(context.Context, string, string) ([]builder.Report, error) {
	return nil, nil
}
func (l *limited) Remark(_ context.Context, t builder.Thread, remarks ...builder.Remark) (builder.Thread, error) {
	t.Remarks = remarks
	return t, nil
}
func (l *limited) Report(context.Context, builder.Report) error {
	return builder.Later{Wait: time.Minute, Reason: "a limit"}
}
func (l *limited) Show(_ context.Context, t builder.Thread) error {
	l.said = append(l.said, t.Remarks[0].Text)
	return nil
}
func (l *limited) React(context.Context, builder.Repository, builder.Command, bool) error {
	l.said = append(l.said, "reaction")
	return nil
}

// A person waits for the answer; the check of the commit can come later.
func TestChecksThatWaitHoldUpNoAnswer(t *testing.T) {
	l := &limited{settled: make(chan time.Duration, 1)}
	c := &builder.Courier{Outbox: l, Records: l, Told: l, Reporters: map[string]builder.Reporter{"forge": l}, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); c.Run(ctx) }()
	wait := <-l.settled
	stop()
	<-ran
	if diff := cmp.Diff([]string{"Building", "reaction"}, l.said); diff != "" {
		t.Errorf("the answer (-want +got):\n%s", diff)
	}
	if wait != time.Minute {
		t.Errorf("the check is made again after %s; want a minute", wait)
	}
}
