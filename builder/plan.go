package builder

import (
	"fmt"
	"time"

	"github.com/registry-build/registry-build/config"
)

// buildFileName is where a repository says what is built, at its root.
const buildFileName = config.BuildFileName

// Decision is what one event came to: builds, and a reason for everything
// that was not built. It is kept with the event, for the pusher, for /why and
// for the API.
type Decision struct {
	EventID string              `json:"eventId"`
	Builds  []Build             `json:"builds,omitempty"`
	Reasons []Reason            `json:"reasons,omitempty"`
	Invalid []config.Diagnostic `json:"invalid,omitempty"` // why the build file was refused
	Failure *Failure            `json:"failure,omitempty"` // the event could not be decided: source gone, …
	Hint    string              `json:"hint,omitempty"`    // no build file: what to write

	Answer     *Answer     `json:"answer,omitempty"`     // what a command came to
	Unapproved string      `json:"unapproved,omitempty"` // a fork's commit that waits for /ok-to-build
	Changes    []Change    `json:"changes,omitempty"`    // what merging the pull request's build file would change
	Suggestion *Suggestion `json:"suggestion,omitempty"` // with Hint: a build file that would fit

	// What deciding the event changes beside the builds.
	Head      *Position `json:"head,omitempty"`      // the ref stands here now
	CancelRef string    `json:"cancelRef,omitempty"` // the ref is gone: its queued builds end
	StopRef   string    `json:"stopRef,omitempty"`   // its running ones too: a pull request was closed
	StopAll   string    `json:"stopAll,omitempty"`   // why every build of the repository ends: we were shut out
	// StopInstallation is the installation that was withdrawn: the builds of
	// all its repositories end. StopAll says why.
	StopInstallation string            `json:"stopInstallation,omitempty"`
	Untag            int               `json:"untag,omitempty"`     // number of the closed pull request whose tags go
	Approve          *Approval         `json:"approve,omitempty"`   // a fork's commit may be built
	Pause            map[string]string `json:"pause,omitempty"`     // image ("": all) -> who paused it, "" resumes
	TagOwners        map[string]string `json:"tagOwners,omitempty"` // image:tag -> ref that came out as it first
	// Registers: the default branch moved, or this is the repository's first
	// event, and Registered are the triggers of that branch's file from now on,
	// for what people push themselves.
	Registers  bool           `json:"registers,omitempty"`
	Registered []Registration `json:"registered,omitempty"`
	// Pushes are the records of an ImagePushed that sets something off: one for
	// each source repository whose triggers are due, as each fires with its
	// own rights.
	Pushes    []Push    `json:"pushes,omitempty"`
	Known     *KnownTag `json:"known,omitempty"` // … and what its tag names, as far as we know
	DecidedAt time.Time `json:"decidedAt,omitzero"`
}

// Reason says why an image, or one of its rules, does not build for an event.
type Reason struct {
	Image   string `json:"image"`
	Rule    string `json:"rule,omitempty"` // as people wrote it, "" for the whole image
	Line    int    `json:"line,omitempty"` // of the rule in the build file
	Message string `json:"message"`
	Error   bool   `json:"error,omitempty"` // it should have built: somebody must mend something
	// Unchanged: the image would build, but none of the files that its `paths`
	// name has changed. It succeeds without a build, so that a required check
	// never hangs.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Change is one difference that merging a pull request would make to what is
// built: one line for a person.
type Change struct {
	Image string `json:"image"`
	Kind  string `json:"kind"` // added, changed, removed
	Text  string `json:"text"` // "rule branch: main: tags latest -> latest, stable"
}

// Suggestion is a build file for a repository that has Dockerfiles and none.
type Suggestion struct {
	Dockerfiles []string `json:"dockerfiles"`
	File        string   `json:"file"` // the text
}

// Approval is a maintainer's word that a fork's commit may be built. It is
// bound to the commit: what is pushed next needs another.
type Approval struct {
	Ref    string `json:"ref"` // PullRef
	Commit string `json:"commit"`
	By     string `json:"by"`
}

// PlanInput is everything that a decision depends on.
type PlanInput struct {
	Event Event
	// File is the build file at the event's commit; nil: there is none.
	File *config.BuildFile
	// Trusted is the default branch's file when the event's ref has no
	// authority of its own (an empty one where the default branch has none).
	// nil: File has the authority.
	Trusted *config.BuildFile
	// Registry is the policy's default, host[/prefix]; "": the embedded one,
	// whose names have no host.
	Registry  string
	Policy    []config.Policy
	Operators []config.ServerTrigger    // the server file's triggers
	Others    map[string][]Registration // image repository -> what the files of other source repositories registered
	Home      Home                      // where the default repositories of the source repository are
	Timezone  string                    // the server's, for files that name none; "": UTC
	TagOwners map[string]string         // image repository:tag -> ref, of the whole source repository
	// Generation of the event's ref, as Order counted it.
	Generation int64
	// Changed are the files that the event changed; Compared is false where
	// that is not known, and then everything builds.
	Changed  []string
	Compared bool
	Last     map[string]State  // image -> how its last build of the ref ended; a failed one is built again
	Paused   map[string]string // image ("": all) -> who paused it
	// Base is the base branch's file, of a pull request that changes it.
	Base *config.BuildFile
	// Source is the commit to build where it is not the event's: a pull
	// request's would-be merge.
	Source string
}

// Plan decides what an event builds. It is pure: the same input gives the same
// decision, ids included, so an event may be planned again after a crash. It
// reads no clock and does no I/O but for Go's table of time zones.
//
// A build by hand of a ref is matched like a push of it, except that
// `automatic: false`, a pause and `paths` do not stop it. Of a commit without a
// ref it builds every image (or those that were asked for) as its entry in the
// file says, without any rule, and tags it with the commit's short id only:
// whoever asks for a commit wants that image, and wants no tag to move for it,
// but for those of a promotion.
//
// What a fork sent is built in its own lane, whatever kind of event it is: no
// tags, no triggers, no secrets.
//
// The default branch's file registers what people's own pushes of its images
// set off, also where no rule builds; without a file that is nothing.
func Plan(in PlanInput) Decision {
	e := in.Event
	d := Decision{EventID: e.ID}
	if in.Base != nil {
		d.Changes = Compare(in.Base, in.File, e.Repository.Name)
	}
	subject := subjectOfEvent(e)
	d.Registers = registers(e) && (e.Commit != "" || e.Kind == BranchDeleted)
	switch {
	case e.Kind == BranchDeleted:
		d.CancelRef = e.Ref
		d.Reasons = []Reason{{Message: fmt.Sprintf("%s is deleted: there is nothing to build", subject)}}
	case e.Kind == TagDeleted:
		d.Reasons = []Reason{{Message: fmt.Sprintf("%s is deleted: its image stays", subject)}}
	case e.Request != nil && e.Request.Dockerfile != "":
		planUpload(in, &d)
	case e.Commit == "":
		d.Failure = &Failure{Stage: StageSource, Message: fmt.Sprintf("%s names no commit", subject)}
	case in.File == nil:
		d.Hint = fmt.Sprintf("no %s at %s: to build the Dockerfile at the root, commit one with the line: images: [{dockerfile: Dockerfile}]",
			buildFileName, shortCommit(e.Commit))
	default:
		p := newPlanner(in, &d)
		p.plan()
		if d.Registers {
			d.Registered = p.registered()
		}
	}
	return d
}
