package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Outbox holds what is still to be told or fired. An effect is kept until it
// is Done; adding one that waits already makes it one, newer, so running
// updates coalesce and the last state always gets out.
type Outbox interface {
	// NextEffect blocks until an effect is due and leases it to the caller.
	NextEffect(ctx context.Context, worker string) (*Effect, error)
	// Done drops the effect, unless it was added again meanwhile.
	Done(ctx context.Context, e *Effect) error
	// Retry makes the effect due again after wait.
	Retry(ctx context.Context, e *Effect, wait time.Duration) error
}

// EffectKind says what an effect's ID names.
type EffectKind string

const (
	ReportEvent EffectKind = "event"   // ID: event
	ReportBuild EffectKind = "build"   // ID: build
	FireTrigger EffectKind = "trigger" // ID: build, Trigger: name
)

// Effect is one report to make or one trigger to fire.
type Effect struct {
	Kind    EffectKind
	ID      string
	Trigger string
	Attempt int    // from 1
	Token   string // fences Done and Retry
}

// Reporter tells a forge how a commit fares. Reporting the same thing twice
// must be harmless.
type Reporter interface {
	Report(ctx context.Context, r Report) error
}

// ReportState is a commit status in the words that forges share.
type ReportState string

const (
	StatusPending ReportState = "pending"
	StatusSuccess ReportState = "success"
	StatusFailure ReportState = "failure"
	StatusError   ReportState = "error"
)

// Report is one status of one commit, with what it was made from for forges
// that can show more than a line.
type Report struct {
	Repository  Repository  `json:"repository"`
	Ref         string      `json:"ref,omitempty"`
	Commit      string      `json:"commit"`
	Context     string      `json:"context"` // registry-build, registry-build/<image>
	State       ReportState `json:"state"`
	Description string      `json:"description"` // one line, at most 140 characters
	BuildID     string      `json:"buildId,omitempty"`
	EventID     string      `json:"eventId"`
	Seq         int64       `json:"seq"` // newer builds of a context win
	UpdatedAt   time.Time   `json:"updatedAt"`

	Record   *Record   `json:"-"`
	Decision *Decision `json:"-"`
}

// Triggers fires one trigger of a finished build, once; the caller retries.
type Triggers interface {
	// Due names the triggers that a build which ended so sets off; last is
	// how the build before it ended.
	Due(r Record, last State) []string
	// Fire never panics on what a person wrote; the run's Err says whether
	// trying again could help (Retry).
	Fire(ctx context.Context, f Firing) TriggerRun
}

// Firing is one trigger, due for one build.
type Firing struct {
	Record  Record
	Trigger string // name in Record.Triggers
	Attempt int
}

// TriggerRun is the record of one trigger of one build.
type TriggerRun struct {
	BuildID   string        `json:"buildId"`
	Trigger   string        `json:"trigger"`
	Condition string        `json:"condition"` // as people wrote it
	Action    string        `json:"action"`    // "webhook https://…"
	Tags      []string      `json:"tags,omitempty"`
	State     string        `json:"state"` // waiting, succeeded, failed
	Attempts  int           `json:"attempts"`
	Answer    string        `json:"answer,omitempty"` // redacted, at most 4 KiB
	Error     string        `json:"error,omitempty"`
	StartedAt time.Time     `json:"startedAt"`
	Took      time.Duration `json:"took"` // nanoseconds
	Retry     time.Duration `json:"-"`    // > 0: try again after this long
}

// Records is what the courier reads and writes.
type Records interface {
	Event(ctx context.Context, id string) (Event, error)
	Decision(ctx context.Context, eventID string) (Decision, error)
	Build(ctx context.Context, id string) (Record, error)
	PutTriggerRun(ctx context.Context, run TriggerRun) error
}

const retryAtMost = 10 * time.Minute

// Courier carries effects out of the outbox: it reports to the forges and
// fires triggers, each until it is done.
type Courier struct {
	Outbox    Outbox
	Records   Records
	Reporters map[string]Reporter // by forge instance
	Triggers  Triggers
	Name      string
	Parallel  int
	Log       *slog.Logger
}

// Run carries effects until ctx ends and finishes those in hand.
func (c *Courier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range max(c.Parallel, 1) {
		wg.Go(func() { c.loop(ctx, fmt.Sprintf("%s-%d", c.Name, i)) })
	}
	wg.Wait()
	return nil
}

func (c *Courier) loop(ctx context.Context, name string) {
	for ctx.Err() == nil {
		e, err := c.Outbox.NextEffect(ctx, name)
		if err != nil {
			pause(ctx, c.Log, "next effect", err)
			continue
		}
		c.carry(context.WithoutCancel(ctx), e)
	}
}

