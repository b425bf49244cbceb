package githubtest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// Push is a commit that a person pushes without a work tree.
type Push struct {
	User    string // default octocat
	Branch  string // default the default branch; made if there is none
	From    string // what a new branch starts from; default the default branch
	Message string // default "Update"
	// Files are written, Remove are taken away, over the branch's newest commit.
	Files  map[string]string
	Remove []string
	// Amend puts the commit beside the branch's newest one, not over it: a
	// forced push.
	Amend bool
}

// Push commits, moves the branch and sends what GitHub would. It answers the
// new commit.
func (r *Repo) Push(p Push) (sha string, err error) {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	r.s.mu.Lock()
	defer r.s.unlock()
	if p.Branch == "" {
		p.Branch = r.defaultBranch
	}
	if p.Message == "" {
		p.Message = "Update"
	}
	if p.From == "" {
		p.From = r.defaultBranch
	}
	user := r.s.user(p.User)
	before := r.dir.Resolve("refs/heads/" + p.Branch)
	parent := before
	if parent == "" {
		parent = r.dir.Resolve(p.From)
	}
	if p.Amend {
		parent, _ = r.dir.Run("rev-parse", "--verify", "--quiet", before+"^")
	}
	files := contents(p.Files)
	for _, path := range p.Remove {
		files[path] = nil
	}
	sha, err = r.dir.Commit(parent, p.Message, files, who(user, r.s.now().Unix()))
	if err != nil {
		return "", fmt.Errorf("commit to %s: %w", r.fullName(), err)
	}
	return sha, r.set(user, map[string]string{"refs/heads/" + p.Branch: sha})
}

// SetRef points a full ref at a commit, or at an object as a tag's; ""
// deletes it.
func (r *Repo) SetRef(login, ref, target string) error {
	return r.SetRefs(login, map[string]string{ref: target})
}

// SetRefs is SetRef for several refs in one push.
func (r *Repo) SetRefs(login string, refs map[string]string) error {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	r.s.mu.Lock()
	defer r.s.unlock()
	return r.set(r.s.user(login), refs)
}

// Tag makes a tag on a commit, branch or tag; with a message an annotated one.
func (r *Repo) Tag(login, name, on, message string) error {
	r.s.mu.Lock()
	target := r.dir.Resolve(on)
	user, at := r.s.user(login), r.s.now().Unix()
	r.s.unlock()
	if target == "" {
		return fmt.Errorf("tag %s: there is no %q in %s", name, on, r.FullName())
	}
	if message != "" {
		text := fmt.Sprintf("object %s\ntype commit\ntag %s\ntagger %s <%s> %d +0000\n\n%s\n", target, name, user.login, user.email(), at, message)
		tag, err := r.dir.Input(nil, text, "mktag")
		if err != nil {
			return err
		}
		target = strings.TrimSpace(tag)
	}
	return r.SetRef(login, "refs/tags/"+name, target)
}

// Head is the commit of a branch, tag or ref; "" if there is none.
func (r *Repo) Head(ref string) string {
	if ref == "" {
		r.s.mu.Lock()
		ref = r.defaultBranch
		r.s.unlock()
	}
	return r.dir.Resolve(ref)
}

func (r *Repo) set(user *account, refs map[string]string) error {
	before, err := r.dir.Refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	var script strings.Builder
	for _, ref := range sorted(refs) {
		if refs[ref] == "" {
			fmt.Fprintf(&script, "delete %s\n", ref)
		} else {
			fmt.Fprintf(&script, "update %s %s\n", ref, refs[ref])
		}
	}
	if _, err := r.dir.Input(nil, script.String(), "update-ref", "--stdin"); err != nil {
		return err
	}
	return r.tell(user, before)
}

// received runs a push over git's protocol and tells of what it changed.
func (r *Repo) received(user *account, run func()) error {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	before, err := r.dir.Refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	run()
	r.s.mu.Lock()
	defer r.s.unlock()
	return r.tell(user, before)
}

