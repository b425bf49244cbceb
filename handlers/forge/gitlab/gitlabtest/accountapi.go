package gitlabtest

import (
	"slices"
	"strconv"
	"strings"
)

// getVersion: https://docs.gitlab.com/api/metadata/
func (s *Server) getVersion(c *call) (answer, error) {
	body := object{"version": s.opts.Version, "revision": "0a1b2c3d4e5"}
	if c.name == "GET /metadata" {
		body["enterprise"] = strings.HasSuffix(s.opts.Version, "-ee")
		body["kas"] = object{"enabled": false, "externalUrl": nil, "version": nil}
	}
	return ok(body)
}

// getUser: https://docs.gitlab.com/api/users/#retrieve-the-current-user
func (s *Server) getUser(c *call) (answer, error) {
	u := c.user
	body := s.userJSON(u).(object)
	for k, v := range (object{
		"created_at": stamp(u.created), "bio": "", "location": "", "linkedin": "", "twitter": "", "website_url": "", "organization": "",
		"job_title": "", "bot": u.bot, "last_sign_in_at": nil, "confirmed_at": stamp(u.created), "last_activity_on": day(s.now()), "email": u.email(),
		"theme_id": 3, "color_scheme_id": 1, "projects_limit": 100000, "current_sign_in_at": nil, "identities": []any{},
		"can_create_group": !u.bot, "can_create_project": !u.bot, "two_factor_enabled": false, "external": u.bot, "private_profile": false,
		"namespace_id": nil, "public_email": nil,
	}) {
		body[k] = v
	}
	if u.space != nil {
		body["namespace_id"] = u.space.id
	}
	if u.admin {
		body["is_admin"], body["note"] = true, ""
	}
	return ok(body)
}

// listUsers: https://docs.gitlab.com/api/users/#list-all-users
func (s *Server) listUsers(c *call) (answer, error) {
	list := []any{}
	for _, u := range s.users {
		if c.has("username") && !strings.EqualFold(u.username, c.text("username")) {
			continue
		}
		list = append(list, s.userJSON(u))
	}
	slices.Reverse(list)
	return c.page(list)
}

// oneUser: https://docs.gitlab.com/api/users/#retrieve-a-user
func (s *Server) oneUser(c *call) (answer, error) {
	for _, u := range s.users {
		if u.id != c.number("user_id") {
			continue
		}
		body := s.userJSON(u).(object)
		for k, v := range (object{"created_at": stamp(u.created), "bio": "", "location": "", "linkedin": "", "twitter": "", "website_url": "", "organization": "", "job_title": "", "bot": u.bot}) {
			body[k] = v
		}
		return ok(body)
	}
	return answer{}, notFound("User")
}

// getToken: https://docs.gitlab.com/api/personal_access_tokens/#self-inform
func (s *Server) getToken(c *call) (answer, error) {
	t := c.tok
	return ok(object{
		"id": t.ID, "name": t.name, "revoked": t.revoked, "created_at": stamp(t.created), "description": "", "scopes": t.scopes,
		"user_id": t.user.id, "last_used_at": stamp(s.now()), "active": t.active(s.now()), "expires_at": day(t.expires),
	})
}

// listMembers: https://docs.gitlab.com/api/members/#list-all-members-of-a-group-or-project-including-inherited-and-invited-members
// Memberships that have ended stay in the list until the nightly worker
// (RemoveExpiredMembersWorker) takes them away.
func (s *Server) listMembers(c *call) (answer, error) {
	list := []any{}
	for _, m := range c.allMembers() {
		if query := c.text("query"); query == "" || strings.Contains(strings.ToLower(m.user.username+" "+m.user.name), strings.ToLower(query)) {
			list = append(list, s.memberJSON(m))
		}
	}
	return c.page(list)
}

func (s *Server) oneMember(c *call) (answer, error) {
	for _, m := range c.allMembers() {
		if m.user.id == c.number("user_id") {
			return ok(s.memberJSON(m))
		}
	}
	return answer{}, refuse(404, "404 Not found")
}

