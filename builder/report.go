package builder

import (
	"context"
	"time"
)

// Outbox holds what is still to be told or fired. An effect is kept until it
// is Done; adding one that waits already makes it one, newer, so running
// updates coalesce and the last state always gets out. All methods may be
// called concurrently.
type Outbox interface {
	// NextEffects blocks until effects of the lane are due and leases some of
	// them, at most so many, to the caller. A lease is short: see HoldEffects.
	NextEffects(ctx context.Context, worker string, lane EffectLane, most int) ([]*Effect, error)
	// HoldEffects renews the leases of effects that are in hand. lost are
	// those that somebody else has.
	HoldEffects(ctx context.Context, effects ...*Effect) (lost []*Effect, err error)
	// Done drops the effect, unless it was added again meanwhile.
	Done(ctx context.Context, e *Effect) error
	// Retry makes the effect due again after wait.
	Retry(ctx context.Context, e *Effect, wait time.Duration) error
	// Settle records how far a trigger is and, in the same step, drops its
	// effect where the run is over, or makes it due again after run.Retry; with
	// neither it stays leased: the run is under way. ErrLeaseLost when somebody
	// else has the effect.
	Settle(ctx context.Context, e *Effect, run TriggerRun, tell Telling) error
}

// EffectLane is a queue of effects of its own: what is fired waits for other
// people's servers, and what is told does not wait for that.
type EffectLane string

const (
	LaneReports  EffectLane = "reports"
	LaneTriggers EffectLane = "triggers"
)

// Telling says whether a commit is told how far a trigger is.
type Telling struct {
	When    TellWhen
	Commit  string
	Context string // of the status
}

// TellWhen is when a commit is told of a trigger.
type TellWhen string

const (
	TellNever  TellWhen = ""
	TellAlways TellWhen = "always"
	TellAgain  TellWhen = "told" // where it was told something of this trigger before
)

// EffectKind says what an effect's ID names.
type EffectKind string

const (
	ReportEvent EffectKind = "event"   // ID: event
	ReportBuild EffectKind = "build"   // ID: build
	ReportRun   EffectKind = "run"     // ID: build, Trigger: name
	FireTrigger EffectKind = "trigger" // ID: build, Trigger: name
	UntagPull   EffectKind = "untag"   // ID: the event that closed the pull request
)

// Effect is one report to make or one trigger to fire.
type Effect struct {
	Kind    EffectKind
	ID      string
	Trigger string
	Attempt int    // from 1
	Token   string // fences HoldEffects, Done, Retry and Settle
	Asked   int64  // another one for every time that a person asked for a trigger; 0: its build did
	By      string // who that was
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
	Trigger     string      `json:"trigger,omitempty"` // of a report about one
	Seq         int64       `json:"seq"`               // newer builds of a context win
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
	// Begin is the run of a firing that is about to be made, for people to
	// see. Nothing happens.
	Begin(ctx context.Context, f Firing) TriggerRun
	// Fire never panics on what a person wrote; the run's Retry says whether
	// trying again could help.
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
	BuildID    string        `json:"buildId"`
	Repository Repository    `json:"repository"` // of the build
	Image      string        `json:"image,omitempty"`
	Trigger    string        `json:"trigger"`
	Condition  string        `json:"condition"` // as people wrote it
	Action     string        `json:"action"`    // "webhook https://…"
	Tags       []string      `json:"tags,omitempty"`
	State      RunState      `json:"state"`
	Attempts   int           `json:"attempts"`         // since it was last asked for
	Answer     string        `json:"answer,omitempty"` // redacted, at most 4 KiB
	Error      string        `json:"error,omitempty"`
	URL        string        `json:"url,omitempty"`     // what it made: a pull request, a commit
	Memo       string        `json:"memo,omitempty"`    // the kind's own, for its next call; never shown
	FirstAt    time.Time     `json:"firstAt,omitzero"`  // of the very first attempt
	StartedAt  time.Time     `json:"startedAt"`         // of the last attempt
	NextAt     time.Time     `json:"nextAt,omitzero"`   // of the next, while it waits
	Took       time.Duration `json:"took"`              // nanoseconds; of the last attempt, up to now while it runs
	Asked      int64         `json:"asked,omitempty"`   // Effect.Asked
	AskedBy    string        `json:"askedBy,omitempty"` // who asked for it last; "": its build did
	Retry      time.Duration `json:"-"`                 // > 0: try again after this long
}

// RunFilter picks trigger runs from the list, those of the newest builds
// first. An empty field matches all.
type RunFilter struct {
	Repository string // Repository.Key
	Trigger    string
	State      RunState
	Limit      int    // 1 to 200; 0 is 50
	Before     string // what the page before ended with
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
