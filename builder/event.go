package builder

import (
	"strings"
	"time"
)

// EventKind is what happened, in words that every forge shares.
type EventKind string

const (
	BranchPushed  EventKind = "branch_pushed"
	BranchDeleted EventKind = "branch_deleted"
	TagPushed     EventKind = "tag_pushed"
	TagDeleted    EventKind = "tag_deleted"
	PullChanged   EventKind = "pull_changed" // a pull request was opened or its head has moved
	PullClosed    EventKind = "pull_closed"
	MergeQueued   EventKind = "merge_queued"         // a merge queue wants its would-be merge checked
	Requested     EventKind = "requested"            // API or command line: a build by hand
	Commanded     EventKind = "commanded"            // a comment, a button, a re-run
	Installation  EventKind = "installation_changed" // we were let into a repository, or shut out
	ImagePushed   EventKind = "image_pushed"         // somebody's own push of an image; its repository is the one that builds it, if any does
)

// Repository is a source repository at a forge. Records, policy and queues
// bind to Key, which survives a rename; Owner and Name are for people and for
// the default image repository.
type Repository struct {
	Forge         string `json:"forge"` // instance: "git", "github", …
	ID            string `json:"id"`    // the forge's numeric id; plaingit: its path
	Owner         string `json:"owner"`
	Name          string `json:"name"`
	DefaultBranch string `json:"defaultBranch,omitempty"`
	// Installation is the right by which the forge lets us in: GitHub's
	// installation id. It changes when the app is installed again, so nothing
	// binds to it. "" where the forge knows no such thing.
	Installation string `json:"installation,omitempty"`
}

// Key names the repository for ever: forge instance and the forge's own id.
func (r Repository) Key() string { return r.Forge + ":" + r.ID }

// Domain is the trust domain: whoever may write one of an owner's repositories
// may reach what the others leave behind in a builder, and nobody else may.
func (r Repository) Domain() string { return r.Forge + ":" + strings.ToLower(r.Owner) }

// FullName is owner/name.
func (r Repository) FullName() string { return r.Owner + "/" + r.Name }

// Qualified is FullName behind the forge's instance: what people write where
// they mean that forge's and nobody else's.
func (r Repository) Qualified() string { return r.Forge + ":" + r.FullName() }

// Event is one thing that happened to one ref of one repository, verified by
// the forge's adapter. Seq and AcceptedAt are given by the store when it
// accepts the event and never change after that.
type Event struct {
	ID         string     `json:"id"` // <forge instance>:<delivery>[:<ref>]; a comment stands for its delivery
	Kind       EventKind  `json:"kind"`
	Repository Repository `json:"repository"`
	Ref        string     `json:"ref,omitempty"`    // refs/heads/main
	Before     string     `json:"before,omitempty"` // "" where the ref is new
	Commit     string     `json:"commit,omitempty"` // "" where the ref is gone
	Actor      string     `json:"actor,omitempty"`
	Pull       *Pull      `json:"pull,omitempty"`      // PullChanged and PullClosed
	Command    *Command   `json:"command,omitempty"`   // Commanded only
	Request    *Request   `json:"request,omitempty"`   // a build by hand, whatever kind of event it repeats
	Withdrawn  bool       `json:"withdrawn,omitempty"` // Installation only: we may not go in any more
	Protected  bool       `json:"protected,omitempty"` // the ref is protected at the forge
	Image      *ImagePush `json:"image,omitempty"`     // ImagePushed only
	Via        string     `json:"via,omitempty"`       // which webhook told it, where its forge signs nothing: see Confirmer

	Seq        int64     `json:"seq,omitempty"`        // acceptance order over all repositories
	AcceptedAt time.Time `json:"acceptedAt,omitempty"` // the redis server's clock
}

// ByHand reports whether somebody asked for the build, so that `automatic:
// false` and a pause do not stop it.
func (e Event) ByHand() bool { return e.Request != nil }

// Request is a build by hand: of a ref or commit of the event's repository,
// or of an uploaded Dockerfile that has no repository at all.
type Request struct {
	Image      string   `json:"image,omitempty"`  // build only this one; "" builds what the rules say
	Images     []string `json:"images,omitempty"` // … or these: the failed ones of an event
	NoCache    bool     `json:"noCache,omitempty"`
	Dockerfile string   `json:"dockerfile,omitempty"` // uploaded text
	Repository string   `json:"repository,omitempty"` // image repository of the upload
	Tags       []string `json:"tags,omitempty"`       // tags of the upload, or of a commit's promotion
}

// ImagePush is a tag that somebody put on an image himself.
type ImagePush struct {
	Destination string `json:"destination"` // image repository; without host: the embedded registry
	Tag         string `json:"tag"`
	Digest      string `json:"digest"`
}

// Receipt is the store's answer to an event.
type Receipt struct {
	Seq       int64
	Duplicate bool // the delivery was accepted before; nothing was written
}

// Position is where a tag or a ref's head stands in the order of pushes.
type Position struct {
	Repository string `json:"repository"` // Repository.Key
	Ref        string `json:"ref"`
	Commit     string `json:"commit"`
	Generation int64  `json:"generation"` // counts the force pushes of the ref
	Seq        int64  `json:"seq"`
	Digest     string `json:"digest,omitempty"` // of a tag: what it names there
	// Of a tag: whoever put it here moved it to another digest, and whether
	// that set no trigger off (Build.Quiet). So the same build, after a crash,
	// and the first that may set triggers off still do.
	Moved bool `json:"moved,omitempty"`
	Quiet bool `json:"quiet,omitempty"`
}
