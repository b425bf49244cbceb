package builder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/registry-build/registry-build/config"
)

// Inbox holds accepted events until they are decided, one repository at a
// time. All methods may be called concurrently.
type Inbox interface {
	// NextEvent blocks until a repository that nobody else works on has an
	// undecided event, and leases that repository to the caller. It returns
	// ctx's error when ctx ends.
	NextEvent(ctx context.Context, worker string) (*EventLease, error)
	// ClaimHome gives the event's repository its home, the lease's Home, under the
	// name that it has in the lease.
	ClaimHome(ctx context.Context, l *EventLease) error
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
	Event      Event
	Head       *Position         // where the event's ref stood; nil: never seen, no Commit: deleted
	TagOwners  map[string]string // image:tag -> ref, of the whole repository
	Last       map[string]State  // image -> how its last build of the event's ref ended
	Paused     map[string]string // image ("": all) -> who paused it
	Home       Home              // of the repository; ClaimHome sets it
	Approved   string            // the commit of the event's pull request that a maintainer approved
	Registered bool              // the default branch's file was read for Registrations since we were let in
	Attempt    int               // from 1; deferring counts
	Token      string            // fences Decide, Defer and Extend
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
	// Find returns the paths of the regular files that match, in order, at
	// most limit of them.
	Find(ctx context.Context, limit int, match func(path string) bool) ([]string, error)
	History
	// Close ends the processes behind the source.
	Close() error
}

// History is where a commit stands among others. Of a commit that is gone
// Descends is false, and the others' error is ErrNotFound.
type History interface {
	// Descends reports whether commit has ancestor in its history, or is it.
	Descends(ctx context.Context, ancestor, commit string) (bool, error)
	// Changed returns the paths that differ between the two commits, in order.
	Changed(ctx context.Context, from, to string) ([]string, error)
	// MergeBase returns the best common ancestor; ErrNotFound without one.
	MergeBase(ctx context.Context, a, b string) (string, error)
}

// Past is what was built and decided before, for commands.
type Past interface {
	Build(ctx context.Context, id string) (Record, error)
	Builds(ctx context.Context, f BuildFilter) (page []Record, next string, err error)
	Event(ctx context.Context, id string) (Event, error)
	// Latest returns what the last push to the ref (or change of the pull
	// request) came to; commands do not count. ErrNotFound.
	Latest(ctx context.Context, repoKey, ref string) (Decision, error)
	// Cancel ends a queued build and asks a running one to stop. It returns
	// the state that the build is in then; ErrState when it has ended.
	Cancel(ctx context.Context, id, reason string) (State, error)
}

// Positions knows where refs stand.
type Positions interface {
	// Head returns where the ref stands: nil where it was never seen, no
	// Commit where it is deleted.
	Head(ctx context.Context, repoKey, ref string) (*Position, error)
}

const (
	extendEvery   = 5 * time.Second
	decideLimit   = 2 * time.Minute // a fetch that hangs is tried again
	deferAtMost   = 5 * time.Minute
	giveUpOnEvent = 12 // attempts, about half an hour
)

// Dispatcher decides what events come to, one at a time for a repository.
type Dispatcher struct {
	Inbox     Inbox
	Sources   Sources
	Forges    map[string]Forge // by instance; those that have people and pull requests
	Past      Past             // what was before; nil: there are no commands
	Positions Positions        // for commands
	Registry  string           // default registry: host[/prefix]; "" is the embedded one
	Policy    []config.Policy  // what repositories may push elsewhere
	Timezone  string           // for times in tags where the file names none
	Merge     map[string]bool  // forge instances whose pull requests are built as if merged
	Suggest   map[string]bool  // … where commits without a build file get a suggestion
	Name      string           // of this process, for leases
	Parallel  int              // repositories decided at the same time
	Log       *slog.Logger

	Registrations Registrations          // for images that people push themselves; nil: nothing comes of those
	Operators     []config.ServerTrigger // the server file's triggers
	Triggers      Triggers               // says which triggers a push sets off
	// TagNames returns the digest that a tag of an image repository names now,
	// ErrNotFound where it names none, so that what is told late sets nothing
	// off. nil: what is told is believed.
	TagNames func(ctx context.Context, destination, tag string) (digest string, err error)

	// Seed is called when we are let into a repository. May be nil.
	Seed func(ctx context.Context, repo Repository) error
	// Left is called when we are shut out of one, so that rights that were
	// lent to us are forgotten. May be nil.
	Left func(repo Repository)

	crowd crowd
}

