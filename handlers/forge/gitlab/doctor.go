package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
)

const (
	// clockSkew is how far the clocks may be apart: comments and limits are
	// asked for by time.
	clockSkew = time.Minute
	// projectsSeen is how many projects are looked at.
	projectsSeen = 50
)

// checkup is one look of the doctor's.
type checkup struct {
	*Forge
	account Account
	found   []forge.Finding
	groups  map[string][]hook // our webhooks by the group's path; none where we may not see
}

// Doctor looks at the token, our part in each project, and the webhooks.
// projects are those that the server knows; nil where that could not be asked.
func (f *Forge) Doctor(ctx context.Context, projects []builder.Repository) []forge.Finding {
	account, err := f.Check(ctx)
	if err != nil {
		return []forge.Finding{f.unusable(err)}
	}
	c := &checkup{Forge: f, account: account, groups: map[string][]hook{}}
	version := ""
	if account.Version != "" {
		version = " " + account.Version
	}
	c.well("GitLab%s at %s knows us as @%s%s", version, f.Config.URL, account.Username, scopesOf(account))
	if account.Warning != "" {
		c.mend(fmt.Sprintf("the token expires on %s", account.ExpiresAt.Format(time.DateOnly)), account.Warning)
	}
	c.clock(ctx)
	if f.Config.Events == config.ByPoll {
		c.well("events are asked for every %s, because events: poll is in the server file; no webhook is needed", f.Every)
	} else if why := f.Reachable(); why != "" {
		c.mend("deliveries cannot arrive", why)
	}
	if projects != nil {
		c.projects(ctx, projects)
	}
	return c.found
}

// unusable says why the server cannot be worked with.
func (f *Forge) unusable(err error) forge.Finding {
	var wrong *Unusable
	var later builder.Later
	switch {
	case errors.As(err, &wrong):
		return forge.Finding{What: wrong.Message, Mend: wrong.Mend}
	case errors.As(err, &later):
		return forge.Finding{What: fmt.Sprintf("GitLab at %s takes no more calls for %s (%s)", f.Config.URL, later.Wait.Round(time.Second), later.Reason), Mend: "try again then; where that stays so, something else uses the token up"}
	case answeredWith(err) >= http.StatusInternalServerError:
		return forge.Finding{What: fmt.Sprintf("GitLab at %s answers %s", f.Config.URL, statusText(fmt.Sprint(answeredWith(err)))), Mend: "try again in a moment; its administrators, or https://status.gitlab.com, tell of its troubles"}
	}
	return forge.Finding{What: fmt.Sprintf("GitLab cannot be reached at %s (%v)", f.Config.URL, err),
		Mend: "let this machine reach it, or correct url, ca or proxy of the server in the server file; HTTPS_PROXY is obeyed"}
}

func scopesOf(a Account) string {
	if len(a.Scopes) == 0 {
		return ""
	}
	return ", with the scopes " + strings.Join(a.Scopes, ", ")
}

func (c *checkup) well(format string, args ...any) {
	c.found = append(c.found, forge.Finding{What: fmt.Sprintf(format, args...)})
}

func (c *checkup) mend(what, mend string) {
	c.found = append(c.found, forge.Finding{What: what, Mend: mend})
}

// clock compares the server's clock with ours.
func (c *checkup) clock(ctx context.Context) {
	resp, err := c.get(once(ctx), "version", nil, nil)
	if err != nil || resp == nil {
		return
	}
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	if d := c.Now().Sub(there); d > clockSkew || d < -clockSkew {
		c.mend(fmt.Sprintf("this machine's clock and GitLab's are %s apart", d.Abs().Round(time.Second)), "set this machine's with NTP, or GitLab's: what happened since is asked for by the time")
		return
	}
	c.well("the clocks agree")
}

// projects looks at our role in each and at what tells us of it.
func (c *checkup) projects(ctx context.Context, projects []builder.Repository) {
	projects = slices.DeleteFunc(slices.Clone(projects), func(r builder.Repository) bool { return r.Forge != c.Config.Name })
	if len(projects) == 0 {
		c.mend("no project is installed", "let it in with: registry-build gitlab install GROUP or GROUP/PROJECT")
		return
	}
	total := len(projects)
	projects = projects[:min(total, projectsSeen)]
	sound := 0
	for _, repo := range projects {
		if ctx.Err() != nil {
			c.mend("there was no time to look at all projects", "run it again")
			return
		}
		before := len(c.found)
		if err := c.project(ctx, repo); err != nil {
			c.mend(fmt.Sprintf("%s cannot be looked at (%v)", repo.FullName(), err), "try again in a moment")
		}
		if len(c.found) == before {
			sound++
		}
	}
	what := "tells of what happens by a webhook"
	if c.Config.Events == config.ByPoll {
		what = "lets us in"
	}
	switch {
	case sound == 1 && total == 1:
		c.well("%s %s", projects[0].FullName(), what)
	case sound > 0:
		c.well("%d of %s are well: each %s", sound, count(len(projects), "project"), what)
	}
	if total > len(projects) {
		c.well("%d more projects are not looked at", total-len(projects))
	}
}

