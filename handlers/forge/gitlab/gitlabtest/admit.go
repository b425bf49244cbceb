package gitlabtest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// admit decides whether the caller may call the route at all: scope, project
// or group in sight, role.
func (c *call) admit(rt route) error {
	if err := c.admitScope(rt); err != nil {
		return err
	}
	switch rt.who {
	case asUser:
		if c.user == nil {
			return unauthorized()
		}
	case asAdmin:
		if c.user == nil {
			return unauthorized()
		}
		if !c.user.admin {
			return forbidden()
		}
	case onProject, onCode:
		return c.admitProject(rt)
	case onGroup:
		return c.admitGroup(rt)
	}
	return nil
}

// admitScope: https://docs.gitlab.com/security/tokens/#scopes
func (c *call) admitScope(rt route) error {
	if c.tok == nil {
		return nil
	}
	enough := append([]string{"api"}, rt.scopes...)
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		enough = append(enough, "read_api")
	}
	if slices.Contains(rt.scopes, "*") || c.tok.has(enough...) {
		return nil
	}
	slices.Sort(enough)
	return &apiError{status: http.StatusForbidden, body: object{
		"error": "insufficient_scope", "scope": strings.Join(enough, " "),
		"error_description": "The request requires higher privileges than provided by the access token.",
	}}
}

func (c *call) admitProject(rt route) error {
	c.proj = c.s.projectCalled(c.vars["id"])
	switch {
	case c.proj == nil || !c.proj.visible(c.user):
		return notFound("Project")
	case c.movedProject() != nil:
		return c.movedProject()
	case rt.who == onCode && !c.proj.readsCode(c.user):
		return notFound("Repository") // lib/api/repositories.rb: not_found! for read_code
	case rt.level > NoAccess && c.user == nil:
		return unauthorized()
	case c.proj.level(c.user) < rt.level:
		return forbidden()
	}
	return nil
}

// projectCalled finds a project by number or path, also one that it had before.
func (s *Server) projectCalled(id string) *Project {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		return s.projects[n]
	}
	return s.projects[s.names[strings.ToLower(id)]]
}

func (c *call) admitGroup(rt route) error {
	for _, n := range c.s.namespaces {
		if n.user == nil && (strconv.FormatInt(n.id, 10) == c.vars["id"] || strings.EqualFold(n.fullPath(), c.vars["id"])) {
			c.group = n
		}
	}
	switch {
	case c.group == nil || !c.group.visible(c.s, c.user):
		return notFound("Group")
	case rt.level > NoAccess && c.user == nil:
		return unauthorized()
	case c.group.levelOf(c.user, c.s) < rt.level:
		return forbidden()
	}
	return nil
}

func (n *namespace) levelOf(u *user, s *Server) Level {
	if u != nil && u.admin {
		return Owner
	}
	if u == nil {
		return NoAccess
	}
	if m := n.level(u, s.now()); m != nil {
		return m.level
	}
	return NoAccess
}
