package builder

import (
	"context"
	"io"
	"io/fs"
)

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
	// What its RUN steps mount: ids, in order, once each.
	Secrets []string
	SSH     []string
}

// SolveRequest asks for one image of one platform.
type SolveRequest struct {
	ID          string // unique for the attempt
	Spec        Spec
	Dockerfile  []byte
	Files       Context
	Domain      string            // trust domain: its cache mounts are nobody else's
	SharedKey   string            // files already sent under this key are not sent again
	Pins        map[string]string // base reference -> digest
	Destination string            // image repository with host; "" builds without pushing
	Login       Login             // for the destination's registry
	BaseLogins  []BaseLogin       // for private bases; trusted lane only
	Secrets     map[string][]byte // id -> value of a secret mount; trusted lane only
	SSH         map[string][]byte // id -> private key, PEM, that an agent of the session holds; trusted lane only
	// Lane is ForkLane for what nobody trusts: it gets no login at all, no
	// network in its steps, and its result goes nowhere.
	Lane Lane
	// Hide stands in front of what each stream of a step prints, before these
	// are put together: in the log one may cut a secret of the other in two.
	// nil: there is nothing to hide.
	Hide func(io.Writer) io.WriteCloser
	// Progress is told the steps as they go on, in order, at most once a
	// second, and once at the end. It is called by one goroutine at a time and
	// must not block for long. nil: nobody asks.
	Progress func([]Step)
}

// Solution is what a solve made.
type Solution struct {
	Digest string // "" where nothing was pushed
	Notes  []Note
	Steps  []Step
}