// project looks at one project. It finds what is wrong only.
func (c *checkup) project(ctx context.Context, repo builder.Repository) error {
	id, err := projectID(repo)
	if err != nil {
		return err
	}
	name := repo.FullName()
	at := place{scopeProject, id, name}
	p, err := c.Forge.project(once(ctx), id)
	if errors.Is(err, builder.ErrNotFound) || errors.Is(err, builder.ErrDenied) {
		c.mend(fmt.Sprintf("%s is gone, or @%s is no member of it any more", name, c.account.Username),
			"make it a member with the role Maintainer; a project that is gone needs nothing")
		return nil
	}
	if err != nil {
		return err
	}
	at.Path = p.Path // of now
	role, err := c.roleIn(ctx, at, c.account.ID)
	if err != nil {
		return err
	}
	if role < roleDeveloper {
		c.mend(fmt.Sprintf("@%s is %s of %s: it cannot tell commits how they fare", c.account.Username, orElse(role > 0, roleName(role), "no member"), at.Path),
			"give it the role Maintainer (Developer at least) at "+c.members(at))
	}
	if role == roleDeveloper {
		if err := c.shutBranch(ctx, at, p.DefaultBranch); err != nil {
			return err
		}
	}
	if c.Config.Events == config.ByPoll {
		return nil
	}
	return c.hooks(ctx, at, role)
}

// shutBranch looks whether Developers may do nothing to the default branch: to
// its commits they may tell nothing then.
// https://docs.gitlab.com/api/branches/#get-single-repository-branch
func (c *checkup) shutBranch(ctx context.Context, at place, branch string) error {
	var found struct {
		Protected bool `json:"protected"`
		Push      bool `json:"developers_can_push"`
		Merge     bool `json:"developers_can_merge"`
	}
	_, err := c.get(once(ctx), fmt.Sprintf("projects/%d/repository/branches/%s", at.ID, url.PathEscape(branch)), nil, &found)
	if code := answeredWith(err); branch == "" || code == http.StatusNotFound || code == http.StatusForbidden {
		return nil // nothing is pushed yet, or nobody shows it
	}
	if err != nil {
		return err
	}
	if found.Protected && !found.Push && !found.Merge {
		c.mend(fmt.Sprintf("@%s is Developer of %s, and its branch %s is protected: commits there get no status", c.account.Username, at.Path, branch),
			"give it the role Maintainer at "+c.members(at))
	}
	return nil
}

// hooks looks at the webhook that tells of a project: its own, or a group's.
func (c *checkup) hooks(ctx context.Context, at place, role int) error {
	hooks, err := c.hooksAt(ctx, at)
	if err != nil && !shut(err) {
		return err
	}
	hidden := err != nil
	own := c.ours(hooks)
	for _, h := range own {
		if err := c.hook(ctx, at, h); err != nil {
			return err
		}
	}
	above, err := c.above(ctx, at)
	if err != nil {
		return err
	}
	again := "run: registry-build gitlab install " + at.Path
	switch {
	case len(own)+above > 1:
		c.mend(at.Path+" has several webhooks to us, so everything comes twice", again)
	case len(own)+above == 1:
	case hidden:
		c.mend(fmt.Sprintf("whether %s has a webhook cannot be seen with the role %s", at.Path, roleName(role)), "give @"+c.account.Username+" the role Maintainer at "+c.members(at))
	default:
		c.mend(at.Path+" has no webhook to "+c.HookURL()+elsewhere(hooks, c.HookURL()), again)
	}
	return nil
}

// elsewhere tells of a webhook that was made for another address of ours.
func elsewhere(hooks []hook, address string) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://"), "/")
	for _, h := range hooks {
		if strings.HasSuffix(h.URL, "/"+path) {
			return ", but one to " + h.URL
		}
	}
	return ""
}

// above counts the groups above with a webhook of ours, and looks at each once.
func (c *checkup) above(ctx context.Context, at place) (n int, err error) {
	for path := range ancestors(at.Path) {
		ours, seen := c.groups[path]
		if !seen {
			group := place{Kind: scopeGroup, Path: path}
			hooks, err := c.hooksAt(ctx, group)
			if err != nil && !shut(err) {
				return 0, err
			}
			ours = c.ours(hooks)
			c.groups[path] = ours
			for _, h := range ours {
				group.ID = h.GroupID
				if err := c.hook(ctx, group, h); err != nil {
					return 0, err
				}
			}
		}
		n += len(ours)
	}
	return n, nil
}

// hook looks at one webhook of ours and at what came of its last deliveries.
func (c *checkup) hook(ctx context.Context, at place, h hook) error {
	again := "run: registry-build gitlab install " + at.Path
	if wrong := c.wrongs(h); len(wrong) > 0 {
		c.mend(fmt.Sprintf("the webhook of %s %s", at.Path, strings.Join(wrong, ", ")), again)
	}
	if h.off() {
		c.mend(fmt.Sprintf("GitLab has switched the webhook of %s off (%s), because deliveries failed", at.Path, strings.ReplaceAll(h.Status, "_", " ")),
			"see why at "+c.hooksPage(at)+"; then "+again)
		return nil
	}
	list, _, err := c.log(ctx, at, h.ID, 1)
	if shut(err) {
		return nil // before 17.3
	}
	if err != nil {
		return err
	}
	missed := missedOf(list)
	if len(missed) == 0 {
		return nil
	}
	last := missed[len(missed)-1]
	when := ""
	if last.CreatedAt != nil {
		when = " at " + last.CreatedAt.UTC().Format(time.RFC3339)
	}
	c.mend(fmt.Sprintf("%d of the last %s of %s did not arrive; the newest: %s%s: %s", len(missed), orElse(len(list) == 1, "delivery", fmt.Sprintf("%d deliveries", len(list))),
		at.Path, strings.TrimSuffix(last.Trigger, "_hooks"), when, statusText(last.status())),
		"the server asks for them again by itself every few minutes; if that goes on, see the answers at "+c.hooksPage(at))
	return nil
}
