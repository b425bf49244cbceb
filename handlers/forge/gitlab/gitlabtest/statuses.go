package gitlabtest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is a commit status as somebody would see it: a job of a pipeline.
type Status struct {
	ID, PipelineID         int64
	SHA, Ref, Name, State  string
	Description, TargetURL string
	Author                 string
	Retried                bool // a newer one of the name took its place
	At, Started, Finished  time.Time
}

type status struct {
	Status
	pipeline *pipeline
	by       *user
	coverage any
}

var statusRoutes = map[string]route{
	"POST /projects/{id}/statuses/{sha}":                   {who: onProject, level: Developer, handle: (*Server).createStatus},
	"GET /projects/{id}/repository/commits/{sha}/statuses": {who: onProject, level: Reporter, handle: (*Server).listStatuses},
	"GET /projects/{id}/pipelines":                         {who: onProject, level: Reporter, handle: (*Server).listPipelines},
	"GET /projects/{id}/pipelines/{pipeline}":              {who: onProject, level: Reporter, handle: (*Server).getPipeline},
}

// Statuses lists every status of a commit, newest first, retried ones too.
func (p *Project) Statuses(sha string) []Status {
	p.s.mu.Lock()
	defer p.s.unlock()
	var out []Status
	for _, st := range slices.Backward(p.statuses) {
		if st.SHA == sha {
			out = append(out, st.Status)
		}
	}
	return out
}

// StatusOf is the newest status of a commit and name; ok is false if there is none.
func (p *Project) StatusOf(sha, name string) (newest Status, ok bool) {
	for _, st := range p.Statuses(sha) {
		if st.Name == name {
			return st, true
		}
	}
	return Status{}, false
}

// HoldStatuses is somebody else's update of a commit's statuses that takes
// long: until release, others wait two seconds on GitLab, and get 409. The
// double does not wait.
func (p *Project) HoldStatuses(sha string) (release func()) {
	set := func(on bool) {
		p.s.mu.Lock()
		defer p.s.unlock()
		if p.held == nil {
			p.held = map[string]bool{}
		}
		p.held[sha] = on
	}
	set(true)
	return func() { set(false) }
}

// createStatus does as app/services/ci/create_commit_status_service.rb:
// https://docs.gitlab.com/api/commits/#set-commit-pipeline-status
func (s *Server) createStatus(c *call) (answer, error) {
	p, state := c.proj, c.text("state")
	if !c.has("state") {
		return answer{}, invalid("state is missing, state does not have a valid value")
	}
	if !slices.Contains([]string{"pending", "running", "success", "failed", "canceled", "skipped"}, state) {
		return answer{}, invalid("state does not have a valid value")
	}
	if p.held[c.vars["sha"]] {
		return answer{}, refuse(http.StatusConflict, "Another update to this commit status is in progress")
	}
	sha := p.dir.Resolve(c.vars["sha"])
	if sha == "" {
		return answer{}, notFound("Commit")
	}
	l := p.matchingPipeline(sha, c.text("ref"), c.integer("pipeline_id"))
	ref := p.statusRef(c.text("ref"), sha, l)
	if ref == "" {
		return answer{}, notFound("References for commit")
	}
	if c.has("pipeline_id") && l == nil {
		return answer{}, notFound("Pipeline for pipeline_id, sha and ref")
	}
	if p.protected[ref] && !p.pushes(c.user, ref) { // app/policies/ci/pipeline_policy.rb
		return answer{}, forbidden()
	}
	draft := s.findStatus(c, l, ref, sha)
	if wrong := draft.wrong(); wrong != nil {
		return answer{}, refuse(http.StatusBadRequest, wrong)
	}
	if reason := draft.advance(state, s.now()); reason != nil {
		return answer{}, reason
	}
	if l == nil {
		l = p.newPipeline(c.user, sha, ref)
	}
	st := p.keepStatus(draft, l)
	return created(st.json(s))
}

// matchingPipeline is the newest pipeline of a commit, of the ref and of the id
// if they are given.
func (p *Project) matchingPipeline(sha, ref string, id int64) *pipeline {
	for _, l := range slices.Backward(p.pipelines) {
		if l.sha == sha && (ref == "" || l.ref == ref) && (id == 0 || l.id == id) {
			return l
		}
	}
	return nil
}

// statusRef is the ref that was asked for, whether there is one or not; else
// the pipeline's; else the first branch that contains the commit. Tags are
// not looked at.
func (p *Project) statusRef(asked, sha string, l *pipeline) string {
	if asked != "" {
		return asked
	}
	if l != nil {
		return l.ref
	}
	first, err := p.dir.Run("for-each-ref", "--contains", sha, "--format=%(refname:lstrip=2)", "--count=1", "refs/heads/")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(first)
}

// findStatus is a copy of the status of the pipeline, name and ref that this
// very user began and that runs or waits still, or a new one; with what the
// request changes of it.
func (s *Server) findStatus(c *call, l *pipeline, ref, sha string) *status {
	name := "default"
	for _, param := range []string{"context", "name"} {
		if c.has(param) {
			name = c.text(param)
		}
	}
	draft := &status{by: c.user, Status: Status{SHA: sha, Ref: ref, Name: name, State: "created", Author: c.user.username, At: s.now()}}
	for _, st := range slices.Backward(c.proj.statuses) {
		open := st.State == "pending" || st.State == "running"
		if l != nil && st.pipeline == l && open && st.Name == name && st.Ref == ref && st.by == c.user {
			copied := *st
			draft = &copied
			break
		}
	}
	if c.has("target_url") {
		draft.TargetURL = c.text("target_url")
	}
	if c.has("description") {
		draft.Description = c.text("description")
	}
	if c.has("coverage") {
		draft.coverage = c.params["coverage"]
	}
	return draft
}

