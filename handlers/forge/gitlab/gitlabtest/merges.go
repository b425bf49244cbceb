package gitlabtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Merge is a merge request.
type Merge struct {
	p           *Project // that it is merged into
	id          int64
	iid         int
	title       string
	description string
	by          *user
	from        *Project // of the source branch; nil: it was deleted
	source      string   // branch
	target      string   // branch
	sha         string   // newest commit of the source
	base        string   // where the source left the target
	start       string   // of the target when the diff was made
	state       string   // opened, closed or merged
	mergeSHA    string
	closedBy    *user
	at, changed time.Time
	ended       time.Time // closed or merged
	early       int       // reads that come before the diff is there
	actions     []QuickAction
}

// MergeOptions are what a person fills in at "New merge request".
type MergeOptions struct {
	User        string // default root
	Title       string // default "A change"; "Draft: " at its beginning makes a draft
	Description string
	From        *Project // default the project itself; else a fork of it
	Source      string   // branch
	Target      string   // branch; default the default branch
}

// MergeState is a merge request as somebody would see it.
type MergeState struct {
	IID                                                 int
	Title, Description, Source, Target, SHA, State, URL string
	Author                                              string
	Status                                              string // detailed_merge_status
}

// OpenMerge opens a merge request.
func (p *Project) OpenMerge(o MergeOptions) (*Merge, error) {
	p.pushing.Lock()
	defer p.pushing.Unlock()
	p.s.mu.Lock()
	defer p.s.unlock()
	if o.Title == "" {
		o.Title = "A change"
	}
	if o.Target == "" {
		o.Target = p.defaultBranch
	}
	return p.openMerge(p.s.person(o.User), o)
}

func (p *Project) openMerge(u *user, o MergeOptions) (*Merge, error) {
	s := p.s
	if o.From == nil {
		o.From = p
	}
	m := &Merge{
		p: p, id: s.id(), title: o.Title, description: o.Description, by: u, from: o.From, source: o.Source, target: o.Target,
		state: "opened", at: s.now(), changed: s.now(), early: s.opts.MergeLag,
	}
	if p.dir.Resolve("refs/heads/"+m.target) == "" {
		return nil, fmt.Errorf("%s has no branch %q to merge into", p.fullPath(), m.target)
	}
	if m.sha = m.from.dir.Resolve("refs/heads/" + m.source); m.sha == "" {
		return nil, fmt.Errorf("%s has no branch %q", m.from.fullPath(), m.source)
	}
	m.iid = p.lastMerge + 1
	if err := m.refresh(); err != nil {
		return nil, err
	}
	p.lastMerge++
	p.merges = append(p.merges, m)
	m.tell(u, "open", nil)
	return m, nil
}

// IID is the number that people call it by.
func (m *Merge) IID() int { return m.iid }

// State is what somebody would see now.
func (m *Merge) State() MergeState {
	m.p.s.mu.Lock()
	defer m.p.s.unlock()
	return m.shown()
}

func (m *Merge) shown() MergeState {
	return MergeState{
		IID: m.iid, Title: m.title, Description: m.description, Source: m.source, Target: m.target, SHA: m.sha, State: m.state, URL: m.web(),
		Author: m.by.username, Status: m.detailedStatus(),
	}
}

// Merges lists the merge requests, oldest first.
func (p *Project) Merges() []*Merge {
	p.s.mu.Lock()
	defer p.s.unlock()
	return slices.Clone(p.merges)
}

// Merge finds a merge request by its number.
func (p *Project) Merge(iid int) (*Merge, error) {
	p.s.mu.Lock()
	defer p.s.unlock()
	if m := p.findMerge(iid); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%s has no merge request !%d", p.fullPath(), iid)
}

func (p *Project) findMerge(iid int) *Merge {
	for _, m := range p.merges {
		if m.iid == iid {
			return m
		}
	}
	return nil
}

// PipelinesMustSucceed switches the project's check of that name, which gates
// merge requests: https://docs.gitlab.com/user/project/merge_requests/auto_merge/#require-a-successful-pipeline-for-merge
func (p *Project) PipelinesMustSucceed(on bool) {
	p.s.mu.Lock()
	defer p.s.unlock()
	p.pipelinesFirst = on
}

// Close closes the merge request.
func (m *Merge) Close(username string) error {
	return m.act(username, func(u *user) error { return m.close(u) })
}

// Reopen opens a closed merge request again.
func (m *Merge) Reopen(username string) error {
	return m.act(username, func(u *user) error { return m.reopen(u) })
}

