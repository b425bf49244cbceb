package builder

import (
	"context"
	"time"
)

// Inbox holds accepted events until they are decided, one repository at a
// time. All methods may be called concurrently.
type Inbox interface {
	// NextEvent blocks until a repository that nobody else works on has an
	// undecided event, and leases that repository to the caller. It returns
	// ctx's error when ctx ends.
	NextEvent(ctx context.Context, worker string) (*EventLease, error)
	// Extend renews the lease. ErrLeaseLost when it is somebody else's.
	Extend(ctx context.Context, l *EventLease) error
	// Decide makes the decision durable in one step: builds queued, older
	// ones superseded, the ref's head moved, the event done. Deciding again
	// with the same builds changes nothing. ErrLeaseLost as above.
	Decide(ctx context.Context, l *EventLease, d Decision) error
	// Defer gives the event back, to be tried again after wait.
	Defer(ctx context.Context, l *EventLease, wait time.Duration) error
}

// EventLease is the right to decide one event.
type EventLease struct {
	Event     Event
	Head      *Position         // where the event's ref stood; nil: never seen or deleted
	TagOwners map[string]string // image:tag -> ref, of the whole repository
	Attempt   int               // from 1; deferring counts
	Token     string            // fences Decide, Defer and Extend
}

// Sources opens commits of repositories.
type Sources interface {
	// Open makes the commit readable, fetching it where the origin is
	// elsewhere. An error that the pusher can mend is a *Failure.
	Open(ctx context.Context, repo Repository, commit string) (Source, error)
	// Resolve returns the commit that a ref (refs/heads/main) or a commit's
	// first characters (7 or more) name now, ErrNotFound when none does.
	Resolve(ctx context.Context, repo Repository, rev string) (commit string, err error)
}

// Source is one commit.
type Source interface {
	// ReadFile returns a regular file of the commit, at most limit bytes.
	// The error is fs.ErrNotExist for a path that is not there and a
	// *Failure for one that leaves the repository or is no file.
	ReadFile(ctx context.Context, name string, limit int64) ([]byte, error)
	// Context makes a build context of the directory dir, without what the
	// .dockerignore that belongs to the Dockerfile leaves out.
	Context(ctx context.Context, dir, dockerfile string) (Context, error)
	// Descends reports whether commit has ancestor in its history, or is it.
	Descends(ctx context.Context, ancestor, commit string) (bool, error)
	// Close ends the processes behind the source.
	Close() error
}
