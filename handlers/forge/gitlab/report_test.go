package gitlab

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

const (
	imageStatus = "registry-build/api"
	statusPosts = "POST /projects/*/statuses/*"
)

func TestReportLife(t *testing.T) {
	rig := newReportRig(t)
	rig.tell(rig.build(builder.Queued, nil))
	rig.tell(rig.all(builder.StatusPending, "1 image to go", builder.Decision{Builds: []builder.Build{{}}}))
	rig.tell(rig.build(builder.Running, nil))
	running, _ := rig.project.StatusOf(rig.commit, imageStatus)
	if running.State != "running" || running.Description != "building" || running.Ref != "topic" || running.TargetURL != "https://builds.example.com/builds/01JZK8Q3M5V7W9XA" {
		t.Errorf("running: %+v", running)
	}
	rig.tell(rig.build(builder.Running, func(b *builder.Record) { b.Steps = []builder.Step{{Name: "RUN make", Started: rig.at}} }))
	rig.tell(rig.build(builder.Pushing, nil))
	rig.tell(rig.build(builder.Succeeded, nil))
	rig.tell(rig.all(builder.StatusSuccess, "1 image built", builder.Decision{Builds: []builder.Build{{}}}))
	want := []string{"registry-build/api success pushed topic", "registry-build success 1 image built"}
	if diff := cmp.Diff(want, rig.statuses()); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if n := rig.posts(); n != 5 {
		t.Errorf("%d posts, want queued, running and the end, and two of all images", n)
	}
	if p := rig.project.Pipelines(rig.commit); len(p) != 1 || p[0].Ref != "topic" || p[0].Status != "success" {
		t.Errorf("pipelines: %+v", p)
	}
}

// A merge request is gated by what we tell its commit, whichever event it is
// told for.
func TestReportGates(t *testing.T) {
	rig := newReportRig(t)
	rig.project.PipelinesMustSucceed(true)
	rig.tell(rig.build(builder.Queued, nil))
	rig.tell(rig.ofMerge(rig.all(builder.StatusPending, "1 image to go", builder.Decision{})))
	if err := rig.merge.Accept("ada"); err == nil {
		t.Fatal("merged while it builds")
	}
	rig.tell(rig.build(builder.Failed, nil))
	rig.tell(rig.ofMerge(rig.all(builder.StatusFailure, "1 image failed", builder.Decision{})))
	if err := rig.merge.Accept("ada"); err == nil {
		t.Fatal("merged although it failed")
	}
	rig.seq++ // built again
	rig.tell(rig.ofMerge(rig.build(builder.Queued, func(b *builder.Record) { b.ID = "01JZK8Q3M5V7W9XB" })))
	rig.tell(rig.ofMerge(rig.all(builder.StatusPending, "1 image to go", builder.Decision{})))
	if err := rig.merge.Accept("ada"); err == nil {
		t.Fatal("merged while it builds again")
	}
	rig.tell(rig.build(builder.Succeeded, func(b *builder.Record) { b.ID = "01JZK8Q3M5V7W9XB" }))
	rig.tell(rig.all(builder.StatusSuccess, "1 image built", builder.Decision{}))
	if p := rig.project.Pipelines(rig.commit); len(p) != 1 {
		t.Errorf("%d pipelines, want one for all: %+v", len(p), p)
	}
	want := []string{
		"registry-build/api failed failed: Dockerfile:3 RUN make exited with 2", "registry-build failed 1 image failed",
		"registry-build/api success pushed topic", "registry-build success 1 image built",
	}
	if diff := cmp.Diff(want, rig.statuses()); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if err := rig.merge.Accept("ada"); err != nil {
		t.Error(err)
	}
}

