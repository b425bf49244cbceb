package gitlabtest

import (
	"errors"
	"fmt"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// refresh brings the source's commits over, keeps refs/merge-requests/N/head
// and finds where the diff begins.
func (m *Merge) refresh() error {
	if m.from != nil && m.from != m.p {
		if _, err := m.p.dir.Run("fetch", "-q", string(m.from.dir), m.sha); err != nil {
			return err
		}
	}
	if _, err := m.p.dir.Run("update-ref", fmt.Sprintf("refs/merge-requests/%d/head", m.iid), m.sha); err != nil {
		return err
	}
	m.start = m.p.dir.Resolve("refs/heads/" + m.target)
	if m.start == "" {
		return fmt.Errorf("%s has no branch %q", m.p.fullPath(), m.target)
	}
	base, err := m.p.dir.Run("merge-base", m.start, m.sha)
	if err != nil {
		base = m.start // nothing in common
	}
	m.base = base
	return nil
}

// moveMerges follows a push to a branch: merge requests from it get the new
// commit, or are closed with it; those into it are merged if it has their
// commits now. app/services/merge_requests/refresh_service.rb
func (p *Project) moveMerges(u *user, move gitserver.Move) error {
	var all error
	for _, into := range p.s.all() {
		for _, m := range into.merges {
			switch {
			case m.state != "opened":
			case m.from == p && m.source == move.Branch() && move.Deleted():
				all = errors.Join(all, m.close(u))
			case m.from == p && m.source == move.Branch():
				all = errors.Join(all, m.pushed(u, move))
			case into == p && m.target == move.Branch() && !move.Deleted():
				if _, err := p.dir.Run("merge-base", "--is-ancestor", m.sha, move.After); err == nil {
					m.merged(u)
				}
			}
		}
	}
	return all
}

func (m *Merge) pushed(u *user, move gitserver.Move) error {
	m.sha, m.changed = move.After, m.p.s.now()
	if err := m.refresh(); err != nil {
		return err
	}
	m.systemNote(u, "added 1 commit\n\n<ul><li>"+move.After[:8]+"</li></ul>\n\n[Compare with previous version]("+m.web()+"/diffs)")
	m.tellPushed(u, move.Before)
	return nil
}

// detailedStatus: https://docs.gitlab.com/api/merge_requests/#merge-status
func (m *Merge) detailedStatus() string {
	switch {
	case m.early > 0:
		return "preparing"
	case m.state != "opened":
		return "not_open"
	case m.draft():
		return "draft_status"
	case m.conflicts():
		return "conflict"
	case !m.p.pipelinesFirst:
		return "mergeable"
	}
	l := m.pipeline()
	if l == nil {
		return "ci_must_pass"
	}
	switch l.status() {
	case "success":
		return "mergeable"
	case "running", "pending", "created":
		return "ci_still_running"
	}
	return "ci_must_pass"
}

// pipeline is the head pipeline: of the project that the commits come from, of
// the source branch. What is posted for the commit of a fork in the target
// project does not count, nor what has another ref: MergeRequest#diff_head_pipeline.
func (m *Merge) pipeline() *pipeline {
	if m.from == nil {
		return nil
	}
	return m.from.headPipeline(m.sha, m.source)
}

func (m *Merge) conflicts() bool {
	target := m.p.dir.Resolve("refs/heads/" + m.target)
	if target == "" {
		return true
	}
	_, err := m.p.dir.Run("merge-tree", "--write-tree", target, m.sha)
	return err != nil
}

// has reports whether a commit is one of the merge request's.
func (m *Merge) has(sha string) bool {
	if sha == m.sha || sha == m.mergeSHA {
		return true
	}
	_, inHead := m.p.dir.Run("merge-base", "--is-ancestor", sha, m.sha)
	_, inBase := m.p.dir.Run("merge-base", "--is-ancestor", sha, m.base)
	return inHead == nil && inBase != nil
}

func (m *Merge) web() string { return fmt.Sprintf("%s/-/merge_requests/%d", m.p.web(), m.iid) }
