package builder

import (
	"context"
	"io"
	"io/fs"
)

// Queue hands out builds, fair by repository, under fenced leases. All
// methods may be called concurrently.
type Queue interface {
	// Claim blocks until a build may run and leases it to the worker:
	// queued -> running, attempt + 1. Leases that ran out are put back into
	// the queue on the way. It returns ctx's error when ctx ends.
	Claim(ctx context.Context, worker string) (*Lease, error)
	// Heartbeat renews the lease and tells whether the build was asked to
	// stop; nil: go on. ErrLeaseLost when the lease is another worker's.
	Heartbeat(ctx context.Context, l *Lease) (*Stop, error)
	// Advance moves the build to running or pushing and keeps what is known
	// of its result so far.
	Advance(ctx context.Context, l *Lease, s State, r Result) error
	// Finish ends the build in a terminal state, once, and puts its report
	// and the named triggers into the outbox in the same step.
	Finish(ctx context.Context, l *Lease, s State, r Result, fire ...string) error
	// Release hands the build back, queued as it was, when the worker stops.
	Release(ctx context.Context, l *Lease) error
}

// Lease is the right to run one attempt of one build.
type Lease struct {
	Build
	Worker  string
	Attempt int   // the fencing token: it only grows
	Last    State // how the image's build before this one on the same ref ended; "" if none
}

// Stop asks a running build to end in State (Cancelled or Superseded).
type Stop struct {
	State  State  `json:"state"`
	Reason string `json:"reason"` // "by ada", "by 4f2c1a on main"
}

// Inputs remembers which digest an input key built, and who builds one now.
type Inputs interface {
	// ClaimInput says what is known of the key. With neither a digest nor a
	// builder the caller has become the builder, until its lease ends.
	ClaimInput(ctx context.Context, l *Lease, key string) (Input, error)
	// KeepInput records the digest. ErrLeaseLost as in Queue.
	KeepInput(ctx context.Context, l *Lease, key, digest string) error
	// ForgetInput drops a digest that the registry no longer has.
	ForgetInput(ctx context.Context, key, digest string) error
	// AwaitBuild blocks until the build is in a terminal state.
	AwaitBuild(ctx context.Context, id string) (State, error)
}

// Input is what is known of an input key.
type Input struct {
	Digest   string // built before, by From
	From     string
	Building string // being built now by this build
}

// Logs opens the log of an attempt.
type Logs interface {
	// OpenLog returns a writer that batches (about 100 ms or 16 KiB), caps
	// (the first 256 KiB and the last 16 MiB stay) and never fails for want
	// of a lease: what a lost lease writes is dropped. Close flushes.
	OpenLog(ctx context.Context, l *Lease) io.WriteCloser
}

// Context is a build context: a file system in the shape that BuildKit's
// session reads, and the hash of all that it holds.
type Context interface {
	// Walk calls fn for target and everything below it in the order that
	// BuildKit's receiver needs; "" or "/" is the root.
	Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error
	Open(name string) (io.ReadCloser, error)
	// Hash covers paths, modes and contents of everything in the context.
	Hash() string
}

// Solver builds one platform of one image. It may be called concurrently.
type Solver interface {
	// Inspect reads a Dockerfile without building it. A Dockerfile that does
	// not parse is a *Failure with the line.
	Inspect(ctx context.Context, dockerfile []byte, s Spec) (Inspection, error)
	// Solve builds and pushes by digest, writing plain progress to log. The
	// error is ctx's when ctx ended, else a *Failure: StageBuild with the
	// failing line, StagePush when the registry refused.
	Solve(ctx context.Context, r SolveRequest, log io.Writer) (Solution, error)
}

// Inspection is what a Dockerfile needs from outside.
type Inspection struct {
	Bases  []string // image references as BuildKit normalises them, in order, once each
	Remote string   // a remote ADD or the like: its input cannot be known ("" if none)
}

// SolveRequest asks for one image of one platform.
type SolveRequest struct {
	ID          string // unique for the attempt
	Spec        Spec
	Dockerfile  []byte
	Files       Context
	SharedKey   string            // files already sent under this key are not sent again
	Pins        map[string]string // base reference -> digest
	Labels      map[string]string
	Destination string // image repository with host; "" builds without pushing
	Login       Login  // for the destination's registry
}

// Solution is what a solve made.
type Solution struct {
	Digest string
	Notes  []Note
}

// Login is a right at one registry, minted for one attempt where the
// registry is ours.
type Login struct {
	Host     string
	Username string
	Password string
}

// Registry reads and tags images by name. Errors that the pusher can mend
// are a *Failure; ErrNotFound where something is not there.
type Registry interface {
	// Resolve returns the digest that a reference names now.
	Resolve(ctx context.Context, reference string, login Login) (digest string, err error)
	// Put puts tags on a digest of the same repository: in parallel, once
	// each, only forward, all or (on error) none.
	Put(ctx context.Context, r TagRequest) ([]TagOutcome, error)
}

// TagRequest asks for tags on a digest that the repository has already.
type TagRequest struct {
	Repository string // with host
	Digest     string
	Tags       []string
	Login      Login
	Owner      string   // who asks: build and attempt
	Position   Position // where the build stands, for "latest means latest"
	// Descends is Source.Descends of the build's repository.
	Descends func(ctx context.Context, ancestor, commit string) (bool, error)
	// Fence returns ErrLeaseLost when the caller may no longer write.
	Fence func(ctx context.Context) error
}

// LogChunk is a piece of a build's log. ID grows; reading on after an ID
// repeats nothing.
type LogChunk struct {
	ID   string
	Data []byte
}
