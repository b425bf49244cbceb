package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/registry-build/registry-build/config"
)

// pullChanged decides that a pull request was opened, or that its head moved.
func (d *Dispatcher) pullChanged(ctx context.Context, l *EventLease) (Decision, error) {
	e := l.Event
	if e.Pull == nil {
		return Decision{Failure: &Failure{Stage: StageInternal, Message: "the event names no pull request"}}, nil
	}
	next, stale, err := d.order(ctx, l)
	if err != nil {
		return Decision{}, err
	}
	if l.Head != nil && l.Head.Commit == e.Commit {
		stale = false // opened again, or against another base
	}
	if stale {
		return overtaken(e.Ref), nil
	}
	if l.Head != nil && l.Head.Commit == "" {
		// It was closed: this comes late, or it is open again.
		switch now, err := d.pullNow(ctx, e); {
		case err != nil:
			return Decision{}, err
		case now != nil && !now.Open:
			return Decision{Reasons: []Reason{{Message: fmt.Sprintf("pull request %d is closed", e.Pull.Number)}}}, nil
		}
	}
	e, stale, err = d.confirmPull(ctx, l)
	switch {
	case err != nil:
		return Decision{}, err
	case stale:
		return overtaken(e.Ref), nil
	}
	in := d.input(l, e)
	in.Generation = next.Generation
	approved := !e.Pull.Fork || l.Approved == e.Commit
	if !approved {
		in.Source = e.Commit // nobody needs its merge yet
	}
	decision, err := d.planPull(ctx, in, l.Attempt)
	if err == nil && !approved && len(decision.Builds) > 0 {
		decision = waiting(decision, e)
	}
	decision.Head = &next
	return decision, err
}

// waiting is the decision on a fork's commit that nobody has approved. That
// something would build was found out without running any of it.
func waiting(planned Decision, e Event) Decision {
	return Decision{Unapproved: e.Commit, Reasons: planned.Reasons, Changes: planned.Changes}
}

// pullClosed ends what still builds of a pull request, and its tags.
func (d *Dispatcher) pullClosed(ctx context.Context, l *EventLease) (Decision, error) {
	e := l.Event
	if e.Pull == nil {
		return Decision{Failure: &Failure{Stage: StageInternal, Message: "the event names no pull request"}}, nil
	}
	switch now, err := d.pullNow(ctx, e); {
	case err != nil:
		return Decision{}, err
	case now != nil && now.Open:
		return Decision{Reasons: []Reason{{Message: fmt.Sprintf("pull request %d is open again", e.Pull.Number)}}}, nil
	}
	why := "closed"
	if e.Pull.Merged {
		why = "merged"
	}
	ref := PullRef(e.Pull.Number)
	decision := Decision{
		StopRef: ref, Untag: e.Pull.Number,
		Reasons: []Reason{{Message: fmt.Sprintf("pull request %d is %s: there is nothing to build", e.Pull.Number, why)}},
	}
	if l.Head != nil { // its generation goes on counting if it is opened again
		decision.Head = &Position{Repository: e.Repository.Key(), Ref: ref, Generation: l.Head.Generation, Seq: e.Seq}
	}
	return decision, nil
}

// pullNow asks how the event's pull request is now; nil where nobody knows, or
// where we may not ask: then the event is taken at its word.
func (d *Dispatcher) pullNow(ctx context.Context, e Event) (*Pull, error) {
	forge := d.Forges[e.Repository.Forge]
	if forge == nil {
		return nil, nil
	}
	p, err := forge.Pull(ctx, e.Repository, e.Pull.Number)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pull request %d: %w", e.Pull.Number, err)
	}
	return &p, nil
}

// planPull plans the head of a pull request, which is the event's commit. Its
// own file says what builds, or the base branch's where the head comes from a
// fork. What may be reached is the default branch's to say, whatever the base:
// everybody who can open a pull request has written this file. attempt is the
// event's.
func (d *Dispatcher) planPull(ctx context.Context, in PlanInput, attempt int) (Decision, error) {
	e := &in.Event
	e.Protected = false
	head, err := d.open(ctx, e.Repository, e.Commit)
	if err != nil {
		return asDecision(err)
	}
	defer head.Close()
	base, err := d.openRef(ctx, e.Repository, branchRef(e.Pull.BaseBranch))
	switch {
	case err == nil:
		defer base.Close()
	case !errors.Is(err, ErrNotFound):
		return asDecision(err)
	case e.Pull.Fork:
		return Decision{Failure: &Failure{Stage: StageSource, Message: fmt.Sprintf(
			"branch %s, whose %s says what a fork's pull request builds, is gone", e.Pull.BaseBranch, buildFileName)}}, nil
	}
	file := head.file
	if e.Pull.Fork {
		file = base.file
	}
	if len(file.mistakes) > 0 {
		return Decision{Invalid: file.mistakes}, nil
	}
	in.File = file.parsed
	if in.File == nil {
		return Plan(in), nil
	}
	in.Trusted, err = d.pullAuthority(ctx, e, base)
	if err != nil {
		return asDecision(err)
	}
	changes, more := d.comparePull(ctx, &in, head, base)
	warning, err := d.mergeCommit(ctx, &in, attempt)
	if err != nil {
		return Decision{}, err
	}
	decision, err := d.planAmongOthers(ctx, in)
	if err != nil {
		return Decision{}, err
	}
	for i := range decision.Builds {
		if b := &decision.Builds[i]; warning != "" {
			b.Warnings = append(slices.Clip(b.Warnings), warning)
		}
	}
	decision.Changes = append(decision.Changes, changes...)
	decision.Reasons = append(decision.Reasons, more...)
	return decision, nil
}

