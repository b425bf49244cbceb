package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// decide reads what the event is about and plans it. What the pusher can
// mend is part of the decision; an error means that trying again may help.
func (d *Dispatcher) decide(ctx context.Context, l *EventLease) (Decision, error) {
	if refused, err := d.identify(ctx, l); err != nil {
		return Decision{}, err
	} else if refused != nil {
		return *refused, nil
	}
	decision, err := d.byKind(ctx, l)
	if err != nil {
		return Decision{}, err
	}
	return d.registerFirst(ctx, l, decision), nil
}

func (d *Dispatcher) byKind(ctx context.Context, l *EventLease) (Decision, error) {
	switch l.Event.Kind {
	case Installation:
		return d.installation(ctx, l.Event)
	case Commanded:
		return d.command(ctx, l)
	case PullChanged:
		return d.pullChanged(ctx, l)
	case PullClosed:
		return d.pullClosed(ctx, l)
	case ImagePushed:
		return d.imagePushed(ctx, l)
	case MergeQueued:
		// Its branch is made for this one commit, so there is nothing to be
		// overtaken by, and no head worth keeping.
		return d.plan(ctx, l, d.input(l, l.Event))
	}
	return d.pushed(ctx, l)
}

// input is what planning an event of the lease's repository begins with.
func (d *Dispatcher) input(l *EventLease, e Event) PlanInput {
	return PlanInput{
		Event: e, Registry: d.Registry, Policy: d.Policy, Home: l.Home, Timezone: d.Timezone,
		TagOwners: l.TagOwners, Last: l.Last, Paused: l.Paused, Operators: d.Operators,
	}
}

// pushed decides what happened to a branch or a tag, and what is built by hand.
func (d *Dispatcher) pushed(ctx context.Context, l *EventLease) (Decision, error) {
	e, in := l.Event, d.input(l, l.Event)
	var head *Position
	if e.Ref != "" {
		next, stale, err := d.order(ctx, l)
		if err != nil {
			return Decision{}, err
		}
		if stale {
			return overtaken(e.Ref), nil
		}
		in.Generation = next.Generation
		if e.Kind != Requested {
			head = &next
		}
	}
	decision, err := d.plan(ctx, l, in)
	decision.Head = head
	return decision, err
}

func (d *Dispatcher) order(ctx context.Context, l *EventLease) (next Position, stale bool, err error) {
	return Order(l.Head, l.Event, func(ancestor, commit string) (bool, error) {
		return d.descends(ctx, l.Event.Repository, ancestor, commit)
	})
}

func overtaken(ref string) Decision {
	return Decision{Reasons: []Reason{{Message: fmt.Sprintf("%s: this was overtaken, the ref has moved on already", ref)}}}
}

// descends opens commit to look into its history. One that is gone has none.
func (d *Dispatcher) descends(ctx context.Context, repo Repository, ancestor, commit string) (bool, error) {
	src, err := d.openIfThere(ctx, repo, commit)
	if src == nil {
		return false, err
	}
	defer src.Close()
	return src.Descends(ctx, ancestor, commit)
}

// openIfThere is Sources.Open, and nil without an error for a commit that is gone.
func (d *Dispatcher) openIfThere(ctx context.Context, repo Repository, commit string) (Source, error) {
	src, err := d.Sources.Open(ctx, repo, commit)
	var f *Failure
	if errors.As(err, &f) || errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return src, nil
}

// plan plans an event whose build file is at its own commit: anything but a
// pull request.
func (d *Dispatcher) plan(ctx context.Context, l *EventLease, in PlanInput) (Decision, error) {
	e := in.Event
	if e.Commit == "" { // a deletion, or an uploaded Dockerfile
		return Plan(in), nil
	}
	c, err := d.open(ctx, e.Repository, e.Commit)
	if err != nil {
		return asDecision(err)
	}
	defer c.Close()
	switch {
	case len(c.file.mistakes) > 0:
		return Decision{Invalid: c.file.mistakes}, nil
	case c.file.parsed == nil:
		return d.suggest(ctx, c, Plan(in), e) // it tells what to write
	}
	in.File = c.file.parsed
	if in.Trusted, err = d.trusted(ctx, e, c.file); err != nil {
		return asDecision(err)
	}
	if !e.ByHand() && hasPaths(in.File) {
		in.Changed, in.Compared = d.changed(ctx, c, l, e)
	}
	return d.planAmongOthers(ctx, in)
}

// maxSuggested is how many Dockerfiles a suggested build file names.
const maxSuggested = 20

// suggest adds a build file to the hint that there is none: for the default
// branch, where somebody would put it.
func (d *Dispatcher) suggest(ctx context.Context, c *openCommit, decision Decision, e Event) (Decision, error) {
	if !d.Suggest[e.Repository.Forge] || e.Kind != BranchPushed || e.Ref != defaultRef(e.Repository) {
		return decision, nil
	}
	dockerfiles, err := c.Find(ctx, maxSuggested, IsDockerfile)
	if err != nil {
		return asDecision(err)
	}
	if len(dockerfiles) > 0 {
		s := Suggest(dockerfiles, e.Repository.Name, e.Repository.DefaultBranch)
		decision.Suggestion = &s
	}
	return decision, nil
}

// installationPrefix begins the ID that stands for all repositories of an
// installation, where a forge withdraws it as a whole.
const installationPrefix = "installation-"

// installation decides that we were let into a repository, or shut out.
func (d *Dispatcher) installation(ctx context.Context, e Event) (Decision, error) {
	if e.Withdrawn {
		const why = "registry-build was removed from the repository"
		if d.Left != nil {
			d.Left(e.Repository)
		}
		decision := Decision{StopAll: why, Reasons: []Reason{{Message: why}}}
		if strings.HasPrefix(e.Repository.ID, installationPrefix) {
			decision.StopInstallation = e.Repository.Installation
		}
		return decision, nil
	}
	if d.Seed != nil {
		if err := d.Seed(ctx, e.Repository); err != nil && !errors.Is(err, ErrNotFound) {
			return Decision{}, fmt.Errorf("seed the heads of %s: %w", e.Repository.FullName(), err)
		}
	}
	return Decision{Reasons: []Reason{{Message: "registry-build was let into the repository: what is pushed from now on is built"}}}, nil
}

// asDecision keeps what the pusher can mend as the decision itself.
func asDecision(err error) (Decision, error) {
	var f *Failure
	if errors.As(err, &f) {
		return Decision{Failure: f}, nil
	}
	return Decision{}, err
}
