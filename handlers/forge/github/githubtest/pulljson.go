package githubtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// pullsOf lists the open pull requests of a commit as checks carry them: never
// those from forks.
func (r *Repo) pullsOf(sha string) []any {
	list := []any{}
	for _, p := range r.pulls {
		if !p.open || p.isIssue || p.sha != sha || p.from != r {
			continue
		}
		repo := object{"id": r.id, "url": r.api(), "name": r.name}
		list = append(list, object{
			"id": p.id, "number": p.number, "url": fmt.Sprintf("%s/pulls/%d", r.api(), p.number),
			"head": object{"ref": p.head, "sha": p.sha, "repo": repo},
			"base": object{"ref": p.base, "sha": r.dir.Resolve("refs/heads/" + p.base), "repo": repo},
		})
	}
	return list
}

// simple is the pull request as lists have it.
func (p *pull) simple() object {
	r := p.r
	api, web := fmt.Sprintf("%s/pulls/%d", r.api(), p.number), fmt.Sprintf("%s/pull/%d", r.web(), p.number)
	issue := fmt.Sprintf("%s/issues/%d", r.api(), p.number)
	state := "closed"
	if p.open {
		state = "open"
	}
	var headRepo, headUser any
	if p.from != nil && r.s.repos[p.from.id] != nil {
		headRepo, headUser = p.from.json(), r.s.userJSON(p.from.owner)
	}
	out := object{
		"url": api, "id": p.id, "node_id": nodeID("PullRequest", p.id), "html_url": web, "diff_url": web + ".diff", "patch_url": web + ".patch",
		"issue_url": issue, "commits_url": api + "/commits", "review_comments_url": api + "/comments",
		"review_comment_url": r.api() + "/pulls/comments{/number}", "comments_url": issue + "/comments", "statuses_url": r.api() + "/statuses/" + p.sha,
		"number": p.number, "state": state, "locked": false, "title": p.title, "user": r.s.userJSON(p.by), "body": orNull(p.body), "labels": []any{},
		"milestone": nil, "active_lock_reason": nil, "created_at": stamp(p.at), "updated_at": stamp(p.updated), "closed_at": stamp(p.closed),
		"merged_at": nil, "merge_commit_sha": orNull(p.mergeSHA), "assignee": nil, "assignees": []any{}, "requested_reviewers": []any{},
		"requested_teams": []any{}, "draft": p.draft, "auto_merge": nil, "author_association": r.association(p.by),
		"head": object{"label": p.label(), "ref": p.head, "sha": p.sha, "repo": headRepo, "user": headUser},
		"base": object{
			"label": r.owner.login + ":" + p.base, "ref": p.base, "sha": r.dir.Resolve("refs/heads/" + p.base), "repo": r.json(),
			"user": r.s.userJSON(r.owner),
		},
	}
	links := object{}
	for name, href := range map[string]string{
		"self": api, "html": web, "issue": issue, "comments": issue + "/comments", "review_comments": api + "/comments",
		"review_comment": r.api() + "/pulls/comments{/number}", "commits": api + "/commits", "statuses": r.api() + "/statuses/" + p.sha,
	} {
		links[name] = object{"href": href}
	}
	out["_links"] = links
	if p.merged {
		out["merged_at"] = stamp(p.closed)
	}
	return out
}

// json is the pull request alone, and of webhooks.
func (p *pull) json() object {
	out, r := p.simple(), p.r
	out["merged"], out["merged_by"] = p.merged, r.s.userJSON(p.mergedBy)
	out["mergeable"], out["mergeable_state"], out["rebaseable"] = p.mergeable, "clean", p.mergeable
	if !p.mergeable {
		out["mergeable_state"] = "dirty"
	}
	comments := 0
	for _, k := range r.comments {
		if k.Number == p.number && k.SHA == "" {
			comments++
		}
	}
	out["comments"], out["review_comments"], out["maintainer_can_modify"] = comments, 0, p.from != r
	base := r.dir.Resolve("refs/heads/" + p.base)
	count, _ := r.dir.Run("rev-list", "--count", p.sha, "^"+base)
	var commits int
	_, _ = fmt.Sscan(count, &commits)
	files, add, del := p.files()
	out["commits"], out["additions"], out["deletions"], out["changed_files"] = commits, add, del, len(files)
	return out
}