func (c *Courier) carry(ctx context.Context, e *Effect) {
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	log := c.Log.With("effect", e.Kind, "id", e.ID, "trigger", e.Trigger, "attempt", e.Attempt)
	again, err := c.effect(ctx, e)
	switch {
	case errors.Is(err, ErrNotFound):
		log.Debug("effect of something deleted")
	case err != nil:
		log.Warn("effect failed", "err", err)
		again = min(time.Second<<min(e.Attempt, 20), retryAtMost)
	}
	if again > 0 {
		err = c.Outbox.Retry(ctx, e, again)
	} else {
		err = c.Outbox.Done(ctx, e)
	}
	if err != nil {
		log.Error("outbox", "err", err)
	}
}

// effect carries out one effect; again > 0 asks to be called once more.
func (c *Courier) effect(ctx context.Context, e *Effect) (again time.Duration, err error) {
	switch e.Kind {
	case ReportEvent:
		return 0, c.reportEvent(ctx, e.ID)
	case ReportBuild:
		return 0, c.reportBuild(ctx, e.ID)
	case FireTrigger:
		r, err := c.Records.Build(ctx, e.ID)
		if err != nil {
			return 0, err
		}
		run := c.Triggers.Fire(ctx, Firing{Record: r, Trigger: e.Trigger, Attempt: e.Attempt})
		return run.Retry, c.Records.PutTriggerRun(ctx, run)
	}
	return 0, fmt.Errorf("unknown effect %q", e.Kind)
}

// reportEvent tells the commit what its event came to.
func (c *Courier) reportEvent(ctx context.Context, id string) error {
	e, err := c.Records.Event(ctx, id)
	if err != nil {
		return err
	}
	d, err := c.Records.Decision(ctx, id)
	if err != nil {
		return err
	}
	reporter, ok := c.Reporters[e.Repository.Forge]
	if !ok || e.Commit == "" || d.Hint != "" {
		return nil // nobody to tell, nothing to show it on, or nothing to say
	}
	state, text, err := c.aggregate(ctx, d)
	if err != nil {
		return err
	}
	return reporter.Report(ctx, Report{
		Repository: e.Repository, Ref: e.Ref, Commit: e.Commit, EventID: e.ID, Seq: e.Seq,
		Context: AggregateContext, State: state, Description: text, UpdatedAt: time.Now().UTC(), Decision: &d,
	})
}

// aggregate is the one status of all builds of a decision.
func (c *Courier) aggregate(ctx context.Context, d Decision) (ReportState, string, error) {
	switch {
	case len(d.Invalid) > 0:
		return StatusError, clip(d.Invalid[0].String(), maxDescription), nil
	case d.Failure != nil:
		return StatusError, clip(d.Failure.Message, maxDescription), nil
	case len(d.Builds) == 0 && len(d.Reasons) > 0 && !d.Reasons[0].Error:
		return StatusSuccess, oneLine("nothing to build", d.Reasons[0].Message), nil
	}
	for _, r := range d.Reasons {
		if r.Error {
			return StatusError, oneLine(r.Image, r.Message), nil
		}
	}
	counts := map[ReportState]int{}
	for _, b := range d.Builds {
		r, err := c.Records.Build(ctx, b.ID)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		counts[statusOf(r.State)]++
	}
	switch {
	case counts[StatusPending] > 0:
		return StatusPending, fmt.Sprintf("%s to go", count(counts[StatusPending], "image")), nil
	case counts[StatusFailure]+counts[StatusError] > 0:
		return StatusFailure, fmt.Sprintf("%s failed", count(counts[StatusFailure]+counts[StatusError], "image")), nil
	}
	return StatusSuccess, fmt.Sprintf("%s built", count(counts[StatusSuccess], "image")), nil
}

// reportBuild tells the commit how one image fares, and then all of them.
func (c *Courier) reportBuild(ctx context.Context, id string) error {
	r, err := c.Records.Build(ctx, id)
	if err != nil {
		return err
	}
	reporter, ok := c.Reporters[r.Repository.Forge]
	if !ok || r.Commit == "" {
		return nil
	}
	err = reporter.Report(ctx, Report{
		Repository: r.Repository, Ref: r.Ref, Commit: r.Commit, BuildID: r.ID, EventID: r.EventID, Seq: r.Seq,
		Context: r.StatusContext(), State: statusOf(r.State), Description: Describe(r), UpdatedAt: time.Now().UTC(), Record: &r,
	})
	if err != nil {
		return err
	}
	return c.reportEvent(ctx, r.EventID)
}

// statusOf puts a build's state in the words that forges share. Cancelled
// and superseded are errors there: the image of this commit does not exist.
func statusOf(s State) ReportState {
	switch {
	case !s.Terminal():
		return StatusPending
	case s.Good():
		return StatusSuccess
	case s == Failed:
		return StatusFailure
	}
	return StatusError
}
