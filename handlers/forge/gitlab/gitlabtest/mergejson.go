package gitlabtest

import (
	"fmt"
	"time"
)

// brief is a merge request as lists have it: lib/api/entities/merge_request_basic.rb
func (m *Merge) brief() object {
	s := m.p.s
	reference := fmt.Sprintf("!%d", m.iid)
	out := object{
		"id": m.id, "iid": m.iid, "project_id": m.p.id, "title": m.title, "description": m.description, "state": m.state,
		"created_at": stamp(m.at), "updated_at": stamp(m.changed), "merged_by": nil, "merge_user": nil, "merged_at": nil, "closed_by": nil, "closed_at": nil,
		"target_branch": m.target, "source_branch": m.source, "user_notes_count": m.userNotes(), "upvotes": 0, "downvotes": 0,
		"author": s.userJSON(m.by), "assignees": []any{}, "assignee": nil, "reviewers": []any{},
		"source_project_id": nil, "target_project_id": m.p.id, "labels": []any{}, "draft": m.draft(), "imported": false, "imported_from": "none",
		"work_in_progress": m.draft(), "milestone": nil, "merge_when_pipeline_succeeds": false,
		"merge_status": m.mergeStatus(), "detailed_merge_status": m.detailedStatus(), "merge_after": nil,
		"sha": m.sha, "merge_commit_sha": orNull(m.mergeSHA), "squash_commit_sha": nil, "discussion_locked": nil,
		"should_remove_source_branch": nil, "force_remove_source_branch": false, "prepared_at": stamp(m.at),
		"reference": reference, "references": object{"short": reference, "relative": reference, "full": m.p.fullPath() + reference},
		"web_url": m.web(), "time_stats": object{"time_estimate": 0, "total_time_spent": 0, "human_time_estimate": nil, "human_total_time_spent": nil},
		"squash": false, "squash_on_merge": false, "task_completion_status": object{"count": 0, "completed_count": 0},
		"has_conflicts": m.conflicts(), "blocking_discussions_resolved": m.unresolved() == 0,
	}
	if m.from != nil {
		out["source_project_id"] = m.from.id
		if m.from != m.p {
			out["allow_collaboration"], out["allow_maintainer_to_push"] = false, false
		}
	}
	switch m.state {
	case "merged":
		out["merged_by"], out["merge_user"], out["merged_at"] = s.userJSON(m.closedBy), s.userJSON(m.closedBy), stamp(m.ended)
	case "closed":
		out["closed_by"], out["closed_at"] = s.userJSON(m.closedBy), stamp(m.ended)
	}
	if m.early > 0 {
		out["prepared_at"] = nil
	}
	return out
}

// json is a merge request alone: lib/api/entities/merge_request.rb. Its
// diff_refs are null while the diff is being made:
// https://docs.gitlab.com/api/merge_requests/#empty-api-fields-for-new-merge-requests
func (m *Merge) json(u *user) object {
	out := m.brief()
	l := m.pipeline()
	out["subscribed"], out["merge_error"], out["first_contribution"] = m.by == u, nil, false
	out["latest_build_started_at"], out["latest_build_finished_at"], out["first_deployed_to_production_at"] = nil, nil, nil
	out["pipeline"], out["head_pipeline"] = nil, l.json()
	if l != nil {
		out["pipeline"] = l.brief()
	}
	out["user"] = object{"can_merge": m.p.pushes(u, m.target)}
	out["changes_count"], out["diff_refs"] = nil, nil
	if m.early == 0 {
		out["changes_count"], out["diff_refs"] = fmt.Sprint(len(m.changedFiles())), object{"base_sha": m.base, "head_sha": m.sha, "start_sha": m.start}
	}
	return out
}