// files are those that differ from where the head left the base.
func (p *pull) files() (files []any, add, del int) {
	base := p.r.dir.Resolve("refs/heads/" + p.base)
	fork, err := p.r.dir.Run("merge-base", base, p.sha)
	if err != nil {
		fork = gitserver.EmptyTree
	}
	files, add, del, err = p.r.diff(fork, p.sha, p.sha)
	if err != nil {
		p.r.s.log.Error("diff", "pull", p.number, "err", err)
	}
	return files, add, del
}

// issueJSON is the issue that every pull request is too, as comment events
// carry it.
func (p *pull) issueJSON() object {
	r, path := p.r, "pull"
	if p.isIssue {
		path = "issues"
	}
	api := fmt.Sprintf("%s/issues/%d", r.api(), p.number)
	state := "closed"
	if p.open {
		state = "open"
	}
	out := object{
		"url": api, "repository_url": r.api(), "labels_url": api + "/labels{/name}", "comments_url": api + "/comments", "events_url": api + "/events",
		"html_url": fmt.Sprintf("%s/%s/%d", r.web(), path, p.number), "id": p.id, "node_id": nodeID("Issue", p.id), "number": p.number,
		"title": p.title, "user": r.s.userJSON(p.by), "labels": []any{}, "state": state, "locked": false, "assignee": nil, "assignees": []any{},
		"milestone": nil, "comments": 0, "created_at": stamp(p.at), "updated_at": stamp(r.s.now()), "closed_at": stamp(p.closed),
		"author_association": r.association(p.by), "active_lock_reason": nil, "body": orNull(p.body), "performed_via_github_app": nil,
		"state_reason": nil, "timeline_url": api + "/timeline", "reactions": (&comment{Comment: Comment{Number: p.number}}).rollup(r),
	}
	if reactions, ok := out["reactions"].(object); ok {
		reactions["url"] = api + "/reactions"
	}
	if !p.isIssue {
		out["draft"] = p.draft
		out["pull_request"] = object{
			"url": fmt.Sprintf("%s/pulls/%d", r.api(), p.number), "html_url": out["html_url"], "diff_url": fmt.Sprint(out["html_url"], ".diff"),
			"patch_url": fmt.Sprint(out["html_url"], ".patch"), "merged_at": nil,
		}
	}
	return out
}

func (c *call) pull() (*pull, error) {
	p, err := c.repo.pull(int(c.number("pull_number")))
	if err != nil || p.isIssue {
		return nil, errNotFound
	}
	return p, nil
}

func (s *Server) getPull(c *call) (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	return ok(p.json())
}

func (s *Server) pullFiles(c *call) (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	files, _, _ := p.files()
	return c.page(files)
}

func (s *Server) listPulls(c *call) (answer, error) {
	state := c.query("state")
	return c.listPullsWhere(func(p *pull) bool {
		switch {
		case state == "closed" && p.open, (state == "" || state == "open") && !p.open:
			return false
		case c.query("base") != "" && c.query("base") != p.base:
			return false
		}
		return c.query("head") == "" || strings.EqualFold(c.query("head"), p.label())
	})
}

// commitPulls lists the pull requests of a commit; also those from forks.
func (s *Server) commitPulls(c *call) (answer, error) {
	return c.listPullsWhere(func(p *pull) bool {
		return p.sha == c.vars["commit_sha"] || p.merged && p.mergeSHA == c.vars["commit_sha"]
	})
}

func (c *call) listPullsWhere(want func(*pull) bool) (answer, error) {
	list := []any{}
	for _, p := range c.repo.pulls {
		if !p.isIssue && want(p) {
			list = append(list, p.simple())
		}
	}
	if c.query("direction") != "asc" {
		slices.Reverse(list)
	}
	return c.page(list)
}