// allMembers are those of the project or group and of all groups above, each
// person once, with the highest level.
func (c *call) allMembers() []*member {
	var list []*member
	best := map[*user]int{}
	add := func(members []*member) {
		for _, m := range members {
			if i, known := best[m.user]; !known {
				best[m.user] = len(list)
				list = append(list, m)
			} else if m.level > list[i].level {
				list[i] = m
			}
		}
	}
	space := c.group
	if c.proj != nil {
		add(c.proj.members)
		space = c.proj.space
	}
	if strings.Contains(c.name, "/members/all") || c.proj == nil && space != nil {
		for n := space; n != nil; n = n.parent {
			add(n.members)
			if !strings.Contains(c.name, "/members/all") {
				break
			}
		}
	}
	return list
}

func (s *Server) memberJSON(m *member) object {
	body := s.userJSON(m.user).(object)
	body["access_level"], body["expires_at"], body["membership_state"] = m.level, day(m.expires), "active"
	body["created_at"] = stamp(m.user.created)
	return body
}

// getGroup: https://docs.gitlab.com/api/groups/#retrieve-a-group
func (s *Server) getGroup(c *call) (answer, error) { return ok(c.group.groupJSON(s)) }

func (s *Server) listGroups(c *call) (answer, error) {
	list := []any{}
	for _, n := range s.namespaces {
		if n.user != nil || !n.visible(s, c.user) {
			continue
		}
		if c.has("min_access_level") && n.levelOf(c.user, s) < Level(c.integer("min_access_level")) {
			continue
		}
		list = append(list, n.groupJSON(s))
	}
	return c.page(list)
}

func (n *namespace) groupJSON(s *Server) object {
	var parent any
	if n.parent != nil {
		parent = n.parent.id
	}
	return object{
		"id": n.id, "web_url": s.URL + "/groups/" + n.fullPath(), "name": n.name, "path": n.path, "description": "", "visibility": n.visibility,
		"share_with_group_lock": false, "require_two_factor_authentication": false, "two_factor_grace_period": 48, "project_creation_level": "developer",
		"auto_devops_enabled": nil, "subgroup_creation_level": "maintainer", "emails_disabled": false, "emails_enabled": true, "mentions_disabled": nil,
		"lfs_enabled": true, "avatar_url": nil, "request_access_enabled": true, "full_name": n.fullName(), "full_path": n.fullPath(),
		"created_at": stamp(n.created), "parent_id": parent, "default_branch": nil, "default_branch_protection": 2, "shared_with_groups": []any{},
	}
}

// groupProjects: https://docs.gitlab.com/api/groups/#list-all-projects-of-a-group
func (s *Server) groupProjects(c *call) (answer, error) {
	below, _ := c.boolean("include_subgroups")
	list := []any{}
	for _, p := range s.all() {
		if p.space == c.group || below && p.space.within(c.group) {
			if c.wants(p) {
				list = append(list, p.json(c))
			}
		}
	}
	return c.projectPage(list)
}

// listProjects: https://docs.gitlab.com/api/projects/#list-all-projects
func (s *Server) listProjects(c *call) (answer, error) {
	list := []any{}
	for _, p := range s.all() {
		if member, _ := c.boolean("membership"); member && p.member(c.user) == nil {
			continue
		}
		if owned, _ := c.boolean("owned"); owned && p.level(c.user) < Owner {
			continue
		}
		if c.wants(p) {
			list = append(list, p.json(c))
		}
	}
	return c.projectPage(list)
}

// wants are the filters that both lists have.
func (c *call) wants(p *Project) bool {
	archived, only := c.boolean("archived")
	switch {
	case !p.visible(c.user), only && archived != p.archived:
		return false
	case c.has("min_access_level") && p.level(c.user) < Level(c.integer("min_access_level")):
		return false
	case c.has("visibility") && c.text("visibility") != p.visibility:
		return false
	case c.has("last_activity_after") && !p.active.After(c.moment("last_activity_after")):
		return false
	}
	return strings.Contains(strings.ToLower(p.path), strings.ToLower(c.text("search")))
}

// projectPage answers newest first unless asked otherwise. Keyset pagination
// is by id: https://docs.gitlab.com/api/rest/#supported-resources
func (c *call) projectPage(list []any) (answer, error) {
	descending := c.text("sort") != "asc"
	if descending {
		slices.Reverse(list)
	}
	if c.text("pagination") == "keyset" && c.text("order_by") != "id" {
		return answer{}, &apiError{status: 405, body: object{"error": "Keyset pagination is not yet available for this type of request"}}
	}
	return c.keyset(list, descending, func(one any) int64 {
		id, _ := strconv.ParseInt(toText(one.(object)["id"]), 10, 64)
		return id
	})
}
