package githubtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// pull is a pull request, or an issue where isIssue is set.
type pull struct {
	r         *Repo
	id        int64
	number    int
	title     string
	body      string
	by        *account
	isIssue   bool
	draft     bool
	from      *Repo  // the repository of the head; nil: it was deleted
	head      string // its branch
	base      string // branch
	sha       string // newest commit of the head
	mergeSHA  string // refs/pull/N/merge, or the merge once merged
	open      bool
	merged    bool
	mergedBy  *account
	at        time.Time
	updated   time.Time
	closed    time.Time
	mergeable bool
}

// Pull is what a person fills in at "New pull request".
type Pull struct {
	User  string // default octocat
	Title string // default "A change"
	Body  string
	From  *Repo  // default the repository itself; else a fork of it
	Head  string // branch
	Base  string // default the default branch
	Draft bool
}

// OpenPull opens a pull request and answers its number.
func (r *Repo) OpenPull(o Pull) (number int, err error) {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	s := r.s
	s.mu.Lock()
	defer s.unlock()
	p := &pull{r: r, id: s.id(), title: o.Title, body: o.Body, by: s.user(o.User), draft: o.Draft, from: o.From, head: o.Head, base: o.Base, open: true, at: s.now()}
	if p.title == "" {
		p.title = "A change"
	}
	if p.from == nil {
		p.from = r
	}
	if p.base == "" {
		p.base = r.defaultBranch
	}
	if r.dir.Resolve("refs/heads/"+p.base) == "" {
		return 0, fmt.Errorf("%s has no branch %q to merge into", r.fullName(), p.base)
	}
	if p.sha = p.from.dir.Resolve("refs/heads/" + p.head); p.sha == "" {
		return 0, fmt.Errorf("%s has no branch %q", p.from.fullName(), p.head)
	}
	r.number++
	p.number = r.number
	if err := p.refresh(); err != nil {
		return 0, err
	}
	r.pulls = append(r.pulls, p)
	p.emit("opened", p.by, nil)
	return p.number, nil
}

// OpenIssue opens an issue, which has comments and is no pull request.
func (r *Repo) OpenIssue(login, title string) (number int) {
	s := r.s
	s.mu.Lock()
	defer s.unlock()
	r.number++
	p := &pull{r: r, id: s.id(), number: r.number, title: title, by: s.user(login), isIssue: true, open: true, at: s.now()}
	r.pulls = append(r.pulls, p)
	return p.number
}

// ClosePull closes a pull request, or merges it with a merge commit, which is
// a push to the base branch.
func (r *Repo) ClosePull(number int, login string, merge bool) error {
	return r.onPull(number, func(p *pull) error {
		user := r.s.user(login)
		if !p.open {
			return fmt.Errorf("pull request %d is closed already", number)
		}
		if !merge {
			p.open, p.closed = false, r.s.now()
			p.emit("closed", user, nil)
			return nil
		}
		base := r.dir.Resolve("refs/heads/" + p.base)
		message := fmt.Sprintf("Merge pull request #%d from %s\n\n%s", number, p.label(), p.title)
		sha, err := r.dir.Merge(base, p.sha, message, who(user, r.s.now().Unix()))
		if err != nil || sha == "" {
			return errors.Join(fmt.Errorf("pull request %d cannot be merged", number), err)
		}
		p.open, p.merged, p.mergedBy, p.mergeSHA, p.closed = false, true, user, sha, r.s.now()
		p.emit("closed", user, nil)
		return r.set(user, map[string]string{"refs/heads/" + p.base: sha})
	})
}

// ReopenPull opens a closed pull request again.
func (r *Repo) ReopenPull(number int, login string) error {
	return r.onPull(number, func(p *pull) error {
		if p.open || p.merged {
			return fmt.Errorf("pull request %d cannot be reopened", number)
		}
		p.open, p.closed = true, time.Time{}
		p.emit("reopened", r.s.user(login), nil)
		return nil
	})
}

// MarkReady ends a pull request's being a draft.
func (r *Repo) MarkReady(number int, login string) error {
	return r.onPull(number, func(p *pull) error {
		p.draft = false
		p.emit("ready_for_review", r.s.user(login), nil)
		return nil
	})
}

// EditPull changes the base branch of a pull request.
func (r *Repo) EditPull(number int, login, base string) error {
	return r.onPull(number, func(p *pull) error {
		old, oldSHA := p.base, r.dir.Resolve("refs/heads/"+p.base)
		p.base = base
		if err := p.refresh(); err != nil {
			return err
		}
		p.emit("edited", r.s.user(login), object{"changes": object{"base": object{"ref": object{"from": old}, "sha": object{"from": oldSHA}}}})
		return nil
	})
}

func (r *Repo) onPull(number int, do func(*pull) error) error {
	r.pushing.Lock()
	defer r.pushing.Unlock()
	r.s.mu.Lock()
	defer r.s.unlock()
	p, err := r.pull(number)
	if err == nil && p.isIssue {
		err = fmt.Errorf("#%d of %s is an issue", number, r.fullName())
	}
	if err != nil {
		return err
	}
	return do(p)
}

func (r *Repo) pull(number int) (*pull, error) {
	for _, p := range r.pulls {
		if p.number == number {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s has no pull request %d", r.fullName(), number)
}

// refresh brings the head's commits over and keeps refs/pull/N/head and, where
// it merges cleanly, refs/pull/N/merge.
func (p *pull) refresh() error {
	r, name := p.r, fmt.Sprintf("refs/pull/%d/", p.number)
	if p.from != r {
		if _, err := r.dir.Run("fetch", "-q", string(p.from.dir), p.sha); err != nil {
			return err
		}
	}
	if _, err := r.dir.Run("update-ref", name+"head", p.sha); err != nil {
		return err
	}
	base := r.dir.Resolve("refs/heads/" + p.base)
	message := fmt.Sprintf("Merge %s into %s", p.sha, base)
	merge, err := r.dir.Merge(base, p.sha, message, who(p.by, r.s.now().Unix()))
	if err != nil {
		return err
	}
	if p.mergeSHA, p.mergeable = merge, merge != ""; merge == "" {
		_, err = r.dir.Run("update-ref", "-d", name+"merge")
		return err
	}
	_, err = r.dir.Run("update-ref", name+"merge", merge)
	return err
}

// movePulls follows a push to a branch: pull requests from it get the new
// commit, or are closed with it; those into it get a new merge, silently.
func (r *Repo) movePulls(user *account, branch string, c gitserver.Move) error {
	var all error
	for _, into := range r.s.repos {
		for _, p := range into.pulls {
			switch {
			case !p.open || p.isIssue:
			case p.from == r && p.head == branch && c.Deleted():
				p.open, p.closed = false, r.s.now()
				p.emit("closed", user, nil)
			case p.from == r && p.head == branch:
				p.sha = c.After
				all = errors.Join(all, p.refresh())
				p.emit("synchronize", user, object{"before": c.Before, "after": c.After})
			case into == r && p.base == branch && !c.Deleted():
				all = errors.Join(all, p.refresh())
			}
		}
	}
	return all
}

func (p *pull) emit(action string, user *account, more object) {
	p.updated = p.r.s.now()
	payload := object{"action": action, "number": p.number, "pull_request": p.json()}
	for k, v := range more {
		payload[k] = v
	}
	p.r.s.emit(p.r, "pull_request", user, payload)
}

// label names the head as GitHub does: OWNER:BRANCH.
func (p *pull) label() string {
	if p.from == nil {
		return "unknown repository"
	}
	return p.from.owner.login + ":" + p.head
}
