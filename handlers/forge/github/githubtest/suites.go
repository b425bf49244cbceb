package githubtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// suite holds an app's check runs of one commit.
type suite struct {
	id            int64
	app           *App
	sha           string
	branch        string
	before, after string
	created       time.Time
	again         bool // re-requested, and nothing has happened since
}

// requestSuites makes the suites of a push and asks the apps to fill them.
func (r *Repo) requestSuites(user *account, branch, before, after string) error {
	for _, app := range r.s.apps {
		for _, i := range app.installs {
			if !i.covers(r) || !grants(i.permissions, "checks:write") {
				continue
			}
			u := r.suiteOf(app, after)
			u.branch, u.before, u.after = branch, before, after
			r.s.emitTo(app, r, "check_suite", user, object{"action": "requested", "check_suite": u.hookJSON(r)})
		}
	}
	return nil
}

// suiteOf finds or makes the app's suite of a commit.
func (r *Repo) suiteOf(app *App, sha string) *suite {
	for _, u := range r.suites {
		if u.app == app && u.sha == sha {
			return u
		}
	}
	u := &suite{id: r.s.id(), app: app, sha: sha, created: r.s.now(), before: gitserver.ZeroSHA, after: sha}
	if refs, err := r.dir.Refs("refs/heads"); err == nil {
		for _, name := range sorted(refs) {
			if refs[name] == sha && u.branch == "" {
				u.branch = strings.TrimPrefix(name, "refs/heads/")
			}
		}
	}
	r.suites = append(r.suites, u)
	return u
}

// state sums up the newest check runs of each name.
func (u *suite) state(r *Repo) (status, conclusion string, count int) {
	newest := map[string]*check{}
	for _, k := range r.checks {
		if k.suite == u {
			newest[k.Name] = k
			count++
		}
	}
	if count == 0 || u.again {
		return "queued", "", count
	}
	// The worst conclusion wins, in GitHub's order.
	order := []string{"skipped", "neutral", "success", "cancelled", "action_required", "timed_out", "failure"}
	status = "completed"
	for _, k := range newest {
		if k.Status != "completed" {
			return "in_progress", "", count
		}
		if slices.Index(order, k.Conclusion) > slices.Index(order, conclusion) {
			conclusion = k.Conclusion
		}
	}
	return status, conclusion, count
}

func (u *suite) json(r *Repo) object {
	status, conclusion, count := u.state(r)
	url := fmt.Sprintf("%s/check-suites/%d", r.api(), u.id)
	out := object{
		"id": u.id, "node_id": nodeID("CheckSuite", u.id), "head_branch": orNull(u.branch), "head_sha": u.sha, "status": status,
		"conclusion": orNull(conclusion), "url": url, "before": u.before, "after": u.after, "pull_requests": r.pullsOf(u.sha),
		"app": u.app.json(), "repository": r.json(), "created_at": stamp(u.created), "updated_at": stamp(r.s.now()),
		"latest_check_runs_count": count, "check_runs_url": url + "/check-runs", "rerequestable": true, "runs_rerequestable": true,
	}
	if c, err := r.read(u.sha); err == nil {
		out["head_commit"] = simpleCommit(c)
	}
	return out
}

// hookJSON is the suite of a webhook, which has the repository beside it.
func (u *suite) hookJSON(r *Repo) object {
	out := u.json(r)
	delete(out, "repository")
	return out
}

func simpleCommit(c gitserver.Commit) object {
	return object{
		"id": c.SHA, "tree_id": c.Tree, "message": c.Message, "timestamp": stamp(c.Author.At),
		"author":    object{"name": c.Author.Name, "email": c.Author.Email},
		"committer": object{"name": c.Committer.Name, "email": c.Committer.Email},
	}
}

func (s *Server) getSuite(c *call) (answer, error) {
	for _, u := range c.repo.suites {
		if u.id == c.number("check_suite_id") {
			return ok(u.json(c.repo))
		}
	}
	return answer{}, errNotFound
}

func (s *Server) listSuites(c *call) (answer, error) {
	sha := c.repo.dir.Resolve(c.vars["ref"])
	list := []any{}
	for _, u := range c.repo.suites {
		if u.sha == sha && (c.query("app_id") == "" || c.query("app_id") == fmt.Sprint(u.app.ID)) {
			list = append(list, u.json(c.repo))
		}
	}
	return c.pageIn("check_suites", list, nil)
}

// MergeGroup is a merge queue asking for checks of the merge that it would
// make of a pull request. It answers the commit to build.
func (r *Repo) MergeGroup(number int) (sha string, err error) {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	s := r.s
	s.mu.Lock()
	defer s.unlock()
	p, err := r.pull(number)
	if err != nil {
		return "", err
	}
	base := r.dir.Resolve("refs/heads/" + p.base)
	bot := s.user("github-merge-queue[bot]")
	message := fmt.Sprintf("Merge pull request #%d from %s\n\n%s", number, p.label(), p.title)
	sha, err = r.dir.Merge(base, p.sha, message, who(bot, s.now().Unix()))
	if err != nil || sha == "" {
		return "", fmt.Errorf("pull request %d cannot be merged: %w", number, err)
	}
	ref := fmt.Sprintf("refs/heads/gh-readonly-queue/%s/pr-%d-%s", p.base, number, base)
	if err := r.set(bot, map[string]string{ref: sha}); err != nil {
		return "", err
	}
	c, err := r.read(sha)
	if err != nil {
		return "", err
	}
	s.emit(r, "merge_group", bot, object{"action": "checks_requested", "merge_group": object{
		"head_sha": sha, "head_ref": ref, "base_sha": base, "base_ref": "refs/heads/" + p.base, "head_commit": simpleCommit(c),
	}})
	return sha, nil
}
