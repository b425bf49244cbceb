package gitlab

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// group gives a group its webhook, or each of its projects one.
func (in *installing) group(ctx context.Context, at target) error {
	above, err := in.Forge.aboveIt(ctx, at.place)
	if err != nil {
		return err
	}
	hooks, err := in.Forge.hooksAt(ctx, at.place)
	if err != nil && !shut(err) {
		return err
	}
	owned := err == nil
	if !owned && above == nil {
		role, err := in.Forge.roleIn(ctx, at.place, in.account.ID)
		if err != nil {
			return err
		}
		if role < roleMaintainer {
			return in.needs(at.place, "Owner (Maintainer is enough where GitLab has no webhooks of groups)", role)
		}
		why := "GitLab at " + in.Forge.Config.URL + " has no webhooks of groups (they come with Premium)"
		if role < roleOwner {
			why = fmt.Sprintf("@%s is %s of %s, and webhooks of groups are their owners'", in.account.Username, roleName(role), at.Path)
		}
		return in.eachProject(ctx, at, why)
	}
	projects, err := in.Forge.projectsOf(ctx, at.place)
	if err != nil {
		return err
	}
	if above != nil {
		return in.all(ctx, at, projects, above.hook, fmt.Sprintf("%s needs no webhook of its own: that of the group %s tells of it.", at.Path, above.Path))
	}
	h, did, err := in.hang(ctx, at.place, hooks)
	if err != nil {
		return err
	}
	said := ""
	if did != "" {
		said = "group " + at.Path + ": " + did + "."
	}
	return in.all(ctx, at, projects, h, said)
}

// all lets us into all projects of a group with a webhook. Webhooks of ours
// further down would tell everything twice.
func (in *installing) all(ctx context.Context, at target, projects []project, h hook, said string) error {
	if said != "" {
		in.Say(said)
	}
	removed, err := in.clearBelow(ctx, at.place, projects)
	if err != nil {
		return err
	}
	fresh := 0
	for _, p := range projects {
		f, err := in.letIn(ctx, p, h)
		if err != nil {
			return err
		}
		if f {
			fresh++
		}
	}
	if removed > 0 {
		in.Say(fmt.Sprintf("%s of projects and groups below removed: they would tell everything twice.", count(removed, "webhook")))
	}
	switch {
	case len(projects) == 0 && said != "":
		in.Say(at.Path + " has no projects yet; each is known by its first push.")
	case fresh > 0:
		in.Say(fmt.Sprintf("%s of %s known now. Those that come later are known by their first push.", count(fresh, "project"), at.Path))
	case said == "" && removed == 0:
		in.Say(fmt.Sprintf("%s is installed already, with %s; nothing changed.", at.Path, count(len(projects), "project")))
	}
	return nil
}

// clearBelow removes our webhooks of the projects and of the groups between.
// What is not open to us is left: those can be nobody's but another token's.
func (in *installing) clearBelow(ctx context.Context, at place, projects []project) (removed int, err error) {
	var below []place
	groups := map[string]bool{}
	for _, p := range projects {
		below = append(below, projectPlace(p))
		for group := range ancestors(p.Path) {
			if strings.HasPrefix(group, at.Path+"/") && !groups[group] {
				groups[group] = true
				below = append(below, place{Kind: scopeGroup, Path: group})
			}
		}
	}
	for _, b := range below {
		var hooks []hook
		err := in.patiently(ctx, func() (err error) {
			hooks, err = in.Forge.hooksAt(ctx, b)
			return err
		})
		if shut(err) {
			continue
		}
		if err != nil {
			return removed, err
		}
		for _, h := range in.Forge.ours(hooks) {
			if b.ID == 0 {
				b.ID = h.GroupID
			}
			if err := in.Forge.removeHook(ctx, b, h.ID); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// eachProject gives each project of a group its own webhook.
func (in *installing) eachProject(ctx context.Context, at target, why string) error {
	projects, err := in.Forge.projectsOf(ctx, at.place)
	if err != nil {
		return err
	}
	if len(projects) == 0 {
		return fmt.Errorf("%s, and %s has no projects that @%s can see", why, at.Path, in.account.Username)
	}
	in.Say(fmt.Sprintf("%s, so each of the %s gets its own:", why, count(len(projects), "project")))
	changed, failed := 0, 0
	for n, p := range projects {
		var did string
		err := in.patiently(ctx, func() (err error) {
			did, err = in.one(ctx, p)
			return err
		})
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, new(*undelivered)), errors.As(err, new(builder.Later)), errors.Is(err, builder.ErrUnavailable):
			return err // the next would fare no better
		default:
			failed++
			did = err.Error()
		}
		if did == "" {
			continue
		}
		changed++
		in.Say(fmt.Sprintf("  %d/%d %s: %s", n+1, len(projects), p.Path, did))
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%s of %s could not be installed", count(failed, "project"), at.Path)
	case changed == 0:
		in.Say("  all of them are installed already; nothing changed.")
	case changed < len(projects):
		in.Say("  the others are installed already.")
	}
	in.Say("Projects that come later are not known: run this again for them.")
	return nil
}

func (in *installing) one(ctx context.Context, p project) (did string, err error) {
	at := projectPlace(p)
	hooks, err := in.Forge.hooksAt(ctx, at)
	if shut(err) {
		return "", in.tooLittle(ctx, at, err)
	}
	if err != nil {
		return "", err
	}
	h, did, err := in.hang(ctx, at, hooks)
	if err != nil {
		return "", err
	}
	fresh, err := in.letIn(ctx, p, h)
	if did == "" && fresh {
		did = "the webhook was there"
	}
	return did, err
}