// pullAuthority is the default branch's file, which mostly is the base's.
func (d *Dispatcher) pullAuthority(ctx context.Context, e *Event, base *openCommit) (*config.BuildFile, error) {
	if base != nil && e.Pull.BaseBranch == e.Repository.DefaultBranch {
		return base.file.authority(), nil
	}
	file, err := d.defaultFile(ctx, e.Repository)
	return file.authority(), err
}

// comparePull finds out what the pull request changes, since it left its base:
// the files, and what its build file would change when it is merged. The
// latter is returned for a fork, whose file is not the one that is planned.
func (d *Dispatcher) comparePull(ctx context.Context, in *PlanInput, head, base *openCommit) (changes []Change, more []Reason) {
	if base == nil || in.Event.ByHand() {
		return nil, nil
	}
	from, err := head.MergeBase(ctx, base.hash, head.hash)
	var paths []string
	if err == nil {
		paths, err = head.Changed(ctx, from, head.hash)
	}
	if err != nil {
		d.notCompared(in.Event, err)
		return nil, nil
	}
	in.Changed, in.Compared = paths, true
	switch {
	case !slices.Contains(paths, buildFileName):
	case !in.Event.Pull.Fork:
		in.Base = base.file.authority()
	case len(head.file.mistakes) > 0:
		more = []Reason{{Message: fmt.Sprintf("the %s of the pull request cannot be merged like this: %s", buildFileName, head.file.mistakes[0])}}
	default:
		shown := *in
		shown.File, shown.Base = head.file.authority(), base.file.authority()
		changes = Plan(shown).Changes // to be shown, and nothing else of it
	}
	return changes, more
}

// A forge works out after it told us whether a pull request can be merged. Of
// one that conflicts it says no more than of one that it has not looked at.
const (
	mergeTries = 3
	mergeWait  = 2 * time.Second
)

// mergeCommit puts the would-be merge in the place of the head, where the
// operator wants that. It returns why the head is built all the same.
func (d *Dispatcher) mergeCommit(ctx context.Context, in *PlanInput, attempt int) (warning string, err error) {
	e := in.Event
	if in.Source != "" || !d.Merge[e.Repository.Forge] {
		return "", nil
	}
	now, err := d.pullNow(ctx, e)
	switch {
	case err != nil:
		return "", err
	case now == nil:
		return "this is built from the head, not from the merge: the forge does not show us the pull request", nil
	case now.Head != e.Commit || now.Merge == "":
		if attempt < mergeTries {
			return "", Later{Wait: mergeWait, Reason: fmt.Sprintf("pull request %d has no merge yet", e.Pull.Number)}
		}
		return fmt.Sprintf("this is built from the head, not from the merge: the forge has no merge of %s, which may conflict with branch %s",
			shortCommit(e.Commit), e.Pull.BaseBranch), nil
	}
	// What is approved, and shown as tested, is this head and no other.
	of, err := d.merges(ctx, e.Repository, e.Commit, now.Merge)
	if err != nil {
		return "", err
	}
	if !of {
		return fmt.Sprintf("this is built from the head, not from the merge: the forge's merge %s is of another head", shortCommit(now.Merge)), nil
	}
	in.Source = now.Merge
	return "", nil
}

// merges reports whether merge is a merge of head. That head is in its history
// is not enough: a head that was pushed by force for a moment, on top of this
// one, has a merge as well, and a forge may show that a little longer.
func (d *Dispatcher) merges(ctx context.Context, repo Repository, head, merge string) (bool, error) {
	src, err := d.openIfThere(ctx, repo, merge)
	if src == nil {
		return false, err
	}
	defer src.Close()
	commit, ok := src.(interface {
		Parents(ctx context.Context) ([]string, error)
	})
	if !ok { // a source that cannot tell
		return false, nil
	}
	parents, err := commit.Parents(ctx)
	return slices.Contains(parents, head), err
}