func (m *Merge) mergeStatus() string {
	switch {
	case m.early > 0:
		return "checking"
	case m.conflicts():
		return "cannot_be_merged"
	}
	return "can_be_merged"
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// hookStamp is a time as webhooks write it.
func hookStamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

var stateID = map[string]int{"opened": 1, "closed": 2, "merged": 3} // app/models/concerns/issuable.rb

// attributes are the merge request in webhooks: lib/gitlab/hook_data/merge_request_builder.rb
func (m *Merge) attributes() object {
	var from any
	if m.from != nil {
		from = m.from.hookJSON()
	}
	out := object{
		"id": m.id, "iid": m.iid, "target_branch": m.target, "source_branch": m.source, "source_project_id": nil, "target_project_id": m.p.id,
		"author_id": m.by.id, "assignee_id": nil, "assignee_ids": []any{}, "reviewer_ids": []any{}, "title": m.title, "description": m.description,
		"created_at": hookStamp(m.at), "updated_at": hookStamp(m.changed), "last_edited_at": nil, "last_edited_by_id": nil, "updated_by_id": nil,
		"prepared_at": hookStamp(m.at), "milestone_id": nil, "state_id": stateID[m.state], "state": m.state, "merge_status": m.mergeStatus(),
		"detailed_merge_status": m.detailedStatus(), "merge_commit_sha": orNull(m.mergeSHA), "merge_error": nil,
		"merge_params": object{"force_remove_source_branch": "0"}, "merge_user_id": nil, "merge_when_pipeline_succeeds": false, "head_pipeline_id": nil,
		"blocking_discussions_resolved": m.unresolved() == 0, "work_in_progress": m.draft(), "draft": m.draft(), "first_contribution": false, "system": false,
		"time_estimate": 0, "time_change": 0, "total_time_spent": 0, "human_total_time_spent": nil, "human_time_change": nil, "human_time_estimate": nil,
		"labels": []any{}, "url": m.web(), "source": from, "target": m.p.hookJSON(), "last_commit": nil,
	}
	if m.from != nil {
		out["source_project_id"] = m.from.id
	}
	if l := m.pipeline(); l != nil {
		out["head_pipeline_id"] = l.id
	}
	if commit, err := m.p.hookCommitShort(m.sha); err == nil {
		out["last_commit"] = commit
	}
	return out
}

func (m *Merge) stateChange(from, to string) object {
	return object{"state_id": object{"previous": stateID[from], "current": stateID[to]}}
}

// tell sends the webhook of what somebody did:
// https://docs.gitlab.com/user/project/integrations/webhook_events/#merge-request-events
func (m *Merge) tell(u *user, action string, changes object) {
	m.send(u, object{"action": action}, changes)
}

// tellPushed is the webhook of new commits: only it has oldrev.
func (m *Merge) tellPushed(u *user, oldrev string) {
	more := object{"action": "update"}
	if oldrev != gitZero {
		more["oldrev"] = oldrev
	}
	m.send(u, more, nil)
}

func (m *Merge) send(u *user, more, changes object) {
	if changes == nil {
		changes = object{}
	}
	if len(changes) > 0 {
		changes["updated_at"] = object{"previous": hookStamp(m.at), "current": hookStamp(m.changed)}
	}
	m.p.s.deliver(m.p, mergeRequestHook, m.payload(u, more, changes))
}

func (m *Merge) payload(u *user, more, changes object) object {
	attributes := m.attributes()
	for k, v := range more {
		attributes[k] = v
	}
	return object{
		"object_kind": "merge_request", "event_type": "merge_request", "user": m.p.s.hookUser(u), "project": m.p.hookJSON(),
		"object_attributes": attributes, "labels": []any{}, "changes": changes, "repository": m.p.hookRepositoryShort(),
	}
}

// sample is the payload of a test delivery, of the newest merge request or
// note; nil where the project has none: app/services/test_hooks/project_service.rb
func (p *Project) sample(kind hookKind, u *user) (object, error) {
	switch {
	case kind == mergeRequestHook && len(p.merges) > 0:
		return p.merges[len(p.merges)-1].payload(u, nil, object{}), nil
	case kind == noteHook && len(p.notes) > 0:
		return p.notes[len(p.notes)-1].payload("create"), nil
	}
	return nil, nil
}
