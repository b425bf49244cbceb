package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Queue hands out builds, fair by repository, under fenced leases. All
// methods may be called concurrently.
type Queue interface {
	// Claim blocks until a build may run and leases it to the worker:
	// queued -> running, attempt + 1. Leases that ran out are put back into
	// the queue on the way. It returns ctx's error when ctx ends.
	Claim(ctx context.Context, worker string) (*Lease, error)
	// Advance moves the build to running or pushing and keeps what is known
	// of its result so far.
	Advance(ctx context.Context, l *Lease, s State, r Result) error
	// Finish ends the build in a terminal state, once, and puts its report
	// and the named triggers into the outbox in the same step.
	Finish(ctx context.Context, l *Lease, s State, r Result, fire ...string) error
	// Release hands the build back, queued as it was, when the worker stops.
	Release(ctx context.Context, l *Lease) error
}

// Leases keeps what a worker has claimed. ErrLeaseLost when the lease is
// another worker's.
type Leases interface {
	// Heartbeat renews the lease and tells whether the build was asked to
	// stop; nil: go on.
	Heartbeat(ctx context.Context, l *Lease) (*Stop, error)
	// AwaitStop keeps the lease alive until the build is asked to stop, and
	// hears that at once. Else it ends with ctx, or with the lease.
	AwaitStop(ctx context.Context, l *Lease) (*Stop, error)
}

// Lease is the right to run one attempt of one build.
type Lease struct {
	Build
	Worker  string
	Attempt int   // the fencing token: it only grows
	Lost    int   // leases of this build that ran out: each a worker that stopped answering
	Last    State // how the image's build before this one on the same ref ended; "" if none
}

