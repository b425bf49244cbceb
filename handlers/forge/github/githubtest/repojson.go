package githubtest

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// templates are the addresses that a repository carries, after its own.
var templates = map[string]string{
	"archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
	"branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}", "comments_url": "/comments{/number}",
	"commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}", "contents_url": "/contents/{+path}",
	"contributors_url": "/contributors", "deployments_url": "/deployments", "downloads_url": "/downloads", "events_url": "/events",
	"forks_url": "/forks", "git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
	"issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}", "issues_url": "/issues{/number}",
	"keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}", "languages_url": "/languages", "merges_url": "/merges",
	"milestones_url": "/milestones{/number}", "notifications_url": "/notifications{?since,all,participating}", "pulls_url": "/pulls{/number}",
	"releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}", "subscribers_url": "/subscribers",
	"subscription_url": "/subscription", "tags_url": "/tags", "teams_url": "/teams", "trees_url": "/git/trees{/sha}", "hooks_url": "/hooks",
}

func (r *Repo) api() string { return r.s.API + "/repos/" + r.fullName() }
func (r *Repo) web() string { return r.s.URL + "/" + r.fullName() }

// json is the repository as REST lists it and most webhooks carry it.
func (r *Repo) json() object {
	host := strings.TrimPrefix(r.s.URL, "http://")
	visibility := "public"
	if r.private {
		visibility = "private"
	}
	out := object{
		"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "private": r.private,
		"owner": r.s.userJSON(r.owner), "html_url": r.web(), "description": nil, "fork": r.fork != nil, "url": r.api(),
		"git_url": "git://" + host + "/" + r.fullName() + ".git", "ssh_url": "git@" + host + ":" + r.fullName() + ".git",
		"clone_url": r.web() + ".git", "svn_url": r.web(), "mirror_url": nil, "homepage": nil, "language": nil, "license": nil,
		"forks": 0, "forks_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0, "size": 0, "open_issues": 0,
		"open_issues_count": 0, "has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_downloads": true,
		"has_discussions": false, "archived": false, "disabled": false, "allow_forking": true, "is_template": false,
		"web_commit_signoff_required": false, "topics": []string{}, "custom_properties": object{}, "visibility": visibility, "default_branch": r.defaultBranch,
		"created_at": stamp(r.created), "updated_at": stamp(r.pushed), "pushed_at": stamp(r.pushed),
	}
	for k, v := range templates {
		out[k] = r.api() + v
	}
	return out
}

// pushJSON is the repository of a push event, which is another one in places:
// times in Unix seconds, the owner's name and address, the web page as its url.
func (r *Repo) pushJSON() object {
	out := r.json()
	owner, _ := r.s.userJSON(r.owner).(object)
	owner["name"], owner["email"] = r.owner.login, nil
	if !r.owner.org {
		owner["email"] = r.owner.email()
	}
	out["owner"], out["url"], out["created_at"], out["pushed_at"] = owner, r.web(), r.created.Unix(), r.pushed.Unix()
	out["stargazers"], out["master_branch"] = 0, r.defaultBranch
	if r.owner.org {
		out["organization"] = r.owner.login
	}
	return out
}

func (s *Server) getRepo(c *call) (answer, error) {
	out := c.repo.json()
	out["subscribers_count"], out["network_count"] = 0, 0
	if c.repo.fork != nil {
		out["parent"], out["source"] = c.repo.fork.json(), c.repo.fork.json()
	}
	if c.tok.kind == userToken {
		p := c.repo.permission(c.tok.user)
		out["permissions"] = object{"admin": p == "admin", "push": canWrite(p), "pull": p != "none"}
	}
	return ok(out)
}

// collaboratorPermission tells the coarse permission and the role:
// https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user
func (s *Server) collaboratorPermission(c *call) (answer, error) {
	a := s.accounts[strings.ToLower(c.vars["username"])]
	if a == nil || a.org {
		return answer{}, errNotFound
	}
	role := c.repo.permission(a)
	coarse := map[string]string{"maintain": "write", "triage": "read"}[role]
	if coarse == "" {
		coarse = role
	}
	user, _ := s.userJSON(a).(object)
	user["role_name"] = role
	user["permissions"] = object{
		"admin": role == "admin", "maintain": role == "admin" || role == "maintain", "push": canWrite(role),
		"triage": canWrite(role) || role == "triage", "pull": role != "none",
	}
	return ok(object{"permission": coarse, "role_name": role, "user": user})
}

func (s *Server) getBranch(c *call) (answer, error) {
	branch := c.vars["branch"]
	refs, err := c.repo.dir.Refs("refs/heads/" + branch)
	if err != nil {
		return answer{}, err
	}
	sha := refs["refs/heads/"+branch]
	if sha == "" {
		return answer{}, &apiError{status: 404, message: "Branch not found"}
	}
	commit, err := c.repo.commitJSON(sha)
	if err != nil {
		return answer{}, err
	}
	self := c.repo.api() + "/branches/" + branch
	on := c.repo.protected[branch]
	level := "off"
	if on {
		level = "non_admins"
	}
	return ok(object{
		"name": branch, "commit": commit, "_links": object{"self": self, "html": c.repo.web() + "/tree/" + branch}, "protected": on,
		"protection":     object{"enabled": on, "required_status_checks": object{"enforcement_level": level, "contexts": []string{}, "checks": []string{}}},
		"protection_url": self + "/protection",
	})
}

func (s *Server) listBranches(c *call) (answer, error) {
	refs, err := c.repo.dir.Refs("refs/heads")
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, full := range sorted(refs) {
		name := strings.TrimPrefix(full, "refs/heads/")
		if p := c.query("protected"); p != "" && fmt.Sprint(c.repo.protected[name]) != p {
			continue
		}
		list = append(list, object{
			"name": name, "protected": c.repo.protected[name],
			"commit": object{"sha": refs[full], "url": c.repo.api() + "/commits/" + refs[full]},
		})
	}
	return c.page(list)
}

func (s *Server) listTags(c *call) (answer, error) {
	refs, err := c.repo.dir.Refs("refs/tags")
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	names := sorted(refs)
	slices.Reverse(names)
	for _, full := range names {
		name, sha := strings.TrimPrefix(full, "refs/tags/"), c.repo.dir.Resolve(full)
		list = append(list, object{
			"name": name, "node_id": nodeID("Ref", c.repo.id), "commit": object{"sha": sha, "url": c.repo.api() + "/commits/" + sha},
			"zipball_url": c.repo.api() + "/zipball/" + full, "tarball_url": c.repo.api() + "/tarball/" + full,
		})
	}
	return c.page(list)
}

func sorted(refs map[string]string) []string {
	names := make([]string, 0, len(refs))
	for name := range refs {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
