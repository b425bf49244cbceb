package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/config"
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

const (
	maxReadFile    = 1 << 20 // of a Dockerfile or build file; the latter has a lower limit of its own
	resolveTimeout = 10 * time.Second
	tries          = 5 // of one attempt, over half a minute
)

// attempt is one try at one build: the straight way from a lease to tags.
type attempt struct {
	*Worker
	lease  *Lease
	log    *slog.Logger
	out    io.Writer                       // the build's log, redacted
	fence  func(ctx context.Context) error // ErrLeaseLost when the attempt may not write any more
	began  time.Time
	result Result
}

// insist runs the attempt again while what failed is ours and not the
// pusher's: a builder or a registry that is away for a moment.
func (a *attempt) insist(ctx context.Context) (State, error) {
	for try := range tries {
		state, err := a.run(ctx)
		var f *Failure
		if err == nil || ctx.Err() != nil || errors.As(err, &f) || errors.Is(err, ErrLeaseLost) || try == tries-1 {
			return state, err
		}
		wait := time.Second << try
		a.log.Warn("attempt failed", "try", try+1, "wait", wait, "err", err)
		a.say("something on the builder's side failed; trying again in %s", wait)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(wait):
		}
	}
	return "", nil
}

// run returns how the build ended. What it learned is in a.result, also when
// it fails.
func (a *attempt) run(ctx context.Context) (State, error) {
	a.introduce()
	src, err := a.openSource(ctx)
	if err != nil {
		return "", err
	}
	defer src.Close()
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

func (a *attempt) introduce() {
	b := a.lease
	if b.Attempt > 1 {
		a.say("attempt %d: the builder of the attempt before was lost", b.Attempt)
	}
	if b.Commit != "" {
		a.say("building %s at %s (%s)", b.Image, shortCommit(b.Commit), b.Rule)
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

// prepare reads the Dockerfile and the context and pins the bases, so that
// nothing that decides the result can move between here and the solve.
func (a *attempt) prepare(ctx context.Context, src Source, login Login) (SolveRequest, error) {
	spec := a.lease.Spec
	dockerfile, err := src.ReadFile(ctx, spec.Dockerfile, maxReadFile)
	if errors.Is(err, fs.ErrNotExist) {
		return SolveRequest{}, &Failure{Stage: StageSource, File: spec.Dockerfile, Message: fmt.Sprintf(
			"there is no %s at commit %s; \"dockerfile:\" in %s names it, relative to the repository root",
			spec.Dockerfile, shortCommit(a.lease.Commit), config.BuildFileName)}
	}
	if err != nil {
		return SolveRequest{}, err
	}
	files, err := src.Context(ctx, spec.Context, spec.Dockerfile)
	if err != nil {
		return SolveRequest{}, err
	}
	inspection, err := a.Solver.Inspect(ctx, dockerfile, spec)
	if err != nil {
		return SolveRequest{}, err
	}
	pins, unpinned := a.pin(ctx, inspection.Bases, login)
	a.say("source and %s ready in %s", count(len(inspection.Bases), "base"), since(a.began))
	request := SolveRequest{
		ID:          fmt.Sprintf("%s-%d", a.lease.ID, a.lease.Attempt),
		Spec:        spec,
		Dockerfile:  dockerfile,
		Files:       files,
		SharedKey:   a.lease.Repository.Key() + ":" + spec.Context,
		Pins:        pins,
		Destination: a.destination(),
		Login:       login,
	}
	if inspection.Remote == "" && len(unpinned) == 0 && !spec.NoCache {
		a.result.Key = a.inputKey(request)
	}
	return request, nil
}

// pin asks for the digest of each base, once and all at the same time. A base
// that does not answer is left to BuildKit, and then the input is not known.
func (a *attempt) pin(ctx context.Context, bases []string, login Login) (pins map[string]string, unpinned []string) {
	ctx, done := context.WithTimeout(ctx, resolveTimeout)
	defer done()
	var mu sync.Mutex
	var wg sync.WaitGroup
	pins = make(map[string]string, len(bases))
	for _, base := range bases {
		wg.Go(func() {
			right := Login{}
			if login.Host != "" && strings.HasPrefix(base, login.Host+"/") {
				right = login
			}
			digest, err := a.Registry.Resolve(ctx, base, right)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.log.Debug("base not pinned", "base", base, "err", err)
				unpinned = append(unpinned, base)
				return
			}
			pins[base] = digest
		})
	}
	wg.Wait()
	return pins, unpinned
}

func (a *attempt) inputKey(r SolveRequest) string {
	return InputKey(InputKeyParts{
		Lane:        a.lease.Lane,
		Repository:  a.lease.Repository.Key(),
		Destination: a.lease.Destination, // without our host: it may move
		Frontend:    a.Toolchain.Frontend,
		BuildKit:    a.Toolchain.BuildKit,
		Output:      a.Toolchain.Output,
		Dockerfile:  r.Dockerfile,
		Context:     r.Files.Hash(),
		Args:        r.Spec.Args,
		Target:      r.Spec.Target,
		Platforms:   r.Spec.Platforms,
		Bases:       r.Pins,
	})
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
	solution, err := a.Solver.Solve(ctx, r, a.out)
	if err != nil {
		return "", err
	}
	a.result.Digest, a.result.Notes = solution.Digest, solution.Notes
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
		Login:      login,
		Owner:      fmt.Sprintf("%s-%d", b.ID, b.Attempt),
		Position:   Position{Repository: b.Repository.Key(), Ref: b.Ref, Commit: b.Commit, Generation: b.Generation, Seq: b.Seq},
		Descends:   src.Descends,
		Fence:      a.fence,
	})
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

// FullDestination adds the embedded registry's host to a name that has none.
// Such names are kept without host, so that a registry can move.
func FullDestination(host, destination string) string {
	if hasHost(destination) {
		return destination
	}
	return host + "/" + destination
}

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