// wrong are the errors of the models: app/models/commit_status.rb and
// app/models/generic_commit_status.rb. Names have no limit there.
func (st *status) wrong() any {
	wrong := map[string][]string{}
	for field, text := range map[string]string{"ref": st.Ref, "target_url": st.TargetURL, "description": st.Description} {
		if utf8.RuneCountInString(text) > 255 {
			wrong[field] = append(wrong[field], "is too long (maximum is 255 characters)")
		}
	}
	if strings.TrimSpace(st.Name) == "" {
		wrong["name"] = append(wrong["name"], "can't be blank")
	}
	if u, err := url.Parse(st.TargetURL); st.TargetURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		wrong["target_url"] = append(wrong["target_url"], "is blocked: Only allowed schemes are http, https")
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}

// transitions are the state machine of app/models/commit_status.rb, as far as
// the API can reach it: from which states each state is reached by which event.
var transitions = map[string]struct {
	event string
	from  []string
}{
	"pending":  {"enqueue", []string{"created", "skipped"}},
	"running":  {"run", []string{"pending"}},
	"success":  {"success", []string{"created", "pending", "running"}},
	"failed":   {"drop", []string{"created", "pending", "running"}},
	"canceled": {"cancel", []string{"created", "pending", "running"}},
	"skipped":  {"skip", []string{"created", "pending"}},
}

// advance moves the status; the error is GitLab's of a transition that is not
// in the machine.
func (st *status) advance(state string, now time.Time) error {
	if state == "running" && st.State == "created" { // enqueue comes first
		st.State = "pending"
	}
	t := transitions[state]
	if !slices.Contains(t.from, st.State) {
		return refuse(http.StatusBadRequest, fmt.Sprintf(
			"Cannot transition status via :%s from :%s (Reason(s): Status cannot transition via \"%s\")", t.event, st.State, t.event))
	}
	st.State = state
	switch state {
	case "running":
		st.Started = now
	case "success", "failed", "canceled":
		st.Finished = now
	}
	return nil
}

// keepStatus puts the changed copy in its place and older ones of its name
// aside: update_older_statuses_retried!
func (p *Project) keepStatus(draft *status, l *pipeline) *status {
	draft.pipeline, draft.PipelineID = l, l.id
	l.changed = p.s.now()
	if l.started.IsZero() && draft.State != "pending" {
		l.started = p.s.now()
	}
	kept := draft
	for i, st := range p.statuses {
		switch {
		case st.ID == draft.ID:
			p.statuses[i] = draft
		case st.pipeline == l && st.Name == draft.Name:
			st.Retried = true
		}
	}
	if draft.ID == 0 {
		draft.ID = p.s.id()
		p.statuses = append(p.statuses, draft)
	}
	if slices.Contains([]string{"success", "failed", "canceled", "skipped"}, l.status()) {
		l.finished = p.s.now()
	}
	return kept
}

// json: lib/api/entities/commit_status.rb
func (st *status) json(s *Server) object {
	out := object{
		"id": st.ID, "sha": st.SHA, "ref": st.Ref, "status": st.State, "name": st.Name, "target_url": nil, "description": nil,
		"created_at": stamp(st.At), "started_at": stamp(st.Started), "finished_at": stamp(st.Finished), "allow_failure": false,
		"coverage": st.coverage, "pipeline_id": st.PipelineID, "author": s.userJSON(st.by),
	}
	if st.TargetURL != "" {
		out["target_url"] = st.TargetURL
	}
	if st.Description != "" {
		out["description"] = st.Description
	}
	return out
}

// listStatuses: https://docs.gitlab.com/api/commits/#list-commit-statuses
// Without all, only the newest of each name in each pipeline.
func (s *Server) listStatuses(c *call) (answer, error) {
	if c.proj.dir.Resolve(c.vars["sha"]) == "" {
		return answer{}, notFound("Commit")
	}
	if c.has("order_by") && !slices.Contains([]string{"id", "pipeline_id"}, c.text("order_by")) {
		return answer{}, invalid("order_by does not have a valid value")
	}
	all, _ := c.boolean("all")
	var found []*status
	for _, st := range c.proj.statuses {
		switch {
		case st.SHA != c.vars["sha"], st.Retried && !all, c.has("ref") && st.Ref != c.text("ref"), c.has("name") && st.Name != c.text("name"),
			c.has("pipeline_id") && st.PipelineID != c.integer("pipeline_id"), c.has("stage") && c.text("stage") != "external":
			continue
		}
		found = append(found, st)
	}
	if c.text("order_by") == "pipeline_id" {
		slices.SortStableFunc(found, func(a, b *status) int { return int(a.PipelineID - b.PipelineID) })
	}
	if c.text("sort") == "desc" {
		slices.Reverse(found)
	}
	list := []any{}
	for _, st := range found {
		list = append(list, st.json(s))
	}
	return c.page(list)
}
