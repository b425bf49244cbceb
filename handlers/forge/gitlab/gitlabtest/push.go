package gitlabtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// Push is a commit that a person pushes without a work tree.
type Push struct {
	User    string // default root
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

// Push commits, moves the branch and sends what GitLab would. It answers the
// new commit.
func (p *Project) Push(push Push) (sha string, err error) {
	p.pushing.Lock()
	defer p.pushing.Unlock()
	p.s.mu.Lock()
	defer p.s.unlock()
	if push.Branch == "" {
		push.Branch = p.defaultBranch
	}
	if push.Message == "" {
		push.Message = "Update"
	}
	if push.From == "" {
		push.From = p.defaultBranch
	}
	u := p.s.person(push.User)
	before := p.dir.Resolve("refs/heads/" + push.Branch)
	parent := before
	if parent == "" {
		parent = p.dir.Resolve(push.From)
	}
	if push.Amend {
		parent, _ = p.dir.Run("rev-parse", "--verify", "--quiet", before+"^")
	}
	files := contents(push.Files)
	for _, path := range push.Remove {
		files[path] = nil
	}
	sha, err = p.dir.Commit(parent, push.Message, files, p.s.who(u))
	if err != nil {
		return "", fmt.Errorf("commit to %s: %w", p.fullPath(), err)
	}
	return sha, p.set(u, map[string]string{"refs/heads/" + push.Branch: sha})
}

// SetRef points a full ref at a commit, or at an object as a tag's; ""
// deletes it.
func (p *Project) SetRef(username, ref, target string) error {
	return p.SetRefs(username, map[string]string{ref: target})
}

// SetRefs is SetRef for several refs in one push.
func (p *Project) SetRefs(username string, refs map[string]string) error {
	p.pushing.Lock()
	defer p.pushing.Unlock()
	p.s.mu.Lock()
	defer p.s.unlock()
	return p.set(p.s.person(username), refs)
}

// Delete deletes a branch.
func (p *Project) Delete(username, branch string) error {
	return p.SetRef(username, "refs/heads/"+branch, "")
}

// DeleteTag deletes a tag.
func (p *Project) DeleteTag(username, name string) error {
	return p.SetRef(username, "refs/tags/"+name, "")
}

// Tag makes a tag on a commit, branch or tag; with a message an annotated one.
func (p *Project) Tag(username, name, on, message string) error {
	p.s.mu.Lock()
	target := p.dir.Resolve(on)
	u := p.s.person(username)
	p.s.unlock()
	if target == "" {
		return fmt.Errorf("tag %s: there is no %q in %s", name, on, p.FullPath())
	}
	if message != "" {
		tag, err := p.annotate(u, name, target, message)
		if err != nil {
			return err
		}
		target = tag
	}
	return p.SetRef(username, "refs/tags/"+name, target)
}

func (p *Project) annotate(u *user, name, target, message string) (string, error) {
	text := fmt.Sprintf("object %s\ntype commit\ntag %s\ntagger %s <%s> %d +0000\n\n%s\n", target, name, u.name, u.email(), p.s.opts.Now().Unix(), message)
	tag, err := p.dir.Input(nil, text, "mktag")
	return strings.TrimSpace(tag), err
}

// Head is the commit of a branch, tag or ref; "" if there is none. No ref is
// the default branch.
func (p *Project) Head(ref string) string {
	if ref == "" {
		p.s.mu.Lock()
		ref = p.defaultBranch
		p.s.unlock()
	}
	return p.dir.Resolve(ref)
}

// set moves refs as one push, under the server's lock.
func (p *Project) set(u *user, refs map[string]string) error {
	before, err := p.dir.Refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	var script strings.Builder
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		if refs[ref] == "" {
			fmt.Fprintf(&script, "delete %s\n", ref)
		} else {
			fmt.Fprintf(&script, "update %s %s\n", ref, refs[ref])
		}
	}
	if _, err := p.dir.Input(nil, script.String(), "update-ref", "--stdin"); err != nil {
		return err
	}
	return p.tell(u, before)
}

// received runs a push over git's protocol and tells of what it changed.
func (p *Project) received(u *user, run func()) error {
	p.pushing.Lock()
	defer p.pushing.Unlock()
	before, err := p.dir.Refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	run()
	p.s.mu.Lock()
	defer p.s.unlock()
	return p.tell(u, before)
}

// manyRefs is how many branches, and how many tags, a push may move before
// GitLab sends no webhook for them (push_event_hooks_limit):
// https://docs.gitlab.com/administration/settings/push_event_activities_limit/
const manyRefs = 3

