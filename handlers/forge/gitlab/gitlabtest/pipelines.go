package gitlabtest

import (
	"fmt"
	"slices"
	"time"
)

// Pipeline is a pipeline as somebody would see it. The double has external
// ones only: nobody gives it a CI configuration.
type Pipeline struct {
	ID       int64
	SHA, Ref string
	Status   string
}

type pipeline struct {
	p                 *Project
	id                int64
	iid               int
	sha, ref          string
	tag               bool
	by                *user
	at, changed       time.Time
	started, finished time.Time
}

// Pipelines lists the pipelines of a commit, newest first.
func (p *Project) Pipelines(sha string) []Pipeline {
	p.s.mu.Lock()
	defer p.s.unlock()
	var out []Pipeline
	for _, l := range slices.Backward(p.pipelines) {
		if l.sha == sha {
			out = append(out, Pipeline{ID: l.id, SHA: l.sha, Ref: l.ref, Status: l.status()})
		}
	}
	return out
}

// AddPipeline makes a pipeline that somebody else's CI runs on a commit, with
// one job in the given state.
func (p *Project) AddPipeline(username, sha, ref, job, state string) int64 {
	p.s.mu.Lock()
	defer p.s.unlock()
	l := p.newPipeline(p.s.person(username), sha, ref)
	st := &status{pipeline: l, by: l.by, Status: Status{ID: p.s.id(), PipelineID: l.id, SHA: sha, Ref: ref, Name: job, State: state, Author: l.by.username, At: l.at}}
	p.statuses = append(p.statuses, st)
	return l.id
}

func (p *Project) newPipeline(u *user, sha, ref string) *pipeline {
	p.lastPipeline++
	l := &pipeline{p: p, id: p.s.id(), iid: p.lastPipeline, sha: sha, ref: ref, by: u, at: p.s.now(), changed: p.s.now()}
	l.tag = p.dir.Resolve("refs/tags/"+ref) != "" && p.dir.Resolve("refs/heads/"+ref) == ""
	p.pipelines = append(p.pipelines, l)
	return l
}

// headPipeline is the newest pipeline of a commit and branch.
func (p *Project) headPipeline(sha, ref string) *pipeline {
	for _, l := range slices.Backward(p.pipelines) {
		if l.sha == sha && l.ref == ref {
			return l
		}
	}
	return nil
}

// status is what the newest status of each name comes to:
// lib/gitlab/ci/status/composite.rb
func (l *pipeline) status() string {
	set := map[string]bool{}
	for _, st := range l.p.statuses {
		if st.pipeline == l && !st.Retried {
			set[st.State] = true
		}
	}
	only := func(states ...string) bool {
		for state := range set {
			if !slices.Contains(states, state) {
				return false
			}
		}
		return true
	}
	switch {
	case len(set) == 0:
		return "created"
	case only("skipped"):
		return "skipped"
	case only("success", "skipped"):
		return "success"
	case only("created"):
		return "created"
	case only("canceled", "success", "skipped"):
		return "canceled"
	case only("pending", "created", "skipped"):
		return "pending"
	case set["running"], set["pending"], set["created"]:
		return "running"
	}
	return "failed"
}

// brief is a pipeline as in lists: lib/api/entities/ci/pipeline_basic.rb
func (l *pipeline) brief() object {
	return object{
		"id": l.id, "iid": l.iid, "project_id": l.p.id, "sha": l.sha, "ref": l.ref, "status": l.status(), "source": "external",
		"created_at": stamp(l.at), "updated_at": stamp(l.changed), "web_url": l.web(), "name": nil,
	}
}

func (l *pipeline) web() string { return fmt.Sprintf("%s/-/pipelines/%d", l.p.web(), l.id) }

// json is a pipeline alone: lib/api/entities/ci/pipeline.rb
func (l *pipeline) json() any {
	if l == nil {
		return nil
	}
	out, state := l.brief(), l.status()
	out["before_sha"], out["tag"], out["yaml_errors"] = "0000000000000000000000000000000000000000", l.tag, nil
	out["user"], out["committed_at"] = l.p.s.userJSON(l.by), nil
	out["started_at"], out["finished_at"], out["duration"], out["queued_duration"], out["coverage"] = stamp(l.started), stamp(l.finished), nil, nil, nil
	if !l.finished.IsZero() && !l.started.IsZero() {
		out["duration"] = int(l.finished.Sub(l.started) / time.Second)
	}
	out["detailed_status"] = object{
		"icon": "status_" + state, "text": state, "label": state, "group": state, "tooltip": state, "has_details": true,
		"details_path": fmt.Sprintf("/%s/-/pipelines/%d", l.p.fullPath(), l.id), "illustration": nil, "favicon": l.p.s.URL + "/assets/ci_favicons/favicon_status_" + state + ".png",
	}
	return out
}

// listPipelines: https://docs.gitlab.com/api/pipelines/#list-project-pipelines
func (s *Server) listPipelines(c *call) (answer, error) {
	list := []any{}
	for _, l := range slices.Backward(c.proj.pipelines) {
		switch {
		case c.has("sha") && l.sha != c.text("sha"), c.has("ref") && l.ref != c.text("ref"),
			c.has("status") && l.status() != c.text("status"), c.has("source") && c.text("source") != "external":
			continue
		}
		list = append(list, l.brief())
	}
	if c.text("sort") == "asc" {
		slices.Reverse(list)
	}
	return c.page(list)
}

func (s *Server) getPipeline(c *call) (answer, error) {
	for _, l := range c.proj.pipelines {
		if l.id == c.number("pipeline") {
			return ok(l.json())
		}
	}
	return answer{}, notFound("")
}

// pipelineOf is what a commit alone says of its newest pipeline.
func (p *Project) pipelineOf(sha string) object {
	for _, l := range slices.Backward(p.pipelines) {
		if l.sha == sha {
			return object{"status": l.status(), "last_pipeline": l.brief()}
		}
	}
	return nil
}

// settings are those of the project that this side keeps.
func (p *Project) settings() object {
	return object{"only_allow_merge_if_pipeline_succeeds": p.pipelinesFirst}
}
