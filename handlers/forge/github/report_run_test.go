package github

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// run reports a trigger of the build, as the courier would.
func (r *reportRig) run(state builder.RunState, word builder.ReportState, change func(*builder.TriggerRun)) builder.Report {
	record := someRecord(nil)
	run := builder.TriggerRun{BuildID: record.ID, Trigger: "prod", State: state, Attempts: 1, Condition: "on pushed, tags all",
		Action: "kubernetes prod/shop deployment/api", StartedAt: r.at, Answer: "internal details"}
	if change != nil {
		change(&run)
	}
	r.at = r.at.Add(time.Second)
	return builder.Report{
		Repository: r.record(), Commit: r.commit, Context: record.TriggerContext("prod"), Trigger: "prod", State: word,
		Description: builder.DescribeRun(run), BuildID: record.ID, EventID: "e", Seq: 1, UpdatedAt: r.at, Newest: true, Run: &run,
	}
}

// A trigger has a check run and a status of its own beside its build's.
func TestReportRun(t *testing.T) {
	const name = "registry-build/api: prod"
	rig := newReportRig(t)
	rig.tell(rig.build(builder.Succeeded, func(b *builder.Record) { b.Digest = someDigest }))
	before := rig.onlyCheck(imageCheck)
	rig.tell(rig.run(builder.RunRunning, builder.StatusPending, func(run *builder.TriggerRun) { run.Answer = "1 of 3 updated" }))
	got := rig.onlyCheck(name)
	if got.Status != "in_progress" || got.Title != "1 of 3 updated" || got.ExternalID != "01JZK8Q3M5V7W9XA/prod" || len(got.Actions) != 0 {
		t.Errorf("running: %+v", got)
	}
	rig.tell(rig.run(builder.RunFailed, builder.StatusFailure, func(run *builder.TriggerRun) {
		run.Error, run.AskedBy = "pod api-1 crashes: <img src=x> @ada", "bo|b"
	}))
	got = rig.onlyCheck(name)
	if got.Status != "completed" || got.Conclusion != "failure" {
		t.Errorf("failed: %s %s", got.Status, got.Conclusion)
	}
	for _, part := range []string{"**Failed:** pod api-1 crashes", "| Action | `kubernetes prod/shop deployment/api` |", `bo\|b`, got.DetailsURL} {
		if !strings.Contains(got.Summary, part) {
			t.Errorf("summary lacks %q:\n%s", part, got.Summary)
		}
	}
	for _, part := range []string{"internal details", "<img", "@ada"} {
		if strings.Contains(got.Summary, part) {
			t.Errorf("summary has %q:\n%s", part, got.Summary)
		}
	}
	rig.tell(rig.run(builder.RunRunning, builder.StatusPending, nil)) // somebody asked for it again
	if got = rig.onlyCheck(name); got.Status != "in_progress" {
		t.Errorf("again: %s", got.Status)
	}
	rig.tell(rig.run(builder.RunSucceeded, builder.StatusSuccess, func(run *builder.TriggerRun) { run.Answer = "rolled out in 12 s" }))
	if got = rig.onlyCheck(name); got.Conclusion != "success" {
		t.Errorf("succeeded: %+v", got)
	}
	if diff := cmp.Diff(before, rig.onlyCheck(imageCheck)); diff != "" {
		t.Errorf("the build's check run (-before +after):\n%s", diff)
	}
	var statuses []string
	for _, s := range rig.statuses() {
		if s, ok := strings.CutPrefix(s, name+" "); ok {
			statuses = append(statuses, s)
		}
	}
	want := []string{"pending 1 of 3 updated", "failure pod api-1 crashes: <img src=x> @ada", "pending internal details", "success rolled out in 12 s"}
	if diff := cmp.Diff(want, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestConcludeRun(t *testing.T) {
	rig := &reportRig{clientRig: newClientRig(t, func(*githubtest.Options) {}), t: t}
	for _, c := range []struct {
		state              builder.RunState
		word               builder.ReportState
		status, conclusion string
	}{
		{builder.RunWaiting, builder.StatusPending, "in_progress", ""},
		{builder.RunSucceeded, builder.StatusSuccess, "completed", "success"},
		{builder.RunSkipped, builder.StatusSuccess, "completed", "skipped"},
		{builder.RunFailed, builder.StatusError, "completed", "failure"}, // a message that did not arrive
	} {
		if status, conclusion := conclude(rig.run(c.state, c.word, nil)); status != c.status || conclusion != c.conclusion {
			t.Errorf("%s: %s %s, want %s %s", c.state, status, conclusion, c.status, c.conclusion)
		}
	}
}
