package gitlab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

const topicDockerfile = "FROM scratch\nCOPY a /\nCOPY b /\nUSER 1\n"

// reportRig is a Forge that tells a GitLab of its own about the newest commit
// of a branch, which has a merge request unless it is without one.
type reportRig struct {
	*Forge
	t       *testing.T
	server  *gitlabtest.Server
	project *gitlabtest.Project
	memory  *forgetest.Memory
	clock   *noteClock
	merge   *gitlabtest.Merge
	us      string // our account
	commit  string
	at      time.Time // of the last report
	seq     int64
}

func newReportRig(t *testing.T) *reportRig {
	t.Helper()
	rig := newBareRig(t)
	rig.push(map[string]string{"Dockerfile": topicDockerfile, "a": "1", "b": "1"})
	var err error
	if rig.merge, err = rig.project.OpenMerge(gitlabtest.MergeOptions{User: "ada", Source: "topic"}); err != nil {
		t.Fatal(err)
	}
	return rig
}

// newBareRig has no branch but main.
func newBareRig(t *testing.T) *reportRig {
	t.Helper()
	s := gitlabtest.New(t)
	p, err := s.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{Files: map[string]string{
		"Dockerfile": "FROM scratch\nCOPY a /\nUSER 1\n", config.BuildFileName: "version: 1\nimages:\n  - name: api\n"}})
	if err != nil {
		t.Fatal(err)
	}
	p.SetMember("ada", gitlabtest.Maintainer)
	rig := &reportRig{t: t, server: s, project: p, at: time.Now().UTC(), seq: 1, commit: p.Head("main")}
	token := p.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Developer})
	rig.us = token.Username
	rig.Forge, rig.memory, rig.clock = noteForge(t, s.URL, token.Value)
	return rig
}

// push moves the branch, and what is reported from now on is of its commit.
func (r *reportRig) push(files map[string]string) {
	r.t.Helper()
	commit, err := r.project.Push(gitlabtest.Push{User: "ada", Branch: "topic", Files: files})
	if err != nil {
		r.t.Fatal(err)
	}
	r.commit, r.seq = commit, r.seq+1
}

func (r *reportRig) record() builder.Repository {
	return builder.Repository{Forge: "gitlab", ID: strconv.FormatInt(r.project.ID(), 10), Owner: "acme/platform", Name: "shop", DefaultBranch: "main"}
}

// build reports a build of the branch in a state, as the courier would.
func (r *reportRig) build(state builder.State, change func(*builder.Record)) builder.Report {
	report := failingBuild(func(b *builder.Record) {
		b.Repository, b.Commit, b.State, b.Seq = r.record(), r.commit, state, r.seq
		b.FinishedAt = time.Now()
		switch {
		case state == builder.Queued:
			b.Progress = builder.Progress{State: state, Place: 3}
		case !state.Terminal():
			b.FinishedAt = time.Time{}
		}
		if state != builder.Failed {
			b.Failure = nil
		} else {
			b.Failure.File, b.Failure.Line, b.Failure.EndLine = "Dockerfile", 3, 0
		}
		if change != nil {
			change(b)
		}
	})
	report.State = map[builder.State]builder.ReportState{builder.Succeeded: builder.StatusSuccess, builder.Promoted: builder.StatusSuccess, builder.Skipped: builder.StatusSuccess,
		builder.Failed: builder.StatusFailure, builder.Cancelled: builder.StatusError, builder.Superseded: builder.StatusError}[state]
	if report.State == "" {
		report.State = builder.StatusPending
	}
	report.Event = &builder.Event{Kind: builder.BranchPushed, Ref: report.Ref, Commit: r.commit, AcceptedAt: longAgo()}
	return r.stamp(report)
}

// all reports all images of the commit.
func (r *reportRig) all(state builder.ReportState, text string, d builder.Decision) builder.Report {
	return r.stamp(builder.Report{
		Repository: r.record(), Ref: "refs/heads/topic", Commit: r.commit, Context: builder.AggregateContext, State: state, Description: text,
		EventID: "e", Newest: true, Decision: &d, Event: &builder.Event{Kind: builder.BranchPushed, Ref: "refs/heads/topic", Commit: r.commit, AcceptedAt: longAgo()},
	})
}

func (r *reportRig) stamp(report builder.Report) builder.Report {
	r.at = r.at.Add(time.Second)
	report.UpdatedAt, report.Seq = r.at, r.seq
	return report
}

// ofMerge makes it a report of the merge request's own event.
func (r *reportRig) ofMerge(report builder.Report) builder.Report {
	pull := &builder.Pull{Number: r.merge.IID(), HeadBranch: "topic", Head: r.commit, BaseBranch: "main", Open: true}
	report.Ref = builder.PullRef(pull.Number)
	report.Event = &builder.Event{Kind: builder.PullChanged, Ref: report.Ref, Commit: r.commit, Pull: pull, AcceptedAt: longAgo()}
	if report.Record != nil {
		report.Record.Ref, report.Record.Pull = report.Ref, pull
	}
	return report
}

// tell reports, and the report must be in, but for a note that is not changed
// at every step.
func (r *reportRig) tell(report builder.Report) {
	r.t.Helper()
	err := r.Report(r.t.Context(), report)
	var later builder.Later
	if errors.As(err, &later) && strings.Contains(later.Reason, "a note is changed") {
		r.clock.pass(later.Wait)
		err = r.Report(r.t.Context(), report)
	}
	if err != nil {
		r.t.Fatalf("report %s: %v", report.Description, err)
	}
}

// tellLater reports, and the report must be put off.
func (r *reportRig) tellLater(report builder.Report) time.Duration {
	r.t.Helper()
	var later builder.Later
	if err := r.Report(r.t.Context(), report); !errors.As(err, &later) {
		r.t.Fatalf("report %s: %v, want builder.Later", report.Description, err)
	}
	return later.Wait
}

// statuses are all jobs of the commit, oldest first: "name state description".
func (r *reportRig) statuses() []string {
	var all []string
	for _, s := range r.project.Statuses(r.commit) {
		all = append([]string{fmt.Sprintf("%s %s %s", s.Name, s.State, s.Description)}, all...)
	}
	return all
}

// posts are the states that were posted for the context, oldest first.
func (r *reportRig) posts() int {
	return len(r.server.Requests("POST /projects/*/statuses/*"))
}

// threads are those at lines, oldest first: "path:line resolved? notes".
func (r *reportRig) threads() []string {
	var all []string
	for _, d := range r.discussions() {
		n := d.Notes[0]
		state := "open"
		if d.Resolved {
			state = "resolved"
		}
		all = append(all, fmt.Sprintf("%s:%d %s %d", n.Path, n.Line, state, len(d.Notes)))
	}
	return all
}

func (r *reportRig) discussions() []gitlabtest.Discussion {
	var all []gitlabtest.Discussion
	for _, d := range r.merge.Discussions() {
		if !d.Individual {
			all = append(all, d)
		}
	}
	return all
}

func lastNote(d gitlabtest.Discussion) string {
	return d.Notes[len(d.Notes)-1].Body
}

func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

// longAgo is when the reports' events came, so that nothing is still on its way.
func longAgo() time.Time { return time.Now().Add(-time.Hour) }