// GitLab's own pipeline comes some seconds after ours: from then on it is the
// one that gates, and the one that was begun is not left open.
func TestReportPipelineThatComesLater(t *testing.T) {
	for name, ofMerge := range map[string]bool{"push": false, "merge request": true} {
		t.Run(name, func(t *testing.T) {
			rig := newReportRig(t)
			rig.project.PipelinesMustSucceed(true)
			of := func(r builder.Report) builder.Report {
				if ofMerge {
					return rig.ofMerge(r)
				}
				return r
			}
			rig.tell(of(rig.build(builder.Queued, nil)))
			ours := rig.project.Pipelines(rig.commit)[0].ID
			theirs := rig.project.AddPipeline("ada", rig.commit, "topic", "test", "success")
			rig.tell(of(rig.build(builder.Running, nil)))
			if err := rig.merge.Accept("ada"); err == nil {
				t.Fatal("merged while it builds")
			}
			rig.tell(of(rig.build(builder.Succeeded, nil)))
			states := map[int64][]string{}
			for _, s := range rig.project.Statuses(rig.commit) {
				states[s.PipelineID] = append(states[s.PipelineID], s.Name+" "+s.State)
			}
			want := map[int64][]string{ours: {imageStatus + " success"}, theirs: {imageStatus + " success", "test success"}}
			if diff := cmp.Diff(want, states); diff != "" {
				t.Errorf("jobs by pipeline (-want +got):\n%s", diff)
			}
			if err := rig.merge.Accept("ada"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A mistake in the build file is found before GitLab has made its own pipeline
// of the push: that one fails as well.
func TestReportFailsBeforeThePipeline(t *testing.T) {
	rig := newReportRig(t)
	rig.project.PipelinesMustSucceed(true)
	report := rig.all(builder.StatusError, "no images", builder.Decision{Failure: &builder.Failure{Message: "no images"}})
	report.Event.AcceptedAt = rig.clock.now()
	wait := rig.tellLater(report)
	rig.project.AddPipeline("ada", rig.commit, "topic", "test", "success")
	rig.clock.pass(wait)
	for range 2 {
		rig.tell(report)
	}
	if p := rig.project.Pipelines(rig.commit); len(p) != 2 || p[0].Status != "failed" || p[1].Status != "failed" {
		t.Errorf("pipelines: %+v", p)
	}
	if err := rig.merge.Accept("ada"); err == nil {
		t.Error("merged although the build file is refused")
	}
	if n := rig.posts(); n != 2 {
		t.Errorf("%d posts", n)
	}
}

func TestReportTag(t *testing.T) {
	rig := newBareRig(t)
	if err := rig.project.Tag("ada", "v1", "main", ""); err != nil {
		t.Fatal(err)
	}
	for _, state := range []builder.State{builder.Queued, builder.Running, builder.Succeeded} {
		report := rig.build(state, func(b *builder.Record) { b.Ref = "refs/tags/v1" })
		rig.tell(report)
	}
	if p := rig.project.Pipelines(rig.commit); len(p) != 1 || p[0].Ref != "v1" || p[0].Status != "success" {
		t.Errorf("pipelines: %+v", p)
	}
}

// forkRig is a merge request from a fork of bob's.
func forkRig(t *testing.T) (rig *reportRig, fork *gitlabtest.Project, of func(builder.Report) builder.Report) {
	t.Helper()
	rig = newBareRig(t)
	rig.project.SetVisibility("public")
	fork, err := rig.project.Fork("bob")
	if err != nil {
		t.Fatal(err)
	}
	if rig.commit, err = fork.Push(gitlabtest.Push{User: "bob", Branch: "topic", Files: map[string]string{"Dockerfile": topicDockerfile}}); err != nil {
		t.Fatal(err)
	}
	if rig.merge, err = rig.project.OpenMerge(gitlabtest.MergeOptions{User: "bob", From: fork, Source: "topic"}); err != nil {
		t.Fatal(err)
	}
	return rig, fork, func(r builder.Report) builder.Report {
		r = rig.ofMerge(r)
		r.Event.Pull.Fork, r.Event.Pull.HeadOwner = true, "bob"
		if r.Record != nil {
			r.Record.Lane = builder.ForkLane
		}
		return r
	}
}

// The statuses of a fork's commit are in our project: the fork is not ours.
func TestReportFork(t *testing.T) {
	rig, fork, of := forkRig(t)
	rig.tell(of(rig.all(builder.StatusWaiting, "from a fork: waits", builder.Decision{Unapproved: rig.commit})))
	s, ok := rig.project.StatusOf(rig.commit, builder.AggregateContext)
	if !ok || s.State != "pending" || s.Ref != fmt.Sprintf("refs/merge-requests/%d/head", rig.merge.IID()) {
		t.Fatalf("waiting: %+v", s)
	}
	rig.tell(of(rig.build(builder.Running, nil)))
	rig.tell(of(rig.build(builder.Succeeded, nil)))
	rig.tell(of(rig.all(builder.StatusSuccess, "1 image built", builder.Decision{})))
	if p := rig.project.Pipelines(rig.commit); len(p) != 1 || p[0].Status != "success" {
		t.Errorf("pipelines: %+v", p)
	}
	if p := fork.Pipelines(rig.commit); len(p) != 0 {
		t.Errorf("pipelines of the fork: %+v", p)
	}
	refused := 0
	for _, r := range rig.server.Requests(statusPosts) {
		if r.Status >= 400 {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d posts were refused: a fork that lets nobody in is asked once", refused)
	}
}

// A fork that lets us in is where its merge request is gated.
func TestReportForkThatLetsUsIn(t *testing.T) {
	rig, fork, of := forkRig(t)
	fork.SetMember(rig.us, gitlabtest.Developer)
	rig.project.PipelinesMustSucceed(true)
	rig.tell(of(rig.build(builder.Running, nil)))
	if err := rig.merge.Accept("ada"); err == nil {
		t.Fatal("merged while it builds")
	}
	rig.tell(of(rig.build(builder.Succeeded, nil)))
	if p := fork.Pipelines(rig.commit); len(p) != 1 || p[0].Status != "success" || p[0].Ref != "topic" {
		t.Errorf("pipelines of the fork: %+v", p)
	}
	if p := rig.project.Pipelines(rig.commit); len(p) != 0 {
		t.Errorf("pipelines of the project: %+v", p)
	}
	if err := rig.merge.Accept("ada"); err != nil {
		t.Error(err)
	}
}

// What is refused on the way does not keep the end from getting out.
func TestReportRefused(t *testing.T) {
	t.Run("another moved the job on", func(t *testing.T) {
		rig := newReportRig(t)
		rig.tell(rig.build(builder.Queued, nil))
		rig.memory.Forget()
		rig.tell(rig.build(builder.Queued, nil)) // GitLab: Cannot transition status via :enqueue from :pending
		rig.tell(rig.build(builder.Running, nil))
		rig.memory.Forget()
		rig.tell(rig.build(builder.Running, nil))
		rig.tell(rig.build(builder.Failed, nil))
		if diff := cmp.Diff([]string{"registry-build/api failed failed: Dockerfile:3 RUN make exited with 2"}, rig.statuses()); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
	t.Run("forbidden until the end", func(t *testing.T) {
		rig := newReportRig(t)
		var log strings.Builder
		rig.Log = slog.New(slog.NewTextHandler(&log, nil))
		rig.server.FailNext(statusPosts, 4, gitlabtest.Refused(http.StatusForbidden, map[string]string{"message": "403 Forbidden"}))
		rig.tellLater(rig.build(builder.Queued, nil))
		rig.clock.pass(telling.Patience)
		rig.tell(rig.build(builder.Queued, nil)) // nobody asks for ever
		rig.tell(rig.build(builder.Running, nil))
		wait := rig.tellLater(rig.build(builder.Succeeded, nil)) // the end has a patience of its own
		rig.clock.pass(wait)
		rig.tell(rig.build(builder.Succeeded, nil))
		if diff := cmp.Diff([]string{"registry-build/api success pushed topic"}, rig.statuses()); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
		if n := strings.Count(log.String(), "give its user the role Maintainer"); n != 1 {
			t.Errorf("the operator was told %d times what to mend:\n%s", n, &log)
		}
	})
	t.Run("locked", func(t *testing.T) {
		rig := newReportRig(t)
		release := rig.project.HoldStatuses(rig.commit)
		rig.tellLater(rig.build(builder.Succeeded, nil))
		rig.clock.pass(telling.Patience * 2)
		rig.tellLater(rig.build(builder.Succeeded, nil))
		release()
		rig.tell(rig.build(builder.Succeeded, nil))
		if n := len(rig.statuses()); n != 1 {
			t.Errorf("%d statuses", n)
		}
	})
	t.Run("commit that GitLab does not have", func(t *testing.T) {
		rig := newReportRig(t)
		rig.commit = strings.Repeat("ab", 20)
		rig.tellLater(rig.build(builder.Queued, nil))
		rig.clock.pass(telling.Patience)
		rig.tell(rig.build(builder.Queued, nil))
	})
	t.Run("project gone", func(t *testing.T) {
		rig := newReportRig(t)
		report := rig.build(builder.Succeeded, nil)
		report.Repository.ID = "x"
		rig.tell(report)
	})
	t.Run("nobody may read the project any more", func(t *testing.T) {
		rig := newReportRig(t)
		report := rig.build(builder.Queued, nil)
		rig.project.Remove()
		rig.tell(report) // at once
	})
	t.Run("limit", func(t *testing.T) {
		rig := newReportRig(t)
		rig.server.FailNext(statusPosts, 1, gitlabtest.TooManyRequests(30*time.Second))
		if wait := rig.tellLater(rig.build(builder.Succeeded, nil)); wait < 25*time.Second {
			t.Errorf("put off for %s, want what GitLab says", wait)
		}
		rig.clock.pass(31 * time.Second)
		rig.tell(rig.build(builder.Succeeded, nil))
		if n := len(rig.statuses()); n != 1 {
			t.Errorf("%d statuses", n)
		}
	})
	t.Run("pipeline deleted", func(t *testing.T) {
		rig := newReportRig(t)
		rig.tell(rig.build(builder.Running, nil))
		rig.server.FailNext(statusPosts, 1, gitlabtest.Refused(http.StatusNotFound, map[string]string{"message": "404 Pipeline for pipeline_id, sha and ref Not Found"}))
		rig.tell(rig.build(builder.Succeeded, nil))
		if s, _ := rig.project.StatusOf(rig.commit, imageStatus); s.State != "success" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("address too long", func(t *testing.T) {
		rig := newReportRig(t)
		rig.BuildURL = func(string) string { return "https://builds.example.com/" + strings.Repeat("x", 300) }
		rig.tell(rig.build(builder.Succeeded, func(b *builder.Record) { b.Tags = []string{strings.Repeat("t", 128)} }))
		if s, _ := rig.project.StatusOf(rig.commit, imageStatus); s.State != "success" || s.TargetURL != "" {
			t.Errorf("%+v", s)
		}
	})
}

// TestReportOnce lets a process die, or an answer be lost, at every point of
// telling an end.
func TestReportOnce(t *testing.T) {
	cases := map[string]struct {
		breakIt func(*reportRig)
		mend    func(*reportRig)
	}{
		"answer lost":           {func(r *reportRig) { r.server.FailNext(statusPosts, 1, gitlabtest.LostAnswer()) }, nil},
		"never arrived":         {func(r *reportRig) { r.server.FailNext(statusPosts, 1, gitlabtest.Dropped()) }, nil},
		"bad gateway":           {func(r *reportRig) { r.server.FailNext(statusPosts, 1, gitlabtest.BadGateway()) }, nil},
		"crash before posting":  {func(r *reportRig) { r.memory.Crash = "status/" }, func(r *reportRig) { r.memory.Crash = "" }},
		"crash after posting":   {func(r *reportRig) { r.memory.Crash, r.memory.After = "status/", 1 }, func(r *reportRig) { r.memory.Crash = "" }},
		"crash before the last": {func(r *reportRig) { r.memory.Crash, r.memory.After = "status/", 2 }, func(r *reportRig) { r.memory.Crash = "" }},
	}
	for name, c := range cases {
		for from, begun := range map[string]bool{"first": false, "begun": true} {
			t.Run(name+", "+from, func(t *testing.T) {
				rig := newReportRig(t)
				if begun {
					rig.tell(rig.build(builder.Running, nil))
				}
				c.breakIt(rig)
				report := rig.build(builder.Succeeded, nil)
				if err := rig.Report(t.Context(), report); err == nil {
					t.Fatal("no error")
				}
				if c.mend != nil {
					c.mend(rig)
				}
				for range 2 {
					rig.tell(report)
				}
				if diff := cmp.Diff([]string{"registry-build/api success pushed topic"}, rig.statuses()); diff != "" {
					t.Errorf("statuses (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Reports come in any order, twice, and with crashes in between: what stays is
// the newest end, told once.
func TestReportAnyOrder(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 5))
			rig := newReportRig(t)
			var reports []builder.Report
			for i := range 2 {
				rig.seq++
				id := fmt.Sprintf("01JZK8Q3M5V7W9X%d", i)
				ends := []builder.State{builder.Succeeded, builder.Failed, builder.Cancelled, builder.Superseded, builder.Promoted}
				for _, state := range []builder.State{builder.Queued, builder.Running, builder.Pushing, ends[random.IntN(len(ends))]} {
					reports = append(reports, rig.build(state, func(b *builder.Record) { b.ID = id }))
				}
			}
			last := reports[len(reports)-1]
			reports = append(reports, reports...)
			random.Shuffle(len(reports), func(i, j int) { reports[i], reports[j] = reports[j], reports[i] })
			for _, report := range reports {
				if random.IntN(3) == 0 {
					rig.memory.Crash, rig.memory.After = "status/", random.IntN(3)
				}
				for try := 0; ; try++ {
					err := rig.Report(t.Context(), report)
					rig.memory.Crash = ""
					if err == nil {
						break
					}
					if !errors.Is(err, forgetest.ErrCrash) || try > 5 {
						t.Fatal(err)
					}
				}
			}
			var ends []string
			for _, s := range rig.project.Statuses(rig.commit) {
				if s.Name == imageStatus && ended(s.State) && s.TargetURL == rig.Forge.BuildURL(last.BuildID) {
					ends = append(ends, s.State)
				}
			}
			if diff := cmp.Diff([]string{statusState(last)}, ends); diff != "" {
				t.Errorf("ends of the newest build (-want +got):\n%s", diff)
			}
			if s, _ := rig.project.StatusOf(rig.commit, imageStatus); s.State != statusState(last) {
				t.Errorf("the newest says %s, want %s", s.State, statusState(last))
			}
		})
	}
}

func TestReportAtTheSameTime(t *testing.T) {
	rig := newReportRig(t)
	var wg sync.WaitGroup
	for i := range 8 {
		report := rig.all(builder.StatusSuccess, fmt.Sprintf("%d images built", i+1), builder.Decision{})
		wg.Go(func() {
			for {
				err := rig.Report(t.Context(), report)
				var later builder.Later
				if !errors.As(err, &later) {
					if err != nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	if last, _ := rig.project.StatusOf(rig.commit, builder.AggregateContext); last.Description != "8 images built" {
		t.Errorf("the newest says %q", last.Description)
	}
}

func TestReportNotNewest(t *testing.T) {
	rig := newReportRig(t)
	report := rig.build(builder.Failed, nil)
	report.Newest = false
	rig.tell(report)
	if got := rig.statuses(); len(got) != 0 {
		t.Errorf("statuses %v", got)
	}
	if got := rig.threads(); len(got) != 0 {
		t.Errorf("threads %v", got)
	}
}

// A trigger has a status of its own beside its build's.
func TestReportRun(t *testing.T) {
	rig := newReportRig(t)
	rig.tell(rig.build(builder.Succeeded, nil))
	run := func(state builder.RunState, word builder.ReportState, answer string) builder.Report {
		report := rig.build(builder.Succeeded, nil)
		r := builder.TriggerRun{BuildID: report.BuildID, Trigger: "prod", State: state, Attempts: 1, Action: "kubernetes prod/shop", Answer: answer}
		report.Context, report.Trigger = report.Record.TriggerContext("prod"), "prod"
		report.Run, report.State, report.Description = &r, word, builder.DescribeRun(r)
		report.Record, report.Event = nil, nil
		return report
	}
	rig.tell(run(builder.RunWaiting, builder.StatusPending, ""))
	rig.tell(run(builder.RunRunning, builder.StatusPending, "1 of 3 updated"))
	rig.tell(run(builder.RunRunning, builder.StatusPending, "2 of 3 updated"))
	rig.tell(run(builder.RunSucceeded, builder.StatusSuccess, "rolled out"))
	want := []string{"registry-build/api success pushed topic", "registry-build/api: prod success rolled out"}
	if diff := cmp.Diff(want, rig.statuses()); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if p := rig.project.Pipelines(rig.commit); len(p) != 1 {
		t.Errorf("pipelines: %+v", p)
	}
}

func TestReportNeutral(t *testing.T) {
	rig := newReportRig(t)
	rig.Config.Onboard = false
	rig.tell(rig.all(builder.StatusNeutral, "no build file", builder.Decision{Suggestion: &builder.Suggestion{Dockerfiles: []string{"Dockerfile"}, File: "x"}}))
	if n := len(rig.server.Requests("* /**")); n != 0 {
		t.Errorf("%d requests for a remark that nobody asked for", n)
	}
}