// Accept merges it with a merge commit, which is a push to the target branch.
// What GitLab would not merge is an error.
func (m *Merge) Accept(username string) error {
	return m.act(username, func(u *user) error {
		if status := m.detailedStatus(); status != "mergeable" {
			return fmt.Errorf("merge request !%d cannot be merged: %s", m.iid, status)
		}
		message := fmt.Sprintf("Merge branch '%s' into '%s'\n\n%s\n\nSee merge request %s!%d", m.source, m.target, m.title, m.p.fullPath(), m.iid)
		sha, err := m.p.dir.Merge(m.p.dir.Resolve("refs/heads/"+m.target), m.sha, message, m.p.s.who(u))
		if err != nil || sha == "" {
			return errors.Join(fmt.Errorf("merge request !%d cannot be merged", m.iid), err)
		}
		m.mergeSHA = sha
		m.merged(u)
		return m.p.set(u, map[string]string{"refs/heads/" + m.target: sha})
	})
}

// SetTarget changes the branch that it is merged into.
func (m *Merge) SetTarget(username, branch string) error {
	return m.act(username, func(u *user) error { return m.edit(u, map[string]string{"target_branch": branch}) })
}

// SetTitle changes the title. "Draft: " at its beginning makes a draft:
// https://docs.gitlab.com/user/project/merge_requests/drafts/
func (m *Merge) SetTitle(username, title string) error {
	return m.act(username, func(u *user) error { return m.edit(u, map[string]string{"title": title}) })
}

// SetDraft makes it a draft, or ready.
func (m *Merge) SetDraft(username string, draft bool) error {
	return m.act(username, func(u *user) error {
		title := strings.TrimPrefix(m.title, "Draft: ")
		if draft {
			title = "Draft: " + title
		}
		return m.edit(u, map[string]string{"title": title})
	})
}

func (m *Merge) act(username string, do func(*user) error) error {
	m.p.pushing.Lock()
	defer m.p.pushing.Unlock()
	m.p.s.mu.Lock()
	defer m.p.s.unlock()
	return do(m.p.s.person(username))
}

func (m *Merge) close(u *user) error {
	if m.state != "opened" {
		return fmt.Errorf("merge request !%d is %s", m.iid, m.state)
	}
	m.setState("closed", u)
	m.systemNote(u, "closed")
	m.tell(u, "close", m.stateChange("opened", "closed"))
	return nil
}

func (m *Merge) reopen(u *user) error {
	if m.state != "closed" {
		return fmt.Errorf("merge request !%d is %s", m.iid, m.state)
	}
	if m.from == nil || m.from.dir.Resolve("refs/heads/"+m.source) == "" {
		return fmt.Errorf("merge request !%d cannot be reopened: its source branch is gone", m.iid)
	}
	m.sha = m.from.dir.Resolve("refs/heads/" + m.source)
	if err := m.refresh(); err != nil {
		return err
	}
	m.setState("opened", nil)
	m.systemNote(u, "reopened")
	m.tell(u, "reopen", m.stateChange("closed", "opened"))
	return nil
}

func (m *Merge) merged(u *user) {
	m.setState("merged", u)
	m.systemNote(u, "merged")
	m.tell(u, "merge", m.stateChange("opened", "merged"))
}

func (m *Merge) setState(state string, by *user) {
	m.state, m.closedBy, m.changed, m.ended = state, by, m.p.s.now(), m.p.s.now()
	if by == nil {
		m.ended = time.Time{}
	}
}

// edit changes title, description and target branch, and tells of it.
func (m *Merge) edit(u *user, fields map[string]string) error {
	changes := object{}
	change := func(name string, field *string) {
		if to, given := fields[name]; given && to != *field {
			changes[name] = object{"previous": *field, "current": to}
			*field = to
		}
	}
	wasDraft := m.draft()
	change("title", &m.title)
	change("description", &m.description)
	change("target_branch", &m.target)
	if m.draft() != wasDraft {
		changes["draft"] = object{"previous": wasDraft, "current": m.draft()}
	}
	if len(changes) == 0 {
		return nil
	}
	m.changed = m.p.s.now()
	if changes["target_branch"] != nil {
		if err := m.refresh(); err != nil {
			return err
		}
	}
	m.tell(u, "update", changes)
	return nil
}

func (m *Merge) draft() bool { return strings.HasPrefix(strings.ToLower(m.title), "draft:") }
