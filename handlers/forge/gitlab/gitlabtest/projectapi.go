package gitlabtest

import (
	"fmt"
	"net/http"
	"strings"
)

func toText(v any) string { return fmt.Sprint(v) }

// getProject: https://docs.gitlab.com/api/projects/#retrieve-a-project
func (s *Server) getProject(c *call) (answer, error) { return ok(c.proj.json(c)) }

// json is the project as the caller sees it.
func (p *Project) json(c *call) object {
	s := p.s
	body := object{
		"id": p.id, "description": nil, "name": p.name, "name_with_namespace": p.space.fullName() + " / " + p.name, "path": p.path,
		"path_with_namespace": p.fullPath(), "created_at": stamp(p.created), "default_branch": p.defaultBranch, "tag_list": []any{}, "topics": []any{},
		"ssh_url_to_repo": "git@" + s.host() + ":" + p.fullPath() + ".git", "http_url_to_repo": p.web() + ".git", "web_url": p.web(),
		"readme_url": nil, "forks_count": 0, "avatar_url": nil, "star_count": 0, "last_activity_at": stamp(p.active), "visibility": p.visibility,
		"namespace": p.space.json(s),
	}
	if p.empty() {
		body["default_branch"] = nil
	}
	if simple, _ := c.boolean("simple"); simple {
		return body
	}
	for k, v := range (object{
		"empty_repo": p.empty(), "archived": p.archived, "creator_id": s.person("").id, "import_status": "none", "open_issues_count": 0,
		"issues_enabled": true, "merge_requests_enabled": true, "wiki_enabled": true, "jobs_enabled": true, "snippets_enabled": true,
		"container_registry_enabled": true, "shared_runners_enabled": true, "public_jobs": true, "lfs_enabled": true, "request_access_enabled": true,
		"only_allow_merge_if_pipeline_succeeds": false, "only_allow_merge_if_all_discussions_are_resolved": false, "merge_method": "merge",
		"squash_option": "default_off", "remove_source_branch_after_merge": true, "ci_config_path": "", "marked_for_deletion_at": nil,
		"repository_access_level": "enabled", "merge_requests_access_level": "enabled", "builds_access_level": "enabled",
		"_links": object{"self": p.api(), "merge_requests": p.api() + "/merge_requests", "repo_branches": p.api() + "/repository/branches", "events": p.api() + "/events", "members": p.api() + "/members"},
	}) {
		body[k] = v
	}
	if p.space.user != nil {
		body["owner"] = s.userJSON(p.space.user)
	}
	if p.fork != nil && p.fork.visible(c.user) {
		body["forked_from_project"] = object{
			"id": p.fork.id, "name": p.fork.name, "name_with_namespace": p.fork.space.fullName() + " / " + p.fork.name, "path": p.fork.path,
			"path_with_namespace": p.fork.fullPath(), "web_url": p.fork.web(), "http_url_to_repo": p.fork.web() + ".git",
		}
	}
	body["permissions"] = object{"project_access": access(higher(nil, p.members, c.user, s.now())), "group_access": access(p.space.level(c.user, s.now()))}
	for k, v := range p.settings() {
		body[k] = v
	}
	return body
}

func access(m *member) any {
	if m == nil {
		return nil
	}
	return object{"access_level": m.level, "notification_level": 3}
}

func (n *namespace) json(s *Server) object {
	body := object{"id": n.id, "name": n.name, "path": n.path, "kind": "group", "full_path": n.fullPath(), "parent_id": nil, "avatar_url": nil, "web_url": s.URL + "/groups/" + n.fullPath()}
	if n.parent != nil {
		body["parent_id"] = n.parent.id
	}
	if n.user != nil {
		body["kind"], body["web_url"] = "user", s.URL+"/"+n.path
	}
	return body
}

func (p *Project) empty() bool {
	out, err := p.dir.Run("for-each-ref", "--count=1", "refs/heads")
	return err == nil && out == ""
}

// moved answers for a path that the project had before: GETs lead to its
// number, others are refused (lib/api/helpers.rb, project_moved?).
func (c *call) movedProject() error {
	id := c.vars["id"]
	if !strings.Contains(id, "/") || strings.EqualFold(id, c.proj.fullPath()) {
		return nil
	}
	if c.r.Method != http.MethodGet {
		return refuse(http.StatusMethodNotAllowed, "405 Method Not Allowed - Non GET methods are not allowed for moved projects")
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(c.r.URL.EscapedPath(), "/projects/"), "/")
	location := c.proj.api()
	if rest != "" {
		location += "/" + rest
	}
	if c.r.URL.RawQuery != "" {
		location += "?" + c.r.URL.RawQuery
	}
	return &apiError{status: http.StatusMovedPermanently, header: http.Header{"Location": {location}}, body: "This resource has been moved permanently to " + location + "."}
}
