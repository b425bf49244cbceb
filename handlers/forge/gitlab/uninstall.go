package gitlab

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// Uninstall puts registry-build out of a project, or of all projects of a group
// and of those below it: our webhooks are removed, those of others stay, and
// what is being built of the projects is cancelled.
func (i *Installer) Uninstall(ctx context.Context, name string) error {
	in, at, err := i.begin(ctx, name)
	if err != nil {
		return err
	}
	above, err := i.Forge.aboveIt(ctx, at.place)
	if err != nil {
		return err
	}
	projects := []project{at.project}
	if at.Kind == scopeGroup {
		if projects, err = i.Forge.projectsOf(ctx, at.place); err != nil {
			return err
		}
	}
	removed, err := in.clear(ctx, at, projects)
	if err != nil {
		return err
	}
	if above != nil {
		in.Say(fmt.Sprintf("The webhook of the group %s tells of %s, too, so it stays installed; uninstall %s, or install its other projects one by one.", above.Path, at.Path, above.Path))
		return nil
	}
	left := 0
	for _, repo := range in.within(at, projects) {
		if err := in.putOut(ctx, repo); err != nil {
			return err
		}
		left++
	}
	if removed == 0 && left == 0 {
		in.Say(at.Path + " is not installed; nothing changed.")
		return nil
	}
	in.Say(fmt.Sprintf("%s of %s removed. %s cancelled.",
		count(removed, "webhook"), at.Path, orElse(left == 1, "1 project is known no more, and what was being built of it is", strconv.Itoa(left)+" projects are known no more, and what was being built of them is")))
	return nil
}

// clear removes our webhooks of the place and of all below it. Where we may
// not look there may be some, and that is an error for the place itself only.
func (in *installing) clear(ctx context.Context, at target, projects []project) (removed int, err error) {
	hooks, err := in.Forge.hooksAt(ctx, at.place)
	if err != nil && !shut(err) {
		return 0, err
	}
	if err != nil && at.Kind == scopeProject {
		if in.Forge.Config.Events == config.ByPoll {
			return 0, nil // we made none
		}
		return 0, in.tooLittle(ctx, at.place, err)
	}
	for _, h := range in.Forge.ours(hooks) {
		if err := in.Forge.removeHook(ctx, at.place, h.ID); err != nil {
			return removed, err
		}
		removed++
	}
	if at.Kind == scopeProject {
		return removed, nil
	}
	below, err := in.clearBelow(ctx, at.place, projects)
	return removed + below, err
}

// within are the projects of the target that the server knows: those that
// GitLab lists, and those that were moved or archived since and are known by
// their path.
func (in *installing) within(at target, projects []project) (list []builder.Repository) {
	done := map[string]bool{}
	for _, p := range projects {
		repo := p.record(in.Forge.Config.Name)
		if _, known := in.known[repo.Key()]; known {
			list = append(list, repo)
			done[repo.Key()] = true
		}
	}
	for _, repo := range in.known {
		if at.Kind == scopeGroup && !done[repo.Key()] && repo.Forge == in.Forge.Config.Name && strings.HasPrefix(repo.Owner+"/", at.Path+"/") {
			list = append(list, repo)
		}
	}
	slices.SortFunc(list, func(a, b builder.Repository) int { return strings.Compare(a.FullName(), b.FullName()) })
	return list
}

// putOut tells the server that we left a project.
func (in *installing) putOut(ctx context.Context, repo builder.Repository) error {
	_, err := in.Events.Append(ctx, builder.Event{
		ID:   fmt.Sprintf("%s:uninstalled-%s-%s", repo.Forge, repo.ID, strconv.FormatInt(in.Forge.Now().UnixMilli(), 36)),
		Kind: builder.Installation, Withdrawn: true, Repository: repo, Actor: in.account.Username,
	})
	if err != nil {
		return fmt.Errorf("tell the server of %s: %w", repo.FullName(), err)
	}
	return nil
}
