package githubtest

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
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
	before := r.dir.resolve("refs/heads/" + p.Branch)
	parent := before
	if parent == "" {
		parent = r.dir.resolve(p.From)
	}
	if p.Amend {
		parent, _ = r.dir.run("rev-parse", "--verify", "--quiet", before+"^")
	}
	files := contents(p.Files)
	for _, path := range p.Remove {
		files[path] = nil
	}
	sha, err = r.dir.commit(parent, p.Message, files, who(user, r.s.now().Unix()))
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
	target := r.dir.resolve(on)
	user, at := r.s.user(login), r.s.now().Unix()
	r.s.unlock()
	if target == "" {
		return fmt.Errorf("tag %s: there is no %q in %s", name, on, r.FullName())
	}
	if message != "" {
		text := fmt.Sprintf("object %s\ntype commit\ntag %s\ntagger %s <%s> %d +0000\n\n%s\n", target, name, user.login, user.email(), at, message)
		tag, err := r.dir.input(nil, text, "mktag")
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
	return r.dir.resolve(ref)
}

func (r *Repo) set(user *account, refs map[string]string) error {
	before, err := r.dir.refs("refs/heads", "refs/tags")
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
	if _, err := r.dir.input(nil, script.String(), "update-ref", "--stdin"); err != nil {
		return err
	}
	return r.tell(user, before)
}

// received runs a push over git's protocol and tells of what it changed.
func (r *Repo) received(user *account, run func()) error {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	before, err := r.dir.refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	run()
	r.s.mu.Lock()
	defer r.s.unlock()
	return r.tell(user, before)
}

// change is one ref that a push moved.
type change struct {
	ref, before, after string // zeroSHA: none
}

func (c change) created() bool { return c.before == zeroSHA }
func (c change) deleted() bool { return c.after == zeroSHA }

// split takes the ref apart as create and delete events name it.
func (c change) split() (kind, name string) {
	if name, found := strings.CutPrefix(c.ref, "refs/tags/"); found {
		return "tag", name
	}
	return "branch", strings.TrimPrefix(c.ref, "refs/heads/")
}

// manyTags is how many tags a push may move before GitHub sends nothing for
// them: https://docs.github.com/webhooks/webhook-events-and-payloads#push
const manyTags = 3

// tell compares the refs with those before and sends the events.
func (r *Repo) tell(user *account, before map[string]string) error {
	after, err := r.dir.refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	changes, tags := compareRefs(before, after)
	if len(changes) == 0 {
		return nil
	}
	r.pushed = r.s.now()
	var all error
	for _, c := range changes {
		if kind, _ := c.split(); kind == "tag" && tags > manyTags {
			continue
		}
		all = errors.Join(all, r.tellOne(user, c, before))
	}
	return all
}

func compareRefs(before, after map[string]string) (changes []change, tags int) {
	names := map[string]string{}
	for ref := range before {
		names[ref] = ""
	}
	for ref := range after {
		names[ref] = ""
	}
	for _, ref := range sorted(names) {
		c := change{ref, or(before[ref]), or(after[ref])}
		if c.before == c.after {
			continue
		}
		if kind, _ := c.split(); kind == "tag" {
			tags++
		}
		changes = append(changes, c)
	}
	return changes, tags
}

func or(sha string) string {
	if sha == "" {
		return zeroSHA
	}
	return sha
}

func (r *Repo) tellOne(user *account, c change, before map[string]string) error {
	kind, name := c.split()
	switch {
	case c.created():
		r.s.emit(r, "create", user, object{"ref": name, "ref_type": kind, "master_branch": r.defaultBranch, "description": nil, "pusher_type": "user"})
	case c.deleted():
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
	if !c.deleted() {
		if err := r.requestSuites(user, name, c.before, c.after); err != nil {
			return err
		}
	}
	return r.movePulls(user, name, c)
}

func (r *Repo) pushPayload(user *account, c change, before map[string]string) (object, error) {
	payload := object{
		"ref": c.ref, "before": c.before, "after": c.after, "created": c.created(), "deleted": c.deleted(), "forced": false, "base_ref": nil,
		"compare": fmt.Sprintf("%s/compare/%.12s...%.12s", r.web(), c.before, c.after), "commits": []any{}, "head_commit": nil,
		"pusher": object{"name": user.login, "email": user.email()}, "repository": r.pushJSON(),
	}
	if c.deleted() {
		return payload, nil
	}
	head := r.dir.resolve(c.after)
	args := []string{"rev-list", "--reverse", "--max-count=2048", head}
	if !c.created() {
		args = append(args, "^"+c.before)
		_, err := r.dir.run("merge-base", "--is-ancestor", c.before, c.after)
		payload["forced"] = err != nil
	}
	for _, ref := range sorted(before) {
		if c.created() && before[ref] == c.after && strings.HasPrefix(ref, "refs/heads/") {
			payload["base_ref"] = ref
		}
		if c.created() {
			args = append(args, "^"+before[ref])
		}
	}
	out, err := r.dir.run(args...)
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
	files, err := r.dir.run("diff-tree", "--root", "--no-commit-id", "--name-status", "--no-renames", "-r", "-m", "--first-parent", sha)
	if err != nil {
		return nil, err
	}
	lists := map[string][]string{"A": {}, "D": {}, "M": {}}
	for line := range strings.Lines(files) {
		kind, path, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if kind == "T" {
			kind = "M"
		}
		lists[kind] = append(lists[kind], path)
	}
	for _, l := range lists {
		sort.Strings(l)
	}
	person := func(p person) object { return object{"name": p.name, "email": p.email, "username": p.name} }
	return object{
		"id": sha, "tree_id": c.tree, "distinct": true, "message": c.message, "timestamp": c.author.at.Format(time.RFC3339),
		"url": r.web() + "/commit/" + sha, "author": person(c.author), "committer": person(c.committer),
		"added": lists["A"], "removed": lists["D"], "modified": lists["M"],
	}, nil
}