// Run decides events until ctx ends and waits for those in hand.
func (d *Dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range max(d.Parallel, 1) {
		wg.Go(func() { d.loop(ctx, fmt.Sprintf("%s-%d", d.Name, i)) })
	}
	wg.Wait()
	return nil
}

func (d *Dispatcher) loop(ctx context.Context, name string) {
	for ctx.Err() == nil {
		l, err := d.Inbox.NextEvent(ctx, name)
		if err != nil {
			pause(ctx, d.Log, "next event", err)
			continue
		}
		d.dispatch(ctx, l)
	}
}

func (d *Dispatcher) dispatch(ctx context.Context, l *EventLease) {
	log := d.Log.With("event", l.Event.ID, "repo", l.Event.Repository.FullName(), "commit", l.Event.Commit)
	// Deciding outlives a stop by a moment: mostly it takes milliseconds, and
	// giving the event back would only repeat them.
	work := context.WithoutCancel(ctx)
	held, lose := context.WithCancelCause(work)
	var extending sync.WaitGroup
	extending.Go(func() { d.extend(held, lose, l, log) })
	defer extending.Wait()
	defer lose(nil)

	limited, done := context.WithTimeout(held, decideLimit)
	hurry := context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, done) })
	decision, err := d.decide(limited, l)
	hurry()
	done()
	var later Later
	switch {
	case err == nil:
	case errors.Is(context.Cause(held), ErrLeaseLost):
		return // somebody else decides it
	case errors.As(err, &later) || l.Attempt < giveUpOnEvent:
		wait, level := time.Second<<min(l.Attempt, 20), slog.LevelWarn
		if later.Wait > 0 { // a limit of the forge's, which passes however long it takes
			wait, level = max(later.Wait, time.Second), slog.LevelInfo
		}
		wait = min(wait, deferAtMost)
		log.Log(ctx, level, "event deferred", "attempt", l.Attempt, "wait", wait, "err", err)
		if err := d.Inbox.Defer(work, l, wait); err != nil {
			log.Error("defer event", "err", err)
		}
		return
	default:
		log.Error("event given up", "attempts", l.Attempt, "err", err)
		decision = Decision{Failure: &Failure{Stage: StageInternal,
			Message: "the commit could not be read; the operator's log has the cause"}}
	}
	decision.EventID = l.Event.ID
	decision.DecidedAt = time.Now().UTC()
	if err := d.Inbox.Decide(work, l, decision); err != nil {
		log.Error("decide event", "err", err)
		return
	}
	log.Info("event decided", "builds", len(decision.Builds))
}

// extend renews the lease until ctx ends, or ends it when the lease is lost.
func (d *Dispatcher) extend(ctx context.Context, lose context.CancelCauseFunc, l *EventLease, log *slog.Logger) {
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			switch err := d.Inbox.Extend(ctx, l); {
			case errors.Is(err, ErrLeaseLost):
				log.Warn("event lease lost")
				lose(ErrLeaseLost)
				return
			case err != nil && ctx.Err() == nil:
				log.Debug("extend event lease", "err", err) // Decide will tell
			}
		}
	}
}

// pause waits a moment after an error of the store, so that a dead Redis
// does not spin the loop; the first healthy call goes on at once.
func pause(ctx context.Context, log *slog.Logger, doing string, err error) {
	if ctx.Err() != nil {
		return
	}
	log.Error(doing, "err", err)
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}