// tell compares the refs with those before and sends the webhooks, branches
// before tags as Git::ProcessRefChangesService does.
func (p *Project) tell(u *user, before map[string]string) error {
	after, err := p.dir.Refs("refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	var branches, tags []gitserver.Move
	for _, m := range gitserver.Compare(before, after) {
		if m.Tag() != "" {
			tags = append(tags, m)
		} else {
			branches = append(branches, m)
		}
	}
	if len(branches)+len(tags) == 0 {
		return nil
	}
	p.active = p.s.now()
	var all error
	for _, list := range [][]gitserver.Move{branches, tags} {
		for _, m := range list {
			if len(list) <= manyRefs {
				all = errors.Join(all, p.tellOne(u, m, before))
			}
			all = errors.Join(all, p.moved(u, m))
		}
	}
	p.tellUpdate(u, append(branches, tags...))
	return all
}

func (p *Project) tellOne(u *user, m gitserver.Move, before map[string]string) error {
	payload, err := p.pushPayload(u, m, before)
	if err != nil {
		return err
	}
	kind := pushHook
	if m.Tag() != "" {
		kind = tagPushHook
	}
	p.s.deliver(p, kind, payload)
	return nil
}

// pushedCommits is how many commits a payload lists:
// https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events
const pushedCommits = 20

// pushPayload is lib/gitlab/data_builder/push.rb.
func (p *Project) pushPayload(u *user, m gitserver.Move, before map[string]string) (object, error) {
	var shas []string
	if !m.Deleted() && m.Branch() != "" {
		args := []string{"rev-list", "--reverse", "--max-count=2048", m.After}
		switch {
		case !m.Created():
			args = append(args, "^"+m.Before)
		case m.Branch() != p.defaultBranch: // a new branch tells what the default branch has not
			if base := before["refs/heads/"+p.defaultBranch]; base != "" {
				args = append(args, "^"+base)
			}
		}
		out, err := p.dir.Run(args...)
		if err != nil {
			return nil, err
		}
		shas = strings.Fields(out)
	}
	return p.pushData(u, m, shas, p.tagMessage(m))
}

// tagMessage is the message of an annotated tag; nil for others.
func (p *Project) tagMessage(m gitserver.Move) any {
	if m.Tag() == "" || m.Deleted() {
		return nil
	}
	if _, message := p.readTag(m.After); message != "" {
		return message
	}
	return ""
}

// readTag takes an annotated tag apart; "" if the object is none.
func (p *Project) readTag(sha string) (target, message string) {
	if kind, err := p.dir.Run("cat-file", "-t", sha); err != nil || kind != "tag" {
		return "", ""
	}
	out, err := p.dir.Run("cat-file", "tag", sha)
	if err != nil {
		return "", ""
	}
	head, message, _ := strings.Cut(out, "\n\n")
	for line := range strings.Lines(head) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), " "); k == "object" {
			target = v
		}
	}
	return target, strings.TrimSuffix(message, "\n")
}

func (p *Project) pushData(u *user, m gitserver.Move, shas []string, message any) (object, error) {
	commits := []any{}
	for _, sha := range shas[max(0, len(shas)-pushedCommits):] {
		c, err := p.hookCommit(sha)
		if err != nil {
			return nil, err
		}
		commits = append(commits, c)
	}
	kind, count := "push", len(shas)
	var checkout any
	if !m.Deleted() {
		checkout = p.dir.Resolve(m.After)
	}
	if m.Tag() != "" {
		kind = "tag_push"
		if !m.Deleted() {
			c, err := p.hookCommit(p.dir.Resolve(m.After))
			if err != nil {
				return nil, err
			}
			commits, count = append(commits, c), 1
		}
	}
	return object{
		"object_kind": kind, "event_name": kind, "before": m.Before, "after": m.After, "ref": m.Ref, "ref_protected": p.protected[m.Branch()],
		"checkout_sha": checkout, "message": message, "user_id": u.id, "user_name": u.name, "user_username": u.username, "user_email": nil,
		"user_avatar": p.s.avatar(u), "project_id": p.id, "project": p.hookJSON(), "commits": commits, "total_commits_count": count,
		"push_options": object{}, "repository": p.hookRepository(),
	}, nil
}

// tellUpdate sends system hooks the one event for all refs of a push:
// https://docs.gitlab.com/administration/system_hooks/#repository-update-events
func (p *Project) tellUpdate(u *user, moves []gitserver.Move) {
	changes, refs := []any{}, []any{}
	for _, m := range moves {
		changes, refs = append(changes, object{"before": m.Before, "after": m.After, "ref": m.Ref}), append(refs, m.Ref)
	}
	p.s.deliverSystem("repository_update_events", object{
		"event_name": "repository_update", "user_id": u.id, "user_name": u.name, "user_email": u.email(), "user_avatar": p.s.avatar(u),
		"project_id": p.id, "project": p.hookJSON(), "changes": changes, "refs": refs,
	})
}
