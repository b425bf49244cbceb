package github

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// reportRig is an App that tells a GitHub of its own about one commit.
type reportRig struct {
	*clientRig
	t      *testing.T
	memory *forgetest.Memory
	commit string
	clock  time.Duration // ahead of the real one
	at     time.Time     // of the last report
}

func newReportRig(t *testing.T, change ...func(*githubtest.Options)) *reportRig {
	t.Helper()
	rig := &reportRig{clientRig: newClientRig(t, change...), t: t, memory: forgetest.NewMemory(), at: time.Now().UTC()}
	rig.Memory, rig.Logs = rig.memory, someLog("the log's end\n")
	rig.Config.Show, rig.Config.Suggest = config.ShowBoth, true
	rig.BuildURL = func(id string) string { return "https://builds.example.com/builds/" + id }
	rig.Host = func() string { return "registry.example.com" }
	rig.Now = func() time.Time { return time.Now().Add(rig.clock) }
	var err error
	if rig.commit, err = rig.repo.Push(githubtest.Push{Files: map[string]string{"Dockerfile": "FROM scratch\n"}}); err != nil {
		t.Fatal(err)
	}
	return rig
}

// build reports a build in a state, as the courier would.
func (r *reportRig) build(state builder.State, change func(*builder.Record)) builder.Report {
	record := someRecord(func(b *builder.Record) {
		b.Repository, b.Commit, b.State = r.record(), r.commit, state
		if !state.Terminal() {
			b.FinishedAt = time.Time{}
		}
		if state == builder.Queued {
			b.Progress, b.Steps = builder.Progress{State: state, Place: 3}, nil
		}
		if change != nil {
			change(b)
		}
	})
	word := map[builder.State]builder.ReportState{builder.Succeeded: builder.StatusSuccess, builder.Promoted: builder.StatusSuccess,
		builder.Failed: builder.StatusFailure, builder.Cancelled: builder.StatusError, builder.Superseded: builder.StatusError}[state]
	if word == "" {
		word = builder.StatusPending
	}
	r.at = r.at.Add(time.Second)
	return builder.Report{
		Repository: record.Repository, Ref: record.Ref, Commit: r.commit, Context: record.StatusContext(), State: word, Description: builder.Describe(record),
		BuildID: record.ID, EventID: "e", Seq: 1, UpdatedAt: r.at, Newest: true, Record: &record, Event: &builder.Event{Commit: r.commit},
	}
}

// all reports all images of the commit.
func (r *reportRig) all(state builder.ReportState, text string, d builder.Decision) builder.Report {
	r.at = r.at.Add(time.Second)
	return builder.Report{
		Repository: r.record(), Ref: "refs/heads/main", Commit: r.commit, Context: builder.AggregateContext, State: state, Description: text,
		EventID: "e", Seq: 1, UpdatedAt: r.at, Newest: true, Decision: &d, Event: &builder.Event{Commit: r.commit},
	}
}

// tell reports, and the report must be in.
func (r *reportRig) tell(report builder.Report) {
	r.t.Helper()
	if err := r.Report(context.Background(), report); err != nil {
		r.t.Fatalf("report %s: %v", report.Description, err)
	}
}

// tellLater reports, and the report must be put off.
func (r *reportRig) tellLater(report builder.Report) time.Duration {
	r.t.Helper()
	var later builder.Later
	if err := r.Report(context.Background(), report); !errors.As(err, &later) {
		r.t.Fatalf("report %s: %v, want builder.Later", report.Description, err)
	}
	return later.Wait
}

// onlyCheck is the one check run of the name.
func (r *reportRig) onlyCheck(name string) githubtest.CheckRun {
	r.t.Helper()
	var found []githubtest.CheckRun
	for _, c := range r.repo.CheckRuns(r.commit) {
		if c.Name == name {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("%d check runs %s, want 1", len(found), name)
	}
	return found[0]
}

// statuses are what was posted, oldest first: "context state description".
func (r *reportRig) statuses() []string {
	var all []string
	for _, s := range r.repo.Statuses(r.commit) {
		all = append([]string{fmt.Sprintf("%s %s %s", s.Context, s.State, s.Description)}, all...)
	}
	return all
}

type someLog string

func (l someLog) LogTail(context.Context, string, int) (string, bool, error) {
	return string(l), false, nil
}
