package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// commander decides one command. It runs in the order of the repository's
// events, so a command sees everything that was pushed before it.
type commander struct {
	*Dispatcher
	lease *EventLease
	e     Event
	c     Command
	forge Forge
	pull  *Pull  // as it is now; nil: the command stands at a commit
	head  string // the commit that it is about: the pull request's head, or the one it stands at
}

// refused is a command's answer that is no: why, and what to do.
type refused string

func (r refused) Error() string { return string(r) }

func refusef(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

// command decides a command. What the person can mend is an answer; an error
// means that trying again may help.
func (d *Dispatcher) command(ctx context.Context, l *EventLease) (Decision, error) {
	if l.Event.Command == nil {
		return Decision{Failure: &Failure{Stage: StageInternal, Message: "the event has no command"}}, nil
	}
	c := &commander{Dispatcher: d, lease: l, e: l.Event, c: *l.Event.Command, forge: d.Forges[l.Event.Repository.Forge]}
	decision, err := c.decide(ctx)
	var no refused
	if errors.As(err, &no) {
		return Decision{Answer: &Answer{Text: string(no), Refused: true}}, nil
	}
	if errors.Is(err, errUnheard) {
		d.Log.Warn("command not answered", "repo", l.Event.Repository.FullName(), "actor", l.Event.Actor, "err", err)
		return Decision{Reasons: []Reason{{Message: err.Error()}}}, nil
	}
	return decision, err
}

func (c *commander) decide(ctx context.Context) (Decision, error) {
	if err := c.admit(ctx); err != nil {
		return Decision{}, err
	}
	if err := c.locate(ctx); err != nil {
		return Decision{}, err
	}
	switch c.c.Name {
	case CommandBuild:
		return c.build(ctx)
	case CommandRebuild:
		return c.rebuild(ctx)
	case CommandCancel:
		return c.cancel(ctx)
	case CommandOkToBuild:
		return c.okToBuild(ctx)
	case CommandPromote:
		return c.promote(ctx)
	case CommandPause:
		return c.pause(ctx)
	case CommandResume:
		return c.resume(ctx)
	case CommandStatus:
		return c.status(ctx)
	case CommandWhy:
		return c.why(ctx)
	}
	return answered(helpText()), nil
}

func answered(text string) Decision { return Decision{Answer: &Answer{Text: text}} }

// admit lets those in who may use the command. Who may not even read the
// repository is not answered.
func (c *commander) admit(ctx context.Context) error {
	if c.forge == nil || c.Past == nil {
		return refused("Commands do not work here: this forge does not say who may write to a repository.")
	}
	may := PermissionNone
	if c.e.Actor != "" {
		var err error
		may, err = c.forge.Permission(ctx, c.e.Repository, c.e.Actor)
		if errors.Is(err, ErrDenied) {
			return refused("registry-build may not see who can write to this repository: the app lacks a permission here, and the operator's log says which.")
		}
		if err != nil {
			return fmt.Errorf("permission of %s: %w", c.e.Actor, err)
		}
	}
	name := c.c.Name
	known := slices.ContainsFunc(Commands(), func(u CommandUsage) bool { return u.Name == name })
	switch {
	case may < PermissionRead:
		return refused("")
	case may < PermissionWrite && !c.crowd.hears(c.e):
		return errUnheard
	case c.c.Invalid != "":
		return refused(c.c.Invalid)
	case !known:
		return refusef("There is no command %s: `/help` shows all.", quote("/"+string(name)))
	case may < name.Needs():
		return refusef("`/%s` is for people who can write to %s, and %s can only read it.", name, quote(c.e.Repository.FullName()), quote(c.e.Actor))
	}
	return nil
}

// locate finds out which pull request or commit the command is about.
func (c *commander) locate(ctx context.Context) error {
	c.head = c.e.Commit
	if c.c.Pull > 0 {
		p, err := c.forge.Pull(ctx, c.e.Repository, c.c.Pull)
		if errors.Is(err, ErrNotFound) {
			return refusef("There is no pull request %d any more.", c.c.Pull)
		}
		if errors.Is(err, ErrDenied) {
			return refused("registry-build may not read pull requests here: the app lacks a permission, and the operator's log says which.")
		}
		if err != nil {
			return fmt.Errorf("pull request %d: %w", c.c.Pull, err)
		}
		if !p.Open && c.c.Source != FromComment && c.head != "" {
			return nil // a button belongs to its commit, whatever became of the pull request
		}
		if !p.Open && !c.worksWhenClosed() {
			return refusef("Pull request %d is closed, so nothing is built for it and `/%s` has nothing to act on; `/status` and `/why` still work. Open it again first, or write the command at a commit.", c.c.Pull, c.c.Name)
		}
		p.Number, c.pull = c.c.Pull, &p
		if c.c.Source == FromComment || c.head == "" {
			c.head = p.Head // a button belongs to the commit that it is shown on
		}
	}
	if c.head == "" {
		return refusef("`/%s` stands at no commit and no pull request.", c.c.Name)
	}
	return nil
}

func (c *commander) worksWhenClosed() bool {
	switch c.c.Name {
	case CommandStatus, CommandWhy, CommandHelp, CommandPause, CommandResume:
		return true
	}
	return false
}

// mustBeKnown refuses a commit that is not the repository's own. A forge shows
// the commits of forks under the repository's address too, and what is built
// for a commit is built with the repository's rights.
func (c *commander) mustBeKnown(ctx context.Context) error {
	head, err := c.Sources.Resolve(ctx, c.e.Repository, defaultRef(c.e.Repository))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		merged, err := c.descends(ctx, c.e.Repository, c.head, head)
		if err != nil || merged {
			return err
		}
	}
	builds, err := c.buildsOf(ctx)
	if err != nil {
		return err
	}
	for _, r := range builds {
		if r.Lane == TrustedLane && r.StatusCommit() == c.head {
			return nil
		}
	}
	return refusef("%s is not in branch %s, and no push that this installation has built ended at it: it may be a fork's, and must not be built with the rights of %s. Write `/%s` on its pull request, or `/build --ref BRANCH`.",
		quote(shortCommit(c.head)), quote(c.e.Repository.DefaultBranch), quote(c.e.Repository.FullName()), c.c.Name)
}

// buildsOf are the builds that people see at the command's commit, newest first.
func (c *commander) buildsOf(ctx context.Context) ([]Record, error) {
	builds, _, err := c.Past.Builds(ctx, BuildFilter{Repository: c.e.Repository.Key(), Commit: c.head, Limit: mostBuilds})
	if err != nil {
		return nil, fmt.Errorf("builds at %s: %w", shortCommit(c.head), err)
	}
	return slices.DeleteFunc(builds, func(r Record) bool { return r.StatusCommit() != c.head }), nil
}

const mostBuilds = 200 // builds of one commit, or of one pull request, that are looked at

// generation is how often the ref was pushed by force, as far as it is known.
func (c *commander) generation(ctx context.Context, ref string) (int64, error) {
	if c.Positions == nil {
		return 0, nil
	}
	head, err := c.Positions.Head(ctx, c.e.Repository.Key(), ref)
	if err != nil || head == nil {
		return 0, err
	}
	return head.Generation, nil
}
