package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

const tries = 5 // of one attempt, with 15 s of waiting in all: a daemon is started again in 2 s

// attempt is one try at one build: the straight way from a lease to tags.
type attempt struct {
	*Worker
	lease  *Lease
	log    *slog.Logger
	daemon Daemon                          // that this try builds with
	out    io.Writer                       // the build's log, redacted
	fence  func(ctx context.Context) error // ErrLeaseLost when the attempt may not write any more
	began  time.Time
	result Result

	// What hides the credentials that this attempt opened.
	hidden  []string // values
	closers []io.Closer
}

// insist runs the attempt again while what failed is ours and not the
// pusher's: a builder or a registry that is away for a moment. All that run
// does may be done twice: it pushes by digest and puts tags where they are.
func (a *attempt) insist(ctx context.Context) (State, error) {
	if a.MaxLost > 0 && a.lease.Lost >= a.MaxLost {
		return "", GivenUp()
	}
	a.introduce()
	for try := 1; ; try++ {
		state, err := a.run(ctx)
		if err == nil || ctx.Err() != nil || try == tries || !mayPass(err) {
			return state, err
		}
		wait := time.Second << (try - 1)
		a.log.Warn("attempt failed", "try", try, "wait", wait, "err", a.Redactor.Redact(ctx, err.Error()))
		a.say("%s; trying again in %s", ours(err), wait)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(wait):
		}
	}
}

// mayPass reports whether an error may be gone when the attempt is made again.
// Everything may, but what the pusher has to mend and a lease that is lost.
func mayPass(err error) bool {
	var f *Failure
	if errors.As(err, &f) {
		return f.Stage == StageInternal
	}
	return !errors.Is(err, ErrLeaseLost)
}

// ours is what happened on the builder's side, as far as a person may know it.
func ours(err error) string {
	var f *Failure
	if !errors.As(err, &f) {
		return "something on the builder's side failed"
	}
	what, _, _ := strings.Cut(f.Message, ";") // the rest tells what to do, which is being done
	return what
}

// run returns how the build ended. What it learned is in a.result, also when
// it fails.
func (a *attempt) run(ctx context.Context) (State, error) {
	src, err := a.openSource(ctx)
	if err != nil {
		return "", err
	}
	defer src.Close()
	if a.daemon, err = a.Solvers.Acquire(ctx, a.lease.Build); err != nil {
		return "", err
	}
	defer a.daemon.Release()
	if a.lease.Lane == ForkLane {
		return a.tryOut(ctx, src)
	}
	login, done, err := a.Logins.Login(ctx, a.lease.Build, a.destination())
	if err != nil {
		return "", err
	}
	defer done()

	request, err := a.prepare(ctx, src, login)
	if err != nil {
		return "", err
	}
	state, err := a.digest(ctx, request)
	if err != nil {
		return "", err
	}
	if err := a.Queue.Advance(ctx, a.lease, Pushing, a.result); err != nil {
		return "", err
	}
	return state, a.tag(ctx, src, login)
}

// tryOut builds what a fork sent: with nobody's login, and the result goes
// nowhere. Nothing that it makes can ever stand for an image of the repository.
func (a *attempt) tryOut(ctx context.Context, src Source) (State, error) {
	request, err := a.prepare(ctx, src, Login{})
	if err != nil {
		return "", err
	}
	request.Destination, a.result.Key = "", ""
	if _, err := a.solve(ctx, request); err != nil {
		return "", err
	}
	if err := a.Queue.Advance(ctx, a.lease, Pushing, a.result); err != nil {
		return "", err
	}
	a.say("built in %s; it comes from a fork, so nothing is pushed", since(a.began))
	return Succeeded, nil
}

// solve builds, and keeps what was learned also of a build that fails.
func (a *attempt) solve(ctx context.Context, r SolveRequest) (Solution, error) {
	r.Progress = func(steps []Step) { a.progress(ctx, steps) }
	r.Hide = func(w io.Writer) io.WriteCloser { return a.Redactor.Writer(context.WithoutCancel(ctx), w) }
	solution, err := a.daemon.Solver.Solve(ctx, r, a.out)
	if len(solution.Steps) > 0 {
		a.result.Steps = solution.Steps
	}
	if err == nil {
		a.result.Digest, a.result.Notes, a.result.From = solution.Digest, solution.Notes, ""
	}
	a.redact(context.WithoutCancel(ctx), &a.result) // people see it before the end
	return solution, err
}

