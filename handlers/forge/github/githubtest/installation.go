package githubtest

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Installation is an app in an account, with all of its repositories or some.
type Installation struct {
	ID  int64
	App *App

	account     *account
	selected    bool
	repos       []int64
	permissions map[string]string
	events      []string
	created     time.Time
	suspended   time.Time
	gone        bool
}

// Install installs the app in an account: for the repositories named by their
// full names, or for all, present and future, when none is named.
func (a *App) Install(login string, repos ...string) (*Installation, error) {
	s := a.s
	s.mu.Lock()
	defer s.unlock()
	owner := s.account(login, true)
	for _, inst := range a.installs {
		if inst.account == owner {
			return nil, fmt.Errorf("%s is already installed in %s", a.Slug, login)
		}
	}
	inst := &Installation{
		ID: s.id(), App: a, account: owner, selected: len(repos) > 0, created: s.now(),
		permissions: maps.Clone(a.Permissions), events: slices.Clone(a.Events),
	}
	inst.permissions["metadata"] = "read"
	for _, name := range repos {
		r, err := s.repo(name)
		if err != nil {
			return nil, err
		}
		inst.repos = append(inst.repos, r.id)
	}
	a.installs = append(a.installs, inst)
	s.send(a, inst, nil, "installation", object{
		"action": "created", "installation": inst.hookJSON(), "repositories": briefs(inst.all()), "requester": nil, "sender": s.userJSON(s.user("")),
	})
	return inst, nil
}

// Uninstall removes the app from the account and ends its tokens.
func (i *Installation) Uninstall() {
	i.change("deleted", func() {
		i.gone = true
		i.App.installs = slices.DeleteFunc(i.App.installs, func(o *Installation) bool { return o == i })
	})
}

// Suspend keeps the installation and refuses it everything.
func (i *Installation) Suspend() { i.change("suspend", func() { i.suspended = i.App.s.now() }) }

// Unsuspend ends Suspend.
func (i *Installation) Unsuspend() { i.change("unsuspend", func() { i.suspended = time.Time{} }) }

// SetPermissions accepts other permissions than the app asked for at first;
// tokens that are out keep theirs.
func (i *Installation) SetPermissions(p map[string]string) {
	i.change("new_permissions_accepted", func() {
		i.permissions = maps.Clone(p)
		i.permissions["metadata"] = "read"
	})
}

func (i *Installation) change(action string, do func()) {
	s := i.App.s
	s.mu.Lock()
	defer s.unlock()
	repos := i.all()
	do()
	payload := object{"action": action, "installation": i.hookJSON(), "sender": s.userJSON(s.user(""))}
	payload["repositories"] = briefs(repos)
	s.send(i.App, i, nil, "installation", payload)
}

// AddRepository lets the installation have one more repository.
func (i *Installation) AddRepository(name string) error { return i.choose(name, true) }

// RemoveRepository takes one away. From an installation that has all, it makes
// one that has the others.
func (i *Installation) RemoveRepository(name string) error { return i.choose(name, false) }

func (i *Installation) choose(name string, add bool) error {
	s := i.App.s
	s.mu.Lock()
	defer s.unlock()
	r, err := s.repo(name)
	if err != nil {
		return err
	}
	if !i.selected {
		i.selected = true
		for _, o := range i.allUnselected() {
			i.repos = append(i.repos, o.id)
		}
	}
	i.repos = slices.DeleteFunc(i.repos, func(id int64) bool { return id == r.id })
	action, added, removed := "removed", []*Repo(nil), []*Repo{r}
	if add {
		i.repos = append(i.repos, r.id)
		action, added, removed = "added", removed, nil
	}
	s.send(i.App, i, nil, "installation_repositories", object{
		"action": action, "installation": i.hookJSON(), "repository_selection": i.selection(), "repositories_added": briefs(added),
		"repositories_removed": briefs(removed), "requester": nil, "sender": s.userJSON(s.user("")),
	})
	return nil
}

func (i *Installation) covers(r *Repo) bool {
	return !i.gone && r.owner == i.account && (!i.selected || slices.Contains(i.repos, r.id))
}

func (i *Installation) all() []*Repo {
	return slices.DeleteFunc(i.allUnselected(), func(r *Repo) bool { return !i.covers(r) })
}

func (i *Installation) allUnselected() []*Repo {
	var out []*Repo
	for _, r := range i.App.s.repos {
		if r.owner == i.account {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *Repo) int { return int(a.id - b.id) })
	return out
}

func (i *Installation) selection() string {
	if i.selected {
		return "selected"
	}
	return "all"
}

func (i *Installation) json() object {
	s := i.App.s
	html := s.URL + "/settings/installations/" + fmt.Sprint(i.ID)
	if i.account.org {
		html = s.URL + "/organizations/" + i.account.login + "/settings/installations/" + fmt.Sprint(i.ID)
	}
	kind := "User"
	if i.account.org {
		kind = "Organization"
	}
	return object{
		"id": i.ID, "account": s.userJSON(i.account), "repository_selection": i.selection(),
		"access_tokens_url": fmt.Sprintf("%s/app/installations/%d/access_tokens", s.API, i.ID),
		"repositories_url":  s.API + "/installation/repositories", "html_url": html, "app_id": i.App.ID,
		"client_id": i.App.ClientID, "app_slug": i.App.Slug, "target_id": i.account.id, "target_type": kind, "permissions": i.permissions,
		"events": i.events, "created_at": stamp(i.created), "updated_at": stamp(i.created), "single_file_name": nil,
		"has_multiple_single_files": false, "single_file_paths": []string{}, "suspended_by": i.suspendedBy(), "suspended_at": stamp(i.suspended),
	}
}

// hookJSON is the installation as webhooks carry it: times in Unix seconds.
func (i *Installation) hookJSON() object {
	out := i.json()
	out["created_at"], out["updated_at"] = i.created.Unix(), i.created.Unix()
	return out
}

func (i *Installation) suspendedBy() any {
	if i.suspended.IsZero() {
		return nil
	}
	return i.App.s.userJSON(i.App.s.user(""))
}

func (s *Server) listInstallations(c *call) (answer, error) {
	var list []any
	for _, i := range c.tok.app.installs {
		list = append(list, i.json())
	}
	return c.page(list)
}

func (c *call) installation() (*Installation, error) {
	app := c.tok.app
	for _, i := range app.installs {
		if fmt.Sprint(i.ID) == c.vars["installation_id"] {
			return i, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) getInstallation(c *call) (answer, error) {
	i, err := c.installation()
	if err != nil {
		return answer{}, err
	}
	return ok(i.json())
}

func (s *Server) repoInstallation(c *call) (answer, error) {
	for _, i := range c.tok.app.installs {
		if i.covers(c.repo) {
			return ok(i.json())
		}
	}
	return answer{}, errNotFound
}

// briefs are the few words about repositories that installation events carry.
func briefs(repos []*Repo) []any {
	out := []any{}
	for _, r := range repos {
		out = append(out, object{"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "private": r.private})
	}
	return out
}
