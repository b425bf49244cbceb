package builder

import (
	"context"
	"time"
)

// Forge is what deciding an event may have to ask the repository's forge. A
// forge without pull requests and people, the git remote, has none. All
// methods may be called concurrently; an error means that trying again may
// help, unless it is ErrDenied: what asks lacks a permission.
type Forge interface {
	// Pull returns a pull request as it is now. ErrNotFound.
	Pull(ctx context.Context, repo Repository, number int) (Pull, error)
	// Permission returns what the person may do in the repository.
	Permission(ctx context.Context, repo Repository, person string) (Permission, error)
	// Protected reports whether the branch (refs/heads/main) is protected at
	// the forge, so that not everybody who can push can push to it. False
	// when it is not there, or when we are not allowed to know.
	Protected(ctx context.Context, repo Repository, ref string) (bool, error)
}

// Origin is where one repository is: Dir or URL, not both.
type Origin struct {
	// Dir is a git directory of this machine. It is read as it is: nothing
	// is mirrored and nothing is written.
	Dir string
	// URL is fetched into the mirror: file, http, https, ssh or git.
	URL string
	// Header is a whole HTTP header line, such as "Authorization: Bearer …".
	// It reaches git through the environment, never through arguments or the
	// mirror's configuration, and is not sent on to where a server redirects.
	Header string
	// CA is a PEM file of the certificate authorities that the URL's server is
	// trusted by, Proxy the address of the HTTP or SOCKS proxy that leads
	// there; "" leaves both to the system.
	CA, Proxy string
}

// Commenter is a forge that people talk to us on: what a Reporter may be able
// to do beside.
type Commenter interface {
	// Show makes the one comment that we keep on the thread's pull request or
	// commit show it. Showing the same thing twice must be harmless.
	Show(ctx context.Context, t Thread) error
	// React acknowledges a command at its comment: done or refused.
	React(ctx context.Context, repo Repository, c Command, refused bool) error
}

// Thread is all that we have to say on a pull request or a commit. One
// comment holds it, so that nobody's page fills up with us.
type Thread struct {
	Repository Repository `json:"repository"`
	Pull       int        `json:"pull,omitempty"`   // 0: it is a commit's
	Commit     string     `json:"commit,omitempty"` // of a commit's thread
	Remarks    []Remark   `json:"remarks"`          // oldest first
	Shown      bool       `json:"shown,omitempty"`  // it had remarks before, so there is a comment
}

// Remark is one thing said. A newer one of the same topic takes its place; one
// without Text is dropped.
type Remark struct {
	Topic   string    `json:"topic"`             // TopicFork, …, or the event of a command
	Command string    `json:"command,omitempty"` // the line that it answers
	By      string    `json:"by,omitempty"`      // who wrote that
	Text    string    `json:"text"`              // Markdown
	Seq     int64     `json:"seq"`               // of the event
	At      time.Time `json:"at"`
}

// Topics that are not an answer's.
const (
	TopicFork    = "fork"    // a fork's commit waits for a maintainer
	TopicChanges = "changes" // what merging a changed build file would change
	TopicTags    = "tags"    // what became of the tags when the pull request was closed
)

// Later is a Reporter's or Commenter's word that it was not told yet and
// should be asked again after the wait: a limit of the forge's, or an update
// that can wait for the next one. It is nobody's failure.
type Later struct {
	Wait   time.Duration
	Reason string // for the operator's log
}

func (l Later) Error() string { return "later, in " + l.Wait.String() + ": " + l.Reason }
