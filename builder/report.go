package builder

import (
	"context"
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
	UntagPull   EffectKind = "untag"   // ID: the event that closed the pull request
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
// must be harmless. A Later asks to be called again; reports of one build come
// one after the other, each with the state of its time.
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
	StatusWaiting ReportState = "waiting" // for a person: pending, where the forge has no word for it
	StatusNeutral ReportState = "neutral" // a remark; success, where the forge has no word for it
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

	Newest   bool        `json:"-"` // no newer build has this context at this commit
	Run      *TriggerRun `json:"-"` // of a report about one trigger: its context is TriggerContext
	Record   *Record     `json:"-"`
	Decision *Decision   `json:"-"`
	Event    *Event      `json:"-"`
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
	Trigger string      // name in Record.Triggers
	Before  *TriggerRun // what came of it the last time; nil: it was never called
}

// TriggerRun is the record of one trigger of one build.
type TriggerRun struct {
	BuildID   string        `json:"buildId"`
	Trigger   string        `json:"trigger"`
	Condition string        `json:"condition"` // as people wrote it
	Action    string        `json:"action"`    // "webhook https://…"
	Tags      []string      `json:"tags,omitempty"`
	State     RunState      `json:"state"`
	Attempts  int           `json:"attempts"`
	Answer    string        `json:"answer,omitempty"` // redacted, at most 4 KiB
	Error     string        `json:"error,omitempty"`
	URL       string        `json:"url,omitempty"`  // what it made: a pull request, a commit
	Memo      string        `json:"memo,omitempty"` // the kind's own, for its next call; never shown
	StartedAt time.Time     `json:"startedAt"`      // of the last attempt
	Took      time.Duration `json:"took"`           // nanoseconds; of the last attempt
	Retry     time.Duration `json:"-"`              // > 0: try again after this long
}

// RunState is how far a trigger of a build is.
type RunState string

const (
	RunWaiting   RunState = "waiting" // for another attempt
	RunRunning   RunState = "running" // begun, and watched to its end
	RunSucceeded RunState = "succeeded"
	RunFailed    RunState = "failed"
	RunSkipped   RunState = "skipped" // a newer image was rolled out first
)

// Terminal reports whether nothing more comes of it by itself.
func (s RunState) Terminal() bool { return s != RunWaiting && s != RunRunning }

// TriggerContext names the commit status of one trigger of the build. The
// aggregate leaves it out: a trigger never fails a build.
func (b Build) TriggerContext(trigger string) string { return b.StatusContext() + ": " + trigger }
