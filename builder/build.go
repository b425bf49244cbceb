package builder

import (
	"strings"
	"time"

	"github.com/registry-build/registry-build/config"
)

// State is where a build stands. doc.go draws the machine.
type State string

const (
	Queued     State = "queued"
	Running    State = "running"
	Pushing    State = "pushing"
	Succeeded  State = "succeeded"
	Failed     State = "failed"
	Cancelled  State = "cancelled"
	Superseded State = "superseded"
	Promoted   State = "promoted" // the same input was built before: its digest got the tags
	Skipped    State = "skipped"
	Pushed     State = "pushed" // nothing was built: somebody pushed the image himself
)

// Terminal reports whether the state is final.
func (s State) Terminal() bool {
	switch s {
	case Queued, Running, Pushing:
		return false
	}
	return true
}

// Good reports whether the image is there: built now or before.
func (s State) Good() bool {
	return s == Succeeded || s == Promoted || s == Skipped || s == Pushed
}

// Priority orders a repository's queue; a lower number goes first.
type Priority int

const (
	PriorityCommand Priority = iota
	PriorityTag
	PriorityBranch
	PriorityPullRequest
	PriorityBase
)

// Lane separates what may touch secrets from what may not.
type Lane string

const (
	TrustedLane Lane = "trusted"
	ForkLane    Lane = "fork"
)

// Plan of one image: everything that was decided when the event was
// dispatched. It never changes; a rebuild is a new build.
type Build struct {
	ID         string     `json:"id"`
	EventID    string     `json:"eventId"`
	EventKind  EventKind  `json:"eventKind"`
	Repository Repository `json:"repository"`
	Image      string     `json:"image"` // name: status context and command argument
	Lane       Lane       `json:"lane"`
	Priority   Priority   `json:"priority"`
	Ref        string     `json:"ref,omitempty"`
	Commit     string     `json:"commit,omitempty"`  // what is built
	ShownOn    string     `json:"shownOn,omitempty"` // the commit that statuses go to, where it is another: a pull request's head
	Pull       *Pull      `json:"pull,omitempty"`
	Actor      string     `json:"actor,omitempty"`
	Rule       string     `json:"rule,omitempty"` // the rule that matched, as people wrote it
	Spec       Spec       `json:"spec"`

	Destination string   `json:"destination"`    // image repository; without host: the embedded registry
	Tags        []string `json:"tags,omitempty"` // may hold ${buildTime}: see At
	// Quiet are those of Tags that set no trigger off: only the commit's own
	// file gives them, and its ref has no authority.
	Quiet    []string         `json:"quiet,omitempty"`
	Triggers []config.Trigger `json:"triggers,omitempty"`
	// Names are what a policy may call the source repository: its key first,
	// and the names that it has had.
	Names    []string `json:"names,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // of planning

	Timezone   string    `json:"timezone,omitempty"` // of times in tags
	Seq        int64     `json:"seq"`                // of the event
	Generation int64     `json:"generation"`         // of the ref, when the event was dispatched
	AcceptedAt time.Time `json:"acceptedAt"`
	Lineage    string    `json:"lineage,omitempty"` // builds of one lineage supersede each other; "" never
}

// StatusCommit is the commit that people look at for this build.
func (b Build) StatusCommit() string {
	if b.ShownOn != "" {
		return b.ShownOn
	}
	return b.Commit
}

// Domain is the trust domain whose caches the build may use: its repository's,
// or that of the fork that it came from, which shares nothing with anybody.
func (b Build) Domain() string {
	if b.Lane == ForkLane && b.Pull != nil {
		return b.Repository.Domain() + " fork " + strings.ToLower(b.Pull.HeadOwner)
	}
	return b.Repository.Domain()
}

// Spec is what BuildKit is asked to do.
type Spec struct {
	Context    string            `json:"context"`          // relative to the repository root
	Dockerfile string            `json:"dockerfile"`       // relative to the repository root
	Inline     string            `json:"inline,omitempty"` // an uploaded Dockerfile: no repository, empty context
	Target     string            `json:"target,omitempty"`
	Platforms  []string          `json:"platforms,omitempty"`
	Args       map[string]string `json:"args,omitempty"`
	NoCache    bool              `json:"noCache,omitempty"`
	Secrets    []config.Secret   `json:"secrets,omitempty"` // names of credentials, never values
	SSH        []config.SSH      `json:"ssh,omitempty"`
}

// Record is a build with what became of it.
type Record struct {
	Build
	Progress
	Result
}

// Progress is kept by the queue and moves by fenced scripts only.
type Progress struct {
	State      State     `json:"state"`
	Attempt    int       `json:"attempt"`
	Worker     string    `json:"worker,omitempty"`
	QueuedAt   time.Time `json:"queuedAt,omitzero"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	Place      int       `json:"place,omitempty"` // in the queue, from 1; 0 when not queued
	Stop       *Stop     `json:"stop,omitempty"`  // a running build was asked to end
}

// Result is what one attempt found out.
type Result struct {
	Key     string       `json:"key,omitempty"` // input key
	Digest  string       `json:"digest,omitempty"`
	From    string       `json:"from,omitempty"` // the build whose digest was promoted
	Tagged  []TagOutcome `json:"tagged,omitempty"`
	Steps   []Step       `json:"steps,omitempty"` // as far as they are known, in the Dockerfile's order
	Notes   []Note       `json:"notes,omitempty"` // warnings of the Dockerfile's linter and the like
	Failure *Failure     `json:"failure,omitempty"`
	Reason  string       `json:"reason,omitempty"` // why cancelled, superseded or skipped
}

// Step is one step of a build, as BuildKit names it.
type Step struct {
	Name    string        `json:"name"` // at most 200 characters
	Started time.Time     `json:"started,omitzero"`
	Took    time.Duration `json:"took,omitempty"` // nanoseconds; 0 until it has ended
	Cached  bool          `json:"cached,omitempty"`
	Ended   bool          `json:"ended,omitempty"`
	Failed  bool          `json:"failed,omitempty"`
}

// Note is a remark about a place in a file of the commit.
type Note struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1
	EndLine int    `json:"endLine,omitempty"`
	Message string `json:"message"`
	URL     string `json:"url,omitempty"`
}

// TagOutcome is what became of one tag.
type TagOutcome struct {
	Tag      string `json:"tag"`
	Moved    bool   `json:"moved"`              // the tag names the digest now and did not before
	Previous string `json:"previous,omitempty"` // the digest that it named before
	HeldBy   string `json:"heldBy,omitempty"`   // commit that the guard left the tag on
	Quiet    bool   `json:"quiet,omitempty"`    // it sets no trigger off: Build.Quiet
}

// Held reports whether "latest means latest" kept the tag where it was.
func (o TagOutcome) Held() bool { return o.HeldBy != "" }

// BuildFilter picks builds from the list, newest first. An empty field
// matches all.
type BuildFilter struct {
	Repository string // Repository.Key
	Image      string
	Ref        string
	Commit     string
	State      State
	Limit      int    // 1 to 200; 0 is 50
	Before     string // the build ID that the page before ended with
}
