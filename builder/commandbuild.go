package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// build builds by hand: the branch or tag that is named, the head of the pull
// request by its rules, or the commit.
func (c *commander) build(ctx context.Context) (Decision, error) {
	request := &Request{Image: c.c.Image, NoCache: c.c.NoCache}
	var a ask
	var err error
	switch {
	case c.c.Ref != "":
		a, err = c.askRef(ctx, request)
	case c.pull != nil:
		a, err = c.askPull(ctx, request)
	default:
		a = ask{event: Event{Kind: Requested, Commit: c.head, Request: request}}
		err = c.mustBeKnown(ctx)
	}
	if err != nil {
		return Decision{}, err
	}
	d, err := c.carryOut(ctx, a)
	if err != nil {
		return Decision{}, err
	}
	return tellBuilds(d, "Building"), nil
}

// askRef is a build of a branch or tag, by its short name or whole ref. No
// other refs: below refs/pull stand the commits of forks.
func (c *commander) askRef(ctx context.Context, request *Request) (ask, error) {
	names := []string{c.c.Ref}
	if !strings.HasPrefix(c.c.Ref, "refs/") {
		names = []string{branchRef(c.c.Ref), "refs/tags/" + c.c.Ref}
	} else if !strings.HasPrefix(c.c.Ref, branchRef("")) && !strings.HasPrefix(c.c.Ref, "refs/tags/") {
		return ask{}, refusef("%s is neither a branch nor a tag: `--ref` takes a name like `main`, or a ref below `refs/heads/` or `refs/tags/`.", quote(c.c.Ref))
	}
	for _, ref := range names {
		commit, err := c.Sources.Resolve(ctx, c.e.Repository, ref)
		var f *Failure
		if errors.Is(err, ErrNotFound) || errors.As(err, &f) {
			continue
		}
		if err != nil {
			return ask{}, fmt.Errorf("resolve %s: %w", ref, err)
		}
		generation, err := c.generation(ctx, ref)
		return ask{event: Event{Kind: Requested, Ref: ref, Commit: commit, Request: request}, generation: generation}, err
	}
	return ask{}, refusef("There is no branch and no tag %s in %s.", quote(c.c.Ref), quote(c.e.Repository.FullName()))
}

// askPull is a build of the pull request's head, which a maintainer must have
// approved where it is a fork's. request is nil for a build that is no more by
// hand than the event that waited for the approval.
func (c *commander) askPull(ctx context.Context, request *Request) (ask, error) {
	if err := c.mustBeApproved(); request != nil && err != nil {
		return ask{}, err
	}
	ref := PullRef(c.pull.Number)
	generation, err := c.generation(ctx, ref)
	e := Event{Kind: PullChanged, Ref: ref, Commit: c.pull.Head, Pull: c.pull, Request: request}
	return ask{event: e, generation: generation}, err
}

func (c *commander) mustBeApproved() error {
	if c.pull != nil && c.pull.Fork && c.lease.Approved != c.head {
		return refusef("This comes from a fork, and nobody has approved %s yet: read the changes, then write `/%s %s`.",
			quote(shortCommit(c.head)), CommandOkToBuild, c.head)
	}
	return nil
}

// okToBuild approves one commit of a fork, and builds it.
func (c *commander) okToBuild(ctx context.Context) (Decision, error) {
	switch {
	case c.pull == nil:
		return Decision{}, refusef("`/%s` belongs on a pull request, and this is a commit.", CommandOkToBuild)
	case !c.pull.Fork:
		return Decision{}, refusef("This pull request comes from %s itself and builds without `/%s`.", quote(c.e.Repository.FullName()), CommandOkToBuild)
	case c.c.Commit != c.pull.Head:
		return Decision{}, refusef("The head is %s now: read what is new, then write `/%s %s`.",
			quote(shortCommit(c.pull.Head)), CommandOkToBuild, c.pull.Head)
	}
	a, err := c.askPull(ctx, nil)
	if err != nil {
		return Decision{}, err
	}
	d, err := c.carryOut(ctx, a)
	if err != nil {
		return Decision{}, err
	}
	d.Approve = &Approval{Ref: PullRef(c.pull.Number), Commit: c.pull.Head, By: c.e.Actor}
	d = tellBuilds(d, "Approved. Building")
	if len(d.Builds) == 0 {
		d.Answer = &Answer{Text: fmt.Sprintf("%s is approved. %s", quote(shortCommit(c.pull.Head)), d.Answer.Text)}
	}
	return d, nil
}

// promote puts a tag on the image of the commit. What was built of it before
// has the same input, so mostly nothing is built for that.
func (c *commander) promote(ctx context.Context) (Decision, error) {
	switch {
	case c.pull == nil:
		if err := c.mustBeKnown(ctx); err != nil {
			return Decision{}, err
		}
	case c.pull.Fork:
		return Decision{}, refusef("This comes from a fork, and nothing that a fork sent gets a tag of %s: merge it, then promote the commit of the merge.", quote(c.e.Repository.FullName()))
	}
	d, err := c.carryOut(ctx, ask{event: Event{
		Kind: Requested, Commit: c.head, Request: &Request{Image: c.c.Image, Tags: []string{c.c.Tag}},
	}})
	if err != nil {
		return Decision{}, err
	}
	return tellBuilds(d, "Promoting"), nil
}