// GivenUp is why a build ends whose workers keep being lost.
func GivenUp() *Failure {
	return &Failure{Stage: StageInternal, Message: "the build was given up: the workers that ran it stopped answering, one after the other. Push again or rebuild; if it happens again, the worker's log tells why (often it ran out of memory)"}
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

// LogChunk is a piece of a build's log. ID grows; reading on after an ID
// repeats nothing.
type LogChunk struct {
	ID   string
	Data []byte
}

// Logins gives an attempt the rights that it needs at the destination's
// registry, and no more. done ends them.
type Logins interface {
	Login(ctx context.Context, b Build, destination string) (login Login, done func(), err error)
}

// Solvers hands out the BuildKit daemon that a build may use. Domains and
// lanes never share a daemon's state.
type Solvers interface {
	// Acquire blocks until the daemon for the build's lane and domain is up,
	// starting it where it is ours. The caller releases it. The error is a
	// *Failure where the operator has no daemon for the lane.
	Acquire(ctx context.Context, b Build) (Daemon, error)
}

// Daemon is one BuildKit daemon, acquired.
type Daemon struct {
	Solver    Solver
	Toolchain Toolchain // part of every input key
	Shared    bool      // more than one trust domain may build with it: it gets no credentials
	Release   func()
}

// Worker claims builds and runs their attempts.
type Worker struct {
	Queue    Queue
	Leases   Leases
	Inputs   Inputs
	Logs     Logs
	Sources  Sources
	Solvers  Solvers
	Registry Registry
	Logins   Logins
	Vault    Vault // nil: builds use no credentials
	Triggers Triggers
	Redactor Redactor

	Name     string        // of this process, for leases
	Parallel int           // builds at the same time
	Host     string        // the embedded registry's, for destinations without one
	Timeout  time.Duration // of one attempt
	MaxLost  int           // leases that a build may lose before it is given up; 0: any
	Drain    time.Duration // how long running builds may go on after a stop
	Log      *slog.Logger
}

// Toolchain is what builds, beside the source: another one may make another
// image of the same input.
type Toolchain struct {
	Frontend string            // with its version
	BuildKit string            // the daemon's version
	Output   map[string]string // exporter options
}

// errStopping ends attempts when the worker stops before they are done.
var errStopping = errors.New("worker is stopping")

// stopped carries a Stop as the cause of a cancelled context.
type stopped struct{ Stop }

func (s stopped) Error() string { return string(s.State) + " " + s.Reason }

// Run claims builds until ctx ends, gives those in hand the drain time, and
// hands back the rest.
func (w *Worker) Run(ctx context.Context) error {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	drained := context.AfterFunc(ctx, func() {
		time.AfterFunc(w.Drain, func() { stop(errStopping) })
	})
	defer drained()
	var wg sync.WaitGroup
	for i := range max(w.Parallel, 1) {
		wg.Go(func() { w.loop(ctx, work, fmt.Sprintf("%s-%d", w.Name, i)) })
	}
	wg.Wait()
	return nil
}

func (w *Worker) loop(ctx, work context.Context, name string) {
	for ctx.Err() == nil {
		l, err := w.Queue.Claim(ctx, name)
		if err != nil {
			pause(ctx, w.Log, "claim a build", err)
			continue
		}
		w.attempt(work, l)
	}
}

// attempt runs one lease to its end and writes down how it ended. Only the
// fenced scripts of the queue decide whether that counts.
func (w *Worker) attempt(work context.Context, l *Lease) {
	log := w.Log.With("build", l.ID, "repo", l.Repository.FullName(), "commit", l.Commit, "attempt", l.Attempt)
	log.Info("build started")
	began := time.Now()
	l.Build = l.Build.At(began) // the tags' build time is known now
	ctx, cancel := context.WithCancelCause(work)
	var held sync.WaitGroup
	held.Go(func() { w.hold(ctx, cancel, l) })
	defer held.Wait()
	defer cancel(nil)

	// What ends the attempt must not end the telling of it.
	after := context.WithoutCancel(work)
	raw := w.Logs.OpenLog(after, l)
	out := w.Redactor.Writer(after, raw)
	a := &attempt{Worker: w, lease: l, log: log, out: out, began: began, fence: func(ctx context.Context) error {
		_, err := w.Leases.Heartbeat(ctx, l)
		return err
	}}
	timed, done := context.WithTimeout(ctx, w.Timeout)
	state, err := a.insist(timed)
	timedOut := timed.Err() != nil && ctx.Err() == nil
	done()

	cause := context.Cause(ctx)
	var s stopped
	switch {
	case err == nil:
	case errors.Is(cause, ErrLeaseLost) || errors.Is(err, ErrLeaseLost):
		log.Warn("build lease lost")
		state = ""
	case errors.As(cause, &s):
		state, a.result.Reason = s.State, s.Reason
		a.say("%s %s", s.State, s.Reason)
	case errors.Is(cause, errStopping):
		a.say("the builder is stopping; this build goes on when it is back")
		state = Queued
	case timedOut:
		state, a.result.Failure = Failed, &Failure{Stage: StageBuild, Err: err,
			Message: fmt.Sprintf("took longer than %s, the operator's limit for one build (limits.buildTimeout)", w.Timeout)}
	default:
		state, a.result.Failure = Failed, asFailure(err)
	}
	if f := a.result.Failure; state == Failed && f != nil {
		a.sayFailure(f)
	}
	a.closeLog()
	out.Close()
	raw.Close()
	a.redact(after, &a.result)
	if state != "" {
		a.finish(work, l, state, a.result, log)
	}
}

const (
	finishLimit = 15 * time.Minute // how long Redis may be away when a build ends
	lastWords   = 5 * time.Second  // for what is in hand when a stop comes, after the drain
)

// finish writes the end down, for as long as it takes: what was pushed must
// not be forgotten because Redis was away for some minutes. A worker that
// stops does not wait for that; the build is another attempt's then, which
// finds the same input built.
func (w *Worker) finish(work context.Context, l *Lease, s State, r Result, log *slog.Logger) {
	ctx, done := context.WithTimeout(context.WithoutCancel(work), finishLimit)
	defer done()
	defer context.AfterFunc(work, func() { time.AfterFunc(lastWords, done) })()
	for {
		var err error
		if s == Queued {
			err = w.Queue.Release(ctx, l)
		} else {
			fire := w.Triggers.Due(Record{Build: l.Build, Progress: Progress{State: s}, Result: r}, l.Last)
			err = w.Queue.Finish(ctx, l, s, r, fire...)
		}
		switch {
		case err == nil && r.Failure != nil:
			log.Info("build ended", "state", s, "digest", r.Digest, "failure", w.Redactor.Redact(ctx, r.Failure.Error()))
			return
		case err == nil:
			log.Info("build ended", "state", s, "digest", r.Digest)
			return
		case errors.Is(err, ErrLeaseLost) || ctx.Err() != nil:
			log.Warn("build end not written", "state", s, "err", err)
			return
		}
		pause(ctx, log, "finish build", err)
	}
}

// hold keeps the lease, and ends the attempt when it is lost or when somebody
// asked the build to stop.
func (w *Worker) hold(ctx context.Context, end context.CancelCauseFunc, l *Lease) {
	for ctx.Err() == nil {
		stop, err := w.Leases.AwaitStop(ctx, l)
		switch {
		case errors.Is(err, ErrLeaseLost):
			end(err)
			return
		case err != nil:
			pause(ctx, w.Log, "hold the lease of build "+l.ID, err)
		default:
			end(stopped{*stop})
			return
		}
	}
}

func asFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Stage: StageInternal, Err: err,
		Message: "something on the builder's side failed; the operator's log has the cause. Push again or rebuild to try once more"}
}
