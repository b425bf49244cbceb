package gitlab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// Installer lets registry-build into projects, and puts it out again, as an
// operator asks for. It makes the webhooks at GitLab and tells the server which
// projects there are.
type Installer struct {
	Forge    *Forge
	Events   builder.Events // of the server
	Projects Projects       // that the server knows
	Say      func(line string)
}

// installing is one operator's command under way.
type installing struct {
	*Installer
	account Account
	changed bool
	known   map[string]builder.Repository // that the server knows, by key
}

// Install lets registry-build into a project, or all projects of a group and
// of the groups below it, now and (where GitLab sells webhooks of groups, and
// we own this one) those to come. Doing it twice changes nothing. Its errors
// are sentences for the operator.
func (i *Installer) Install(ctx context.Context, name string) (changed bool, err error) {
	in, at, err := i.begin(ctx, name)
	if err != nil {
		return false, err
	}
	switch why := i.Forge.Reachable(); {
	case i.Forge.Config.Events == config.ByPoll:
		err = in.watch(ctx, at)
	case why != "":
		err = errors.New(why)
	case at.Kind == scopeProject:
		err = in.project(ctx, at)
	default:
		err = in.group(ctx, at)
	}
	return in.changed, err
}

// begin looks who we are and finds the project or group.
func (i *Installer) begin(ctx context.Context, name string) (*installing, target, error) {
	account, err := i.Forge.Check(ctx)
	if err != nil {
		return nil, target{}, err
	}
	at, err := i.Forge.target(ctx, name)
	if errors.Is(err, builder.ErrNotFound) {
		return nil, target{}, fmt.Errorf("there is no project or group %s at %s that @%s can see; write it as in its address, and make @%s a member with the role Maintainer (of a group: Owner)",
			name, i.Forge.Config.URL, account.Username, account.Username)
	}
	if err != nil {
		return nil, target{}, err
	}
	list, err := i.Projects.ActiveRepositories(ctx, time.Unix(0, 0))
	if err != nil {
		return nil, target{}, err
	}
	in := &installing{Installer: i, account: account, known: map[string]builder.Repository{}}
	for _, repo := range list {
		in.known[repo.Key()] = repo
	}
	return in, at, nil
}

// project gives a project its webhook.
func (in *installing) project(ctx context.Context, at target) error {
	group, err := in.Forge.aboveIt(ctx, at.place)
	if err != nil {
		return err
	}
	hooks, err := in.Forge.hooksAt(ctx, at.place)
	switch {
	case group != nil && shut(err): // nothing of ours to clear away, as far as we may see
	case shut(err):
		return in.tooLittle(ctx, at.place, err)
	case err != nil:
		return err
	}
	if group != nil {
		for _, h := range in.Forge.ours(hooks) { // or all would come twice
			if err := in.Forge.removeHook(ctx, at.place, h.ID); err != nil {
				return err
			}
		}
		fresh, err := in.letIn(ctx, at.project, group.hook)
		if err != nil {
			return err
		}
		in.Say(fmt.Sprintf("%s needs no webhook of its own: that of the group %s tells of it%s.", at.Path, group.Path, orElse(fresh, ", and the project is known now", "")))
		return nil
	}
	h, did, err := in.hang(ctx, at.place, hooks)
	if err != nil {
		return err
	}
	fresh, err := in.letIn(ctx, at.project, h)
	if err != nil {
		return err
	}
	switch {
	case did != "":
		in.Say(at.Path + ": " + did + ".")
	case fresh:
		in.Say(at.Path + ": the webhook was there, and the project is known now.")
	default:
		in.Say(at.Path + " is installed already; nothing changed.")
	}
	return nil
}

// watch makes projects known whose events we ask for.
func (in *installing) watch(ctx context.Context, at target) error {
	projects := []project{at.project}
	if at.Kind == scopeGroup {
		var err error
		if projects, err = in.Forge.projectsOf(ctx, at.place); err != nil {
			return err
		}
	}
	role, err := in.Forge.roleIn(ctx, at.place, in.account.ID)
	if err != nil {
		return err
	}
	if role < roleDeveloper {
		return in.needs(at.place, "Developer", role)
	}
	fresh := 0
	for _, p := range projects {
		f, err := in.letIn(ctx, p, hook{})
		if err != nil {
			return err
		}
		if f {
			fresh++
		}
	}
	if fresh == 0 {
		in.Say(at.Path + " is known already; nothing changed.")
		return nil
	}
	in.Say(fmt.Sprintf("%s of %s known now; no webhook is made, because events: poll has us ask for what happens.", count(fresh, "project"), at.Path))
	if at.Kind == scopeGroup {
		in.Say("Projects that come later are not known: run this again for them.")
	}
	return nil
}

// letIn tells the server that we were let into a project; fresh: it is news.
// Also one that it knows, because it may be about to forget it: somebody has
// just uninstalled it. Without a webhook every letting in is another.
func (in *installing) letIn(ctx context.Context, p project, by hook) (fresh bool, err error) {
	repo := p.record(in.Forge.Config.Name)
	how := strconv.Itoa(by.ID)
	if by.ID == 0 {
		how = "poll-" + strconv.FormatInt(in.Forge.Now().UnixMilli(), 36)
	}
	receipt, err := in.Events.Append(ctx, builder.Event{
		ID:   fmt.Sprintf("%s:installed-%s-%s", repo.Forge, repo.ID, how),
		Kind: builder.Installation, Repository: repo, Actor: in.account.Username,
	})
	if err != nil {
		return false, fmt.Errorf("tell the server of %s: %w", p.Path, err)
	}
	_, known := in.known[repo.Key()]
	fresh = !known && !receipt.Duplicate
	in.known[repo.Key()] = repo
	in.changed = in.changed || fresh
	return fresh, nil
}

// tooLittle is the sentence for a project whose webhooks are not open to us.
func (in *installing) tooLittle(ctx context.Context, at place, cause error) error {
	role, err := in.Forge.roleIn(ctx, at, in.account.ID)
	if err != nil {
		return errors.Join(cause, err)
	}
	return in.needs(at, "Maintainer", role)
}

func (in *installing) needs(at place, role string, have int) error {
	return fmt.Errorf("@%s is %s of %s and needs the role %s to make webhooks; give it that at %s, or put another's token into the server file",
		in.account.Username, orElse(have > 0, roleName(have), "no member"), at.Path, role, in.Forge.members(at))
}
