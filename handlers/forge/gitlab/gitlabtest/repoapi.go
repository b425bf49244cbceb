package gitlabtest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// getBranch: https://docs.gitlab.com/api/branches/#retrieve-a-repository-branch
func (s *Server) getBranch(c *call) (answer, error) {
	name := c.vars["branch"]
	sha := c.proj.branch(name)
	if sha == "" {
		return answer{}, notFound("Branch")
	}
	body, err := c.branchJSON(name, sha)
	if err != nil {
		return answer{}, err
	}
	return ok(body)
}

// branch is the commit of a branch; "" if there is none.
func (p *Project) branch(name string) string {
	ref := "refs/heads/" + name
	refs, err := p.dir.Refs(ref)
	if err != nil {
		return ""
	}
	return refs[ref]
}

// listBranches: https://docs.gitlab.com/api/branches/#list-all-repository-branches
func (s *Server) listBranches(c *call) (answer, error) {
	refs, err := c.proj.dir.Refs("refs/heads")
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		name := trimHeads(ref)
		if !strings.Contains(name, c.text("search")) || !matches(c.text("regex"), name) {
			continue
		}
		body, err := c.branchJSON(name, refs[ref])
		if err != nil {
			return answer{}, err
		}
		list = append(list, body)
	}
	return c.page(list)
}

func matches(expression, name string) bool {
	if expression == "" {
		return true
	}
	r, err := regexp.Compile(expression)
	return err == nil && r.MatchString(name)
}

func (c *call) branchJSON(name, sha string) (object, error) {
	commit, err := c.proj.commitJSON(sha)
	if err != nil {
		return nil, err
	}
	_, err = c.proj.dir.Run("merge-base", "--is-ancestor", sha, "refs/heads/"+c.proj.defaultBranch)
	return object{
		"name": name, "commit": commit, "merged": err == nil && name != c.proj.defaultBranch, "protected": c.proj.protected[name],
		"developers_can_push": !c.proj.protected[name], "developers_can_merge": !c.proj.protected[name], "can_push": c.user != nil && c.proj.pushes(c.user, name),
		"default": name == c.proj.defaultBranch, "web_url": c.proj.web() + "/-/tree/" + name,
	}, nil
}

// createBranch: https://docs.gitlab.com/api/branches/#create-a-repository-branch
func (s *Server) createBranch(c *call) (answer, error) {
	if err := c.require("branch", "ref"); err != nil {
		return answer{}, err
	}
	name, sha := c.text("branch"), c.proj.dir.Resolve(c.text("ref"))
	switch {
	case c.proj.archived:
		return answer{}, forbidden()
	case c.proj.branch(name) != "":
		return answer{}, refuse(400, "Branch already exists")
	case sha == "":
		return answer{}, refuse(400, fmt.Sprintf("Failed to create branch '%s': invalid reference name '%s'", name, c.text("ref")))
	}
	if err := c.proj.set(c.user, map[string]string{"refs/heads/" + name: sha}); err != nil {
		return answer{}, err
	}
	body, err := c.branchJSON(name, sha)
	if err != nil {
		return answer{}, err
	}
	return created(body)
}

// deleteBranch: https://docs.gitlab.com/api/branches/#delete-a-repository-branch
func (s *Server) deleteBranch(c *call) (answer, error) {
	name := c.vars["branch"]
	switch {
	case c.proj.branch(name) == "":
		return answer{}, notFound("Branch")
	case c.proj.protected[name] || name == c.proj.defaultBranch || c.proj.archived:
		return answer{}, forbidden()
	}
	if err := c.proj.set(c.user, map[string]string{"refs/heads/" + name: ""}); err != nil {
		return answer{}, err
	}
	return noContent()
}

// listTags: https://docs.gitlab.com/api/tags/
func (s *Server) listTags(c *call) (answer, error) {
	refs, err := c.proj.dir.Refs("refs/tags")
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		name := strings.TrimPrefix(ref, "refs/tags/")
		if !strings.Contains(name, c.text("search")) {
			continue
		}
		body, err := c.tagJSON(name, refs[ref])
		if err != nil {
			return answer{}, err
		}
		list = append(list, body)
	}
	return c.page(list)
}

func (s *Server) getTag(c *call) (answer, error) {
	ref := "refs/tags/" + c.vars["tag"]
	refs, err := c.proj.dir.Refs(ref)
	if err != nil || refs[ref] == "" {
		return answer{}, notFound("Tag")
	}
	body, err := c.tagJSON(c.vars["tag"], refs[ref])
	if err != nil {
		return answer{}, err
	}
	return ok(body)
}

func (c *call) tagJSON(name, sha string) (object, error) {
	commit, err := c.proj.commitJSON(c.proj.dir.Resolve("refs/tags/" + name))
	if err != nil {
		return nil, err
	}
	_, message := c.proj.readTag(sha)
	return object{"name": name, "message": message, "target": sha, "commit": commit, "release": nil, "protected": false, "created_at": nil}, nil
}

// createTag: https://docs.gitlab.com/api/tags/#create-a-new-tag
func (s *Server) createTag(c *call) (answer, error) {
	if err := c.require("tag_name", "ref"); err != nil {
		return answer{}, err
	}
	name, target := c.text("tag_name"), c.proj.dir.Resolve(c.text("ref"))
	switch {
	case target == "":
		return answer{}, refuse(400, "Target "+c.text("ref")+" is invalid")
	case c.proj.dir.Resolve("refs/tags/"+name) != "":
		return answer{}, refuse(400, "Tag "+name+" already exists")
	}
	if message := c.text("message"); message != "" {
		tag, err := c.proj.annotate(c.user, name, target, message)
		if err != nil {
			return answer{}, err
		}
		target = tag
	}
	if err := c.proj.set(c.user, map[string]string{"refs/tags/" + name: target}); err != nil {
		return answer{}, err
	}
	body, err := c.tagJSON(name, target)
	if err != nil {
		return answer{}, err
	}
	return created(body)
}
