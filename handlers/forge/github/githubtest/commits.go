package githubtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// read reads a commit, from git only once: it never changes.
func (r *Repo) read(sha string) (gitserver.Commit, error) {
	if c, known := r.commits[sha]; known {
		return c, nil
	}
	c, err := r.dir.Read(sha)
	if err == nil {
		r.commits[sha] = c
	}
	return c, err
}

// has reports whether a full SHA names a commit.
func (r *Repo) has(sha string) bool {
	if len(sha) != 40 {
		return false
	}
	_, err := r.read(sha)
	return err == nil
}

func personJSON(p gitserver.Person) object {
	return object{"name": p.Name, "email": p.Email, "date": p.At.Format(time.RFC3339)}
}

func (r *Repo) commitJSON(sha string) (object, error) {
	c, err := r.read(sha)
	if err != nil {
		return nil, err
	}
	parents := []any{}
	for _, p := range c.Parents {
		parents = append(parents, object{"sha": p, "url": r.api() + "/commits/" + p, "html_url": r.web() + "/commit/" + p})
	}
	account := func(p gitserver.Person) any { // nil where no account has the address
		a := r.s.accounts[strings.ToLower(p.Name)]
		if a == nil || a.email() != p.Email {
			return nil
		}
		return r.s.userJSON(a)
	}
	return object{
		"url": r.api() + "/commits/" + sha, "sha": sha, "node_id": nodeID("Commit", r.id) + sha, "html_url": r.web() + "/commit/" + sha,
		"comments_url": r.api() + "/commits/" + sha + "/comments", "author": account(c.Author), "committer": account(c.Committer), "parents": parents,
		"commit": object{
			"url": r.api() + "/git/commits/" + sha, "author": personJSON(c.Author), "committer": personJSON(c.Committer), "message": c.Message,
			"comment_count": 0, "tree": object{"sha": c.Tree, "url": r.api() + "/git/trees/" + c.Tree}, "verification": unsigned(),
		},
	}, nil
}

func unsigned() object {
	return object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}
}

func noCommit(ref string) error {
	return &apiError{status: http.StatusUnprocessableEntity, message: "No commit found for SHA: " + ref}
}

func (s *Server) getCommit(c *call) (answer, error) {
	sha := c.repo.dir.Resolve(c.vars["ref"])
	if sha == "" {
		return answer{}, noCommit(c.vars["ref"])
	}
	body, err := c.repo.commitJSON(sha)
	if err != nil {
		return answer{}, err
	}
	base := gitserver.EmptyTree
	if commit, err := c.repo.read(sha); err == nil && len(commit.Parents) > 0 {
		base = commit.Parents[0]
	}
	files, add, del, err := c.repo.diff(base, sha, sha)
	if err != nil {
		return answer{}, err
	}
	body["files"], body["stats"] = files, object{"additions": add, "deletions": del, "total": add + del}
	return ok(body)
}

func (s *Server) listCommits(c *call) (answer, error) {
	from := c.query("sha")
	if from == "" {
		from = c.repo.defaultBranch
	}
	sha := c.repo.dir.Resolve(from)
	if sha == "" {
		return answer{}, errNotFound
	}
	list, err := c.repo.log(sha)
	if err != nil {
		return answer{}, err
	}
	return c.page(list)
}

// log lists commits as rev-list does, 250 at most.
func (r *Repo) log(args ...string) ([]any, error) {
	out, err := r.dir.Run(append([]string{"rev-list", "--max-count=250"}, args...)...)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, sha := range strings.Fields(out) {
		body, err := r.commitJSON(sha)
		if err != nil {
			return nil, err
		}
		list = append(list, body)
	}
	return list, nil
}

// compare: https://docs.github.com/rest/commits/commits#compare-two-commits
func (s *Server) compare(c *call) (answer, error) {
	base, head, found := strings.Cut(c.vars["basehead"], "...")
	a, b := c.repo.dir.Resolve(base), c.repo.dir.Resolve(head)
	if !found || a == "" || b == "" {
		return answer{}, errNotFound
	}
	fork, err := c.repo.dir.Run("merge-base", a, b)
	if err != nil {
		return answer{}, &apiError{status: http.StatusNotFound, message: fmt.Sprintf("No common ancestor between %s and %s.", base, head)}
	}
	counts, err := c.repo.dir.Run("rev-list", "--left-right", "--count", a+"..."+b)
	if err != nil {
		return answer{}, err
	}
	var behind, ahead int
	if _, err := fmt.Sscan(counts, &behind, &ahead); err != nil {
		return answer{}, err
	}
	status := "diverged"
	switch {
	case ahead == 0 && behind == 0:
		status = "identical"
	case behind == 0:
		status = "ahead"
	case ahead == 0:
		status = "behind"
	}
	commits, err := c.repo.log("--reverse", b, "^"+a)
	if err != nil {
		return answer{}, err
	}
	baseCommit, err := c.repo.commitJSON(a)
	if err != nil {
		return answer{}, err
	}
	forkCommit, err := c.repo.commitJSON(fork)
	if err != nil {
		return answer{}, err
	}
	files, _, _, err := c.repo.diff(fork, b, b)
	if err != nil {
		return answer{}, err
	}
	web := c.repo.web() + "/compare/" + base + "..." + head
	return ok(object{
		"url": c.repo.api() + "/compare/" + base + "..." + head, "html_url": web, "permalink_url": web, "diff_url": web + ".diff", "patch_url": web + ".patch",
		"base_commit": baseCommit, "merge_base_commit": forkCommit, "status": status, "ahead_by": ahead, "behind_by": behind,
		"total_commits": ahead, "commits": commits, "files": files,
	})
}

// diff lists the files that differ, as pulls/files and compare do.
func (r *Repo) diff(base, head, at string) (files []any, add, del int, err error) {
	raw, err := r.dir.Run("diff", "--raw", "--no-abbrev", "--numstat", "--find-renames", "-z", base, head)
	if err != nil {
		return nil, 0, 0, err
	}
	files = []any{}
	fields := strings.Split(raw, "\x00")
	byPath := map[string]object{}
	for i := 0; i < len(fields); i++ {
		f := fields[i]
		switch {
		case strings.HasPrefix(f, ":"):
			parts := strings.Fields(f)
			file := object{"sha": parts[3], "status": map[byte]string{'A': "added", 'D': "removed", 'M': "modified", 'T': "changed", 'R': "renamed", 'C': "copied"}[parts[4][0]]}
			i++
			path := fields[i]
			if parts[4][0] == 'R' || parts[4][0] == 'C' {
				i++
				file["previous_filename"], path = path, fields[i]
			}
			if parts[4][0] == 'D' {
				file["sha"] = parts[2]
			}
			file["filename"], file["blob_url"], file["raw_url"] = path, r.web()+"/blob/"+at+"/"+path, r.web()+"/raw/"+at+"/"+path
			file["contents_url"] = r.api() + "/contents/" + path + "?ref=" + at
			byPath[path] = file
			files = append(files, file)
		case f != "":
			parts := strings.SplitN(f, "\t", 3)
			if len(parts) < 3 {
				continue
			}
			path := parts[2]
			if path == "" && i+2 < len(fields) { // renamed: the names follow
				path = fields[i+2]
				i += 2
			}
			a, _ := strconv.Atoi(parts[0]) // "-" for binary files
			d, _ := strconv.Atoi(parts[1])
			if file := byPath[path]; file != nil {
				file["additions"], file["deletions"], file["changes"] = a, d, a+d
			}
			add, del = add+a, del+d
		}
	}
	return files, add, del, nil
}