// split takes the ref apart as create and delete events name it.
func split(m gitserver.Move) (kind, name string) {
	if name := m.Tag(); name != "" {
		return "tag", name
	}
	return "branch", m.Branch()
}

// manyTags is how many tags a push may move before GitHub sends nothing for
// them: https://docs.github.com/webhooks/webhook-events-and-payloads#push
const manyTags = 3

// tell compares the refs with those before and sends the events.
func (r *Repo) tell(user *account, before map[string]string) error {
	after, err := r.dir.Refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	changes, tags := gitserver.Compare(before, after), 0
	if len(changes) == 0 {
		return nil
	}
	for _, c := range changes {
		if c.Tag() != "" {
			tags++
		}
	}
	r.pushed = r.s.now()
	var all error
	for _, c := range changes {
		if kind, _ := split(c); kind == "tag" && tags > manyTags {
			continue
		}
		all = errors.Join(all, r.tellOne(user, c, before))
	}
	return all
}

func (r *Repo) tellOne(user *account, c gitserver.Move, before map[string]string) error {
	kind, name := split(c)
	switch {
	case c.Created():
		r.s.emit(r, "create", user, object{"ref": name, "ref_type": kind, "master_branch": r.defaultBranch, "description": nil, "pusher_type": "user"})
	case c.Deleted():
		r.s.emit(r, "delete", user, object{"ref": name, "ref_type": kind, "pusher_type": "user"})
	}
	payload, err := r.pushPayload(user, c, before)
	if err != nil {
		return err
	}
	r.s.emit(r, "push", user, payload)
	if kind == "tag" {
		return nil
	}
	if !c.Deleted() {
		if err := r.requestSuites(user, name, c.Before, c.After); err != nil {
			return err
		}
	}
	return r.movePulls(user, name, c)
}

func (r *Repo) pushPayload(user *account, c gitserver.Move, before map[string]string) (object, error) {
	payload := object{
		"ref": c.Ref, "before": c.Before, "after": c.After, "created": c.Created(), "deleted": c.Deleted(), "forced": false, "base_ref": nil,
		"compare": fmt.Sprintf("%s/compare/%.12s...%.12s", r.web(), c.Before, c.After), "commits": []any{}, "head_commit": nil,
		"pusher": object{"name": user.login, "email": user.email()}, "repository": r.pushJSON(),
	}
	if c.Deleted() {
		return payload, nil
	}
	head := r.dir.Resolve(c.After)
	args := []string{"rev-list", "--reverse", "--max-count=2048", head}
	if !c.Created() {
		args = append(args, "^"+c.Before)
		_, err := r.dir.Run("merge-base", "--is-ancestor", c.Before, c.After)
		payload["forced"] = err != nil
	}
	for _, ref := range sorted(before) {
		if c.Created() && before[ref] == c.After && strings.HasPrefix(ref, "refs/heads/") {
			payload["base_ref"] = ref
		}
		if c.Created() {
			args = append(args, "^"+before[ref])
		}
	}
	out, err := r.dir.Run(args...)
	if err != nil {
		return nil, err
	}
	commits := []any{}
	for _, sha := range strings.Fields(out) {
		commit, err := r.pushedCommit(sha)
		if err != nil {
			return nil, err
		}
		commits = append(commits, commit)
	}
	payload["commits"] = commits
	payload["head_commit"], err = r.pushedCommit(head)
	return payload, err
}

// pushedCommit is a commit as push events carry it.
func (r *Repo) pushedCommit(sha string) (object, error) {
	c, err := r.read(sha)
	if err != nil {
		return nil, err
	}
	added, modified, removed, err := r.dir.Changed(sha)
	if err != nil {
		return nil, err
	}
	person := func(p gitserver.Person) object {
		return object{"name": p.Name, "email": p.Email, "username": p.Name}
	}
	return object{
		"id": sha, "tree_id": c.Tree, "distinct": true, "message": c.Message, "timestamp": c.Author.At.Format(time.RFC3339),
		"url": r.web() + "/commit/" + sha, "author": person(c.Author), "committer": person(c.Committer),
		"added": added, "removed": removed, "modified": modified,
	}, nil
}