// progress shows how far the build is. What cannot be written now is written
// with the next step, or with the end.
func (a *attempt) progress(ctx context.Context, steps []Step) {
	a.result.Steps = redactSteps(ctx, a.Redactor, steps)
	if err := a.Queue.Advance(ctx, a.lease, Running, a.result); err != nil && ctx.Err() == nil {
		a.log.Debug("progress not written", "err", err)
	}
}

func (a *attempt) introduce() {
	b := a.lease
	if b.Attempt > 1 {
		a.say("attempt %d: the one before was interrupted", b.Attempt)
	}
	switch {
	case b.Rule != "":
		a.say("building %s at %s (%s)", b.Image, shortCommit(b.Commit), b.Rule)
	case b.Commit != "":
		a.say("building %s at %s", b.Image, shortCommit(b.Commit))
	default:
		a.say("building %s from an uploaded Dockerfile", b.Image)
	}
	for _, warning := range b.Warnings {
		a.say("warning: %s", warning)
	}
}

func (a *attempt) openSource(ctx context.Context) (Source, error) {
	if a.lease.Spec.Inline != "" {
		return inlineSource{dockerfile: []byte(a.lease.Spec.Inline)}, nil
	}
	return a.Sources.Open(ctx, a.lease.Repository, a.lease.Commit)
}

// digest gets the image into the registry: the digest that the same input
// made before, the one that another build is making now, or a new one.
func (a *attempt) digest(ctx context.Context, r SolveRequest) (State, error) {
	for a.result.Key != "" {
		in, err := a.Inputs.ClaimInput(ctx, a.lease, a.result.Key)
		if err != nil {
			return "", err
		}
		if in.Building != "" && in.Building != a.lease.ID {
			a.say("the same input is being built by %s; waiting for it", in.Building)
			if _, err := a.Inputs.AwaitBuild(ctx, in.Building); err != nil && !errors.Is(err, ErrNotFound) {
				return "", err
			}
			continue
		}
		if in.Digest == "" {
			break
		}
		_, err = a.Registry.Resolve(ctx, r.Destination+"@"+in.Digest, r.Login)
		if err == nil {
			a.say("same input as build %s: nothing to build", in.From)
			a.result.Digest, a.result.From = in.Digest, in.From
			return Promoted, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return "", err
		}
		if err := a.Inputs.ForgetInput(ctx, a.result.Key, in.Digest); err != nil {
			return "", err
		}
	}
	solution, err := a.solve(ctx, r)
	if err != nil {
		return "", err
	}
	if a.result.Key == "" {
		return Succeeded, nil
	}
	return Succeeded, a.Inputs.KeepInput(ctx, a.lease, a.result.Key, solution.Digest)
}

func (a *attempt) tag(ctx context.Context, src Source, login Login) error {
	b := a.lease
	tagged, err := a.Registry.Put(ctx, TagRequest{
		Repository: a.destination(),
		Digest:     a.result.Digest,
		Tags:       a.lease.Tags,
		Quiet:      a.lease.Quiet,
		Login:      login,
		Owner:      fmt.Sprintf("%s-%d", b.ID, b.Attempt),
		Position:   Position{Repository: b.Repository.Key(), Ref: b.Ref, Commit: b.Commit, Generation: b.Generation, Seq: b.Seq},
		Descends:   src.Descends,
		Fence:      a.fence,
	})
	for i, t := range tagged {
		tagged[i].Quiet = slices.Contains(b.Quiet, t.Tag)
	}
	a.result.Tagged = tagged
	if err != nil {
		return err
	}
	for _, t := range tagged {
		if t.Held() {
			a.say("tag %s left on %s, which is newer", t.Tag, shortCommit(t.HeldBy))
			continue
		}
		a.say("tag %s:%s", a.destination(), t.Tag)
	}
	a.say("digest %s@%s", a.destination(), a.result.Digest)
	if a.result.From != "" {
		a.say("promoted in %s, without a build", since(a.began))
	} else {
		a.say("done in %s", since(a.began))
	}
	return nil
}

// destination is the image repository with its host.
func (a *attempt) destination() string { return FullDestination(a.Host, a.lease.Destination) }

// say writes one line of our own into the build's log.
func (a *attempt) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

func (a *attempt) sayFailure(f *Failure) {
	a.say("")
	a.say("failed: %s", f.Message)
	if f.Excerpt != "" {
		a.say("%s", strings.TrimRight(f.Excerpt, "\n"))
	}
	if f.Output != "" {
		a.say("the step's last output:\n%s", strings.TrimRight(f.Output, "\n"))
	}
}

func since(t time.Time) time.Duration {
	d := time.Since(t)
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
