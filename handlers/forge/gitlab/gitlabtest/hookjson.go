package gitlabtest

import (
	"net/url"
	"strings"
	"time"
)

var visibilityLevel = map[string]int{"private": 0, "internal": 10, "public": 20}

// hookJSON is the project as webhooks carry it: Project#hook_attrs.
func (p *Project) hookJSON() object {
	git, ssh := p.web()+".git", "git@"+p.s.host()+":"+p.fullPath()+".git"
	return object{
		"id": p.id, "name": p.name, "description": "", "web_url": p.web(), "avatar_url": nil, "git_ssh_url": ssh, "git_http_url": git,
		"namespace": p.space.name, "visibility_level": visibilityLevel[p.visibility], "path_with_namespace": p.fullPath(),
		"default_branch": p.defaultBranch, "ci_config_path": "",
		"homepage": p.web(), "url": ssh, "ssh_url": ssh, "http_url": git,
	}
}

func (s *Server) host() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// hookRepository is the deprecated short form of pushes.
func (p *Project) hookRepository() object {
	all := p.hookJSON()
	out := object{}
	for _, k := range []string{"name", "url", "description", "homepage", "git_http_url", "git_ssh_url", "visibility_level"} {
		out[k] = all[k]
	}
	return out
}

// hookRepositoryShort is what merge request and note webhooks carry.
func (p *Project) hookRepositoryShort() object {
	all := p.hookJSON()
	return object{"name": all["name"], "url": all["url"], "description": all["description"], "homepage": all["homepage"]}
}

// hookUser is a person as webhooks carry them: User#hook_attrs.
func (s *Server) hookUser(u *user) object {
	return object{"id": u.id, "name": u.name, "username": u.username, "avatar_url": s.avatar(u), "email": "[REDACTED]"}
}

// hookCommit is a commit as pushes carry it: Commit#hook_attrs with changed
// files.
func (p *Project) hookCommit(sha string) (object, error) {
	out, err := p.hookCommitShort(sha)
	if err != nil {
		return nil, err
	}
	added, modified, removed, err := p.dir.Changed(sha)
	if err != nil {
		return nil, err
	}
	out["added"], out["modified"], out["removed"] = added, modified, removed
	return out, nil
}

// hookCommitShort is the same without its files, as in merge requests and notes.
func (p *Project) hookCommitShort(sha string) (object, error) {
	c, err := p.read(sha)
	if err != nil {
		return nil, err
	}
	title, _, _ := strings.Cut(c.Message, "\n")
	return object{
		"id": sha, "message": c.Message + "\n", "title": title, "timestamp": c.Author.At.Format(time.RFC3339),
		"url": p.web() + "/-/commit/" + sha, "author": object{"name": c.Author.Name, "email": c.Author.Email},
	}, nil
}
