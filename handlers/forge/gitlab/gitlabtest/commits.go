package gitlabtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// read reads a commit, from git only once: it never changes.
func (p *Project) read(sha string) (gitserver.Commit, error) {
	if c, known := p.commits[sha]; known {
		return c, nil
	}
	c, err := p.dir.Read(sha)
	if err == nil {
		p.commits[sha] = c
	}
	return c, err
}

// commitJSON is a commit as lists and branches carry it.
func (p *Project) commitJSON(sha string) (object, error) {
	c, err := p.read(sha)
	if err != nil {
		return nil, err
	}
	title, _, _ := strings.Cut(c.Message, "\n")
	date := func(t time.Time) string { return t.Format("2006-01-02T15:04:05.000-07:00") }
	parents := []string{}
	return object{
		"id": sha, "short_id": sha[:8], "created_at": date(c.Committer.At), "parent_ids": append(parents, c.Parents...), "title": title, "message": c.Message,
		"author_name": c.Author.Name, "author_email": c.Author.Email, "authored_date": date(c.Author.At), "committer_name": c.Committer.Name,
		"committer_email": c.Committer.Email, "committed_date": date(c.Committer.At), "trailers": object{}, "extended_trailers": object{},
		"web_url": p.web() + "/-/commit/" + sha,
	}, nil
}

// commitDetail is a commit alone, with what its pipelines came to.
func (p *Project) commitDetail(sha string) (object, error) {
	body, err := p.commitJSON(sha)
	if err != nil {
		return nil, err
	}
	add, del := 0, 0
	if out, err := p.dir.Run("show", "--numstat", "--format=", "--first-parent", sha); err == nil {
		for line := range strings.Lines(out) {
			var a, d int
			if _, err := fmt.Sscan(line, &a, &d); err == nil { // "-" for binary files
				add, del = add+a, del+d
			}
		}
	}
	body["stats"] = object{"additions": add, "deletions": del, "total": add + del}
	body["project_id"], body["status"], body["last_pipeline"] = p.id, nil, nil
	for k, v := range p.pipelineOf(sha) {
		body[k] = v
	}
	return body, nil
}

// getCommit: https://docs.gitlab.com/api/commits/#retrieve-a-commit
func (s *Server) getCommit(c *call) (answer, error) {
	sha := c.proj.dir.Resolve(c.vars["sha"])
	if sha == "" {
		return answer{}, notFound("Commit")
	}
	body, err := c.proj.commitDetail(sha)
	if err != nil {
		return answer{}, err
	}
	return ok(body)
}

// listCommits: https://docs.gitlab.com/api/commits/#list-all-commits
func (s *Server) listCommits(c *call) (answer, error) {
	from := c.text("ref_name")
	if from == "" {
		from = c.proj.defaultBranch
	}
	args := []string{"rev-list", "--max-count=500"}
	if a, b, span := strings.Cut(from, ".."); span {
		args, from = append(args, "^"+c.proj.dir.Resolve(a)), b
	}
	sha := c.proj.dir.Resolve(from)
	if sha == "" {
		if !c.has("ref_name") {
			return c.page([]any{})
		}
		return answer{}, notFound("Commit")
	}
	args = append(args, sha)
	if all, _ := c.boolean("all"); all {
		args = append(args, "--branches", "--tags")
	}
	if since := c.moment("since"); !since.IsZero() {
		args = append(args, fmt.Sprintf("--since=%d", since.Unix()))
	}
	if path := c.text("path"); path != "" {
		args = append(args, "--", path)
	}
	out, err := c.proj.dir.Run(args...)
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, sha := range strings.Fields(out) {
		body, err := c.proj.commitJSON(sha)
		if err != nil {
			return answer{}, err
		}
		list = append(list, body)
	}
	return c.page(list)
}

// commitRefs: https://docs.gitlab.com/api/commits/#list-all-references-a-commit-is-pushed-to
func (s *Server) commitRefs(c *call) (answer, error) {
	sha := c.proj.dir.Resolve(c.vars["sha"])
	if sha == "" {
		return answer{}, notFound("Commit")
	}
	list := []any{}
	for _, kind := range []string{"branch", "tag"} {
		if want := c.text("type"); want != "" && want != "all" && want != kind {
			continue
		}
		prefix := map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"}[kind]
		out, err := c.proj.dir.Run("for-each-ref", "--contains", sha, "--format=%(refname)", prefix)
		if err != nil {
			return answer{}, err
		}
		for _, ref := range strings.Fields(out) {
			list = append(list, object{"type": kind, "name": strings.TrimPrefix(ref, prefix)})
		}
	}
	return c.page(list)
}
