package gitlab

import (
	"testing"

	"github.com/registry-build/registry-build/builder"
)

func TestStatusState(t *testing.T) {
	build := func(s builder.State) builder.Report {
		return builder.Report{Record: &builder.Record{Progress: builder.Progress{State: s}}}
	}
	failed := &builder.Decision{Failure: &builder.Failure{Message: "x"}}
	cases := map[string]struct {
		report builder.Report
		want   string
	}{
		"queued":           {build(builder.Queued), "pending"},
		"running":          {build(builder.Running), "running"},
		"pushing":          {build(builder.Pushing), "running"},
		"succeeded":        {build(builder.Succeeded), "success"},
		"promoted":         {build(builder.Promoted), "success"},
		"skipped":          {build(builder.Skipped), "success"},
		"failed":           {build(builder.Failed), "failed"},
		"cancelled":        {build(builder.Cancelled), "canceled"},
		"superseded":       {build(builder.Superseded), "canceled"},
		"images to go":     {builder.Report{State: builder.StatusPending}, "pending"},
		"fork waits":       {builder.Report{State: builder.StatusWaiting}, "pending"},
		"unchanged":        {builder.Report{State: builder.StatusSuccess}, "success"},
		"images failed":    {builder.Report{State: builder.StatusFailure}, "failed"},
		"images cancelled": {builder.Report{State: builder.StatusError, Decision: &builder.Decision{}}, "canceled"},
		"nothing decided":  {builder.Report{State: builder.StatusError, Decision: failed}, "failed"},
		"rule refused":     {builder.Report{State: builder.StatusError, Decision: &builder.Decision{Reasons: []builder.Reason{{Error: true}}}}, "failed"},
		"trigger runs":     {builder.Report{State: builder.StatusPending, Run: &builder.TriggerRun{State: builder.RunRunning}}, "running"},
		"trigger waits":    {builder.Report{State: builder.StatusPending, Run: &builder.TriggerRun{State: builder.RunWaiting}}, "pending"},
		"trigger failed":   {builder.Report{State: builder.StatusError, Run: &builder.TriggerRun{State: builder.RunFailed}}, "failed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := statusState(c.report); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestLeadsTo(t *testing.T) {
	cases := []struct {
		from, to string
		want     bool
	}{
		{"", "pending", true}, {"", "running", true}, {"", "success", true},
		{"pending", "pending", false}, {"pending", "running", true}, {"pending", "failed", true},
		{"running", "pending", false}, {"running", "running", false}, {"running", "canceled", true},
		{"success", "pending", true}, {"failed", "running", true}, {"canceled", "success", true}, // a new job
	}
	for _, c := range cases {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			if got := leadsTo(c.from, c.to); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestAbout(t *testing.T) {
	own := &builder.Pull{Number: 3, HeadBranch: "topic", Head: lineCommit}
	fork := &builder.Pull{Number: 4, HeadBranch: "topic", Head: lineCommit, Fork: true, HeadOwner: "bob"}
	report := func(ref string, change func(*builder.Report)) builder.Report {
		r := builder.Report{Repository: builder.Repository{Forge: "gitlab", ID: "12"}, Ref: ref, Commit: lineCommit}
		if change != nil {
			change(&r)
		}
		return r
	}
	cases := map[string]struct {
		report              builder.Report
		ref, source, posted string
	}{
		"branch":        {report("refs/heads/topic", nil), "topic", "refs/heads/topic", "topic"},
		"branch a/b":    {report("refs/heads/a/b", nil), "a/b", "refs/heads/a/b", "a/b"},
		"tag":           {report("refs/tags/v1", nil), "v1", "", "v1"},
		"commit":        {report("", nil), "", "", ""},
		"something":     {report("refs/environments/1", nil), "", "", ""},
		"merge request": {report("refs/pull/3/head", func(r *builder.Report) { r.Event = &builder.Event{Pull: own} }), "topic", "refs/heads/topic", "topic"},
		"its build": {report("refs/pull/3/head", func(r *builder.Report) { r.Record = &builder.Record{Build: builder.Build{Pull: own}} }),
			"topic", "refs/heads/topic", "topic"},
		"a command's build": {report("refs/pull/3/head", func(r *builder.Report) {
			r.Event, r.Decision = &builder.Event{}, &builder.Decision{Builds: []builder.Build{{Pull: own, Commit: lineCommit}}}
		}), "topic", "refs/heads/topic", "topic"},
		"fork": {report("refs/pull/4/head", func(r *builder.Report) { r.Event = &builder.Event{Pull: fork} }),
			"", "refs/pull/4/head", "refs/merge-requests/4/head"},
		"branch, by a command in a merge request": {report("refs/heads/other", func(r *builder.Report) {
			r.Record = &builder.Record{Build: builder.Build{Ref: "refs/heads/other"}}
			r.Event = &builder.Event{Pull: own}
		}), "other", "refs/heads/other", "other"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, err := (&Forge{}).about(t.Context(), c.report)
			if err != nil {
				t.Fatal(err)
			}
			if a.project != 12 || a.ref != c.ref || a.source() != c.source || a.job() != (job{Project: 12, Ref: c.posted}) {
				t.Errorf("%+v, source %q, job %+v", a, a.source(), a.job())
			}
		})
	}
	if _, err := (&Forge{}).about(t.Context(), builder.Report{Repository: builder.Repository{ID: "x"}}); err == nil {
		t.Error("a project without a number")
	}
}
