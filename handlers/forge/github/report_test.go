package github

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

const (
	imageCheck = "registry-build/api"
	allCheck   = "registry-build"
	checkPosts = "POST /repos/acme/shop/check-runs"
	checkCalls = "* /repos/acme/shop/check-runs/**"
)

func TestReportLife(t *testing.T) {
	rig := newReportRig(t)
	rig.tell(rig.build(builder.Queued, nil))
	got := rig.onlyCheck(imageCheck)
	want := githubtest.CheckRun{ID: got.ID, Suite: got.Suite, App: got.App, Name: imageCheck, SHA: rig.commit, Status: "queued",
		Title: "queued, 3rd in line", ExternalID: "01JZK8Q3M5V7W9XA", DetailsURL: "https://builds.example.com/builds/01JZK8Q3M5V7W9XA",
		Summary: got.Summary, StartedAt: got.StartedAt,
		Actions: []githubtest.Action{{Label: "Cancel", Description: "Stop this build", Identifier: "cancel"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}

	rig.tell(rig.build(builder.Running, nil))
	if got = rig.onlyCheck(imageCheck); got.Status != "in_progress" || !got.StartedAt.Equal(someRecord(nil).StartedAt) {
		t.Errorf("running: %s since %s", got.Status, got.StartedAt)
	}
	rig.tellLater(rig.build(builder.Pushing, nil)) // the same state for GitHub
	rig.clock += updateEvery
	rig.tell(rig.build(builder.Pushing, nil))
	rig.tell(rig.build(builder.Succeeded, func(b *builder.Record) { b.Digest = someDigest }))
	got = rig.onlyCheck(imageCheck)
	if got.Status != "completed" || got.Conclusion != "success" || !got.CompletedAt.Equal(someRecord(nil).FinishedAt) || len(got.Actions) != 2 {
		t.Errorf("succeeded: %+v", got)
	}
	for _, part := range []string{"docker pull registry.example.com/acme/shop@" + someDigest, "```"} {
		if !strings.Contains(got.Summary, part) {
			t.Errorf("summary lacks %q:\n%s", part, got.Summary)
		}
	}
	if !strings.Contains(got.Text, "the log's end") {
		t.Errorf("text lacks the log:\n%s", got.Text)
	}
	statuses := []string{
		"registry-build/api pending queued, 3rd in line",
		"registry-build/api pending building",
		"registry-build/api pending pushing latest, main-4f2c1a",
		"registry-build/api success pushed latest, main-4f2c1a in 12 s",
	}
	if diff := cmp.Diff(statuses, rig.statuses()); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestReportProgressIsCoalesced(t *testing.T) {
	rig := newReportRig(t)
	steps := func(n int) func(*builder.Record) {
		return func(b *builder.Record) { b.Steps[2].Name = fmt.Sprintf("RUN step %d", n) }
	}
	rig.tell(rig.build(builder.Queued, nil))
	rig.tell(rig.build(builder.Running, steps(0))) // another state goes out at once
	if wait := rig.tellLater(rig.build(builder.Running, steps(1))); wait > updateEvery || wait < updateEvery-time.Second {
		t.Errorf("put off for %s", wait)
	}
	rig.tell(rig.build(builder.Running, steps(0))) // nothing new, so nothing to wait for
	before := len(rig.gh.Requests(checkCalls))
	rig.clock += updateEvery
	rig.tell(rig.build(builder.Running, steps(2)))
	if got := rig.onlyCheck(imageCheck); !strings.Contains(got.Text, "RUN step 2") {
		t.Errorf("the newest step is missing:\n%s", got.Text)
	}
	rig.tell(rig.build(builder.Failed, nil)) // a result never waits
	if got := rig.onlyCheck(imageCheck); got.Conclusion != "failure" {
		t.Errorf("conclusion %q", got.Conclusion)
	}
	if n := len(rig.gh.Requests(checkCalls)) - before; n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	if n := len(rig.statuses()); n != 3 {
		t.Errorf("%d statuses, want queued, building and the end", n)
	}
}

// TestReportOnce lets a process die, or an answer be lost, at every point of
// making a check run.
func TestReportOnce(t *testing.T) {
	cases := map[string]struct {
		breakIt func(*reportRig)
		mend    func(*reportRig)
	}{
		"answer lost":          {func(r *reportRig) { r.gh.FailNext(checkPosts, 1, githubtest.LostAnswer()) }, nil},
		"never arrived":        {func(r *reportRig) { r.gh.FailNext(checkPosts, 1, githubtest.Dropped()) }, nil},
		"bad gateway":          {func(r *reportRig) { r.gh.FailNext(checkPosts, 1, githubtest.BadGateway()) }, nil},
		"crash after creating": {func(r *reportRig) { r.memory.Crash = "check/" }, func(r *reportRig) { r.memory.Crash = "" }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rig := newReportRig(t)
			c.breakIt(rig)
			report := rig.build(builder.Queued, nil)
			if err := rig.Report(context.Background(), report); err == nil {
				t.Fatal("no error")
			}
			if c.mend != nil {
				c.mend(rig)
			}
			rig.tell(report)
			rig.tell(rig.build(builder.Cancelled, nil))
			if got := rig.onlyCheck(imageCheck); got.Conclusion != "cancelled" {
				t.Errorf("conclusion %q", got.Conclusion)
			}
		})
	}
}

func TestReportAnnotations(t *testing.T) {
	notes := func(b *builder.Record) {
		b.Failure = &builder.Failure{Message: "make exited with 2", File: "build/Dockerfile", Line: 7, EndLine: 8, Output: "no rule\n"}
		for i := range 119 {
			b.Notes = append(b.Notes, builder.Note{File: "build/Dockerfile", Line: i + 1, Message: "casing", URL: "https://docs.docker.com/x"})
		}
	}
	t.Run("in batches", func(t *testing.T) {
		rig := newReportRig(t)
		rig.tell(rig.build(builder.Queued, nil))
		rig.tell(rig.build(builder.Failed, notes))
		got := rig.onlyCheck(imageCheck)
		if len(got.Annotations) != 120 || got.Updates != 3 {
			t.Errorf("%d annotations by %d updates, want 120 by 3", len(got.Annotations), got.Updates)
		}
		want := githubtest.Annotation{Path: "build/Dockerfile", StartLine: 7, EndLine: 8, Level: "failure", Title: "The build of api fails here",
			Message: "make exited with 2", RawDetails: "no rule\n"}
		if diff := cmp.Diff(want, got.Annotations[0]); diff != "" {
			t.Errorf("first annotation (-want +got):\n%s", diff)
		}
		rig.tell(rig.build(builder.Failed, notes))
		if n := len(rig.onlyCheck(imageCheck).Annotations); n != 120 {
			t.Errorf("%d annotations after the same report", n)
		}
	})
	for name, failure := range map[string]githubtest.Failure{"answer lost": githubtest.LostAnswer(), "never arrived": githubtest.Dropped()} {
		for skip := range 3 {
			t.Run(fmt.Sprintf("%s at batch %d", name, skip+1), func(t *testing.T) {
				rig := newReportRig(t)
				rig.tell(rig.build(builder.Queued, nil))
				if skip > 0 {
					rig.gh.FailNext("PATCH /repos/acme/shop/check-runs/*", skip, githubtest.Slow(time.Millisecond))
				}
				rig.gh.FailNext("PATCH /repos/acme/shop/check-runs/*", 1, failure)
				report := rig.build(builder.Failed, notes)
				if err := rig.Report(context.Background(), report); err == nil {
					t.Fatal("no error")
				}
				rig.tell(report)
				rig.tell(report)
				if got := rig.onlyCheck(imageCheck); len(got.Annotations) != 120 || got.Conclusion != "failure" {
					t.Errorf("%d annotations, %s", len(got.Annotations), got.Conclusion)
				}
			})
		}
	}
	t.Run("of the build file, once", func(t *testing.T) {
		rig := newReportRig(t)
		d := builder.Decision{Invalid: config.Diagnostics{
			{File: ".registry-build.yml", Line: 3, Col: 5, Message: `unknown key "imge"`}, {File: ".registry-build.yml", Message: "no images"}}}
		rig.tell(rig.all(builder.StatusError, d.Invalid[0].String(), d))
		rig.tell(rig.all(builder.StatusError, d.Invalid[0].String(), d)) // the pull request's event
		got := rig.onlyCheck(allCheck)
		five := 5
		want := []githubtest.Annotation{
			{Path: ".registry-build.yml", StartLine: 3, EndLine: 3, StartColumn: &five, EndColumn: &five, Level: "failure", Title: "This file is refused", Message: `unknown key "imge"`},
			{Path: ".registry-build.yml", StartLine: 1, EndLine: 1, Level: "failure", Title: "This file is refused", Message: "no images"},
		}
		if diff := cmp.Diff(want, got.Annotations); diff != "" || got.Conclusion != "failure" {
			t.Errorf("conclusion %s, annotations (-want +got):\n%s", got.Conclusion, diff)
		}
	})
}

func TestReportOrder(t *testing.T) {
	t.Run("older after newer", func(t *testing.T) {
		rig := newReportRig(t)
		running := rig.build(builder.Running, nil)
		queued := rig.build(builder.Queued, nil) // its lease was lost
		rig.tell(queued)
		rig.tell(running)
		if got := rig.onlyCheck(imageCheck); got.Status != "queued" || len(rig.statuses()) != 1 {
			t.Errorf("%s, statuses %v", got.Status, rig.statuses())
		}
	})
	t.Run("an end by a clock that is behind", func(t *testing.T) {
		rig := newReportRig(t)
		rig.tell(rig.build(builder.Running, nil))
		rig.at = rig.at.Add(-time.Minute)
		rig.tell(rig.build(builder.Failed, nil))
		if got := rig.onlyCheck(imageCheck); got.Conclusion != "failure" || len(rig.statuses()) != 2 {
			t.Errorf("%s, statuses %v", got.Status, rig.statuses())
		}
	})
	t.Run("nothing after the end", func(t *testing.T) {
		rig := newReportRig(t)
		rig.tell(rig.build(builder.Succeeded, nil))
		rig.tell(rig.build(builder.Running, nil))
		if got := rig.onlyCheck(imageCheck); got.Status != "completed" {
			t.Errorf("%s", got.Status)
		}
	})
	t.Run("older build beside a newer", func(t *testing.T) {
		rig := newReportRig(t)
		old := rig.build(builder.Queued, func(b *builder.Record) { b.ID = "01JZK8Q3M5V7W9X0" })
		rig.tell(rig.build(builder.Queued, nil))
		old.Newest = false
		rig.tell(old)
		if got := rig.onlyCheck(imageCheck); got.ExternalID != "01JZK8Q3M5V7W9XA" {
			t.Errorf("check run of %s", got.ExternalID)
		}
	})
	t.Run("aggregate goes back to work", func(t *testing.T) {
		rig := newReportRig(t)
		for _, state := range []builder.ReportState{builder.StatusPending, builder.StatusError, builder.StatusPending, builder.StatusSuccess} {
			rig.tell(rig.all(state, string(state), builder.Decision{}))
			want := map[builder.ReportState]string{builder.StatusPending: "in_progress/", builder.StatusError: "completed/cancelled", builder.StatusSuccess: "completed/success"}[state]
			if got := rig.onlyCheck(allCheck); got.Status+"/"+got.Conclusion != want || got.ExternalID != "" {
				t.Errorf("%s: %s/%s", state, got.Status, got.Conclusion)
			}
		}
	})
	t.Run("at the same time", func(t *testing.T) {
		rig := newReportRig(t)
		var wg sync.WaitGroup
		for i := range 8 {
			report := rig.all(builder.StatusSuccess, fmt.Sprintf("%d images built", i+1), builder.Decision{})
			wg.Go(func() {
				for {
					err := rig.Report(context.Background(), report)
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
		last, _ := rig.repo.StatusOf(rig.commit, allCheck)
		if got := rig.onlyCheck(allCheck); got.Title != "8 images built" || last.Description != "8 images built" {
			t.Errorf("%s, %s", got.Title, last.Description)
		}
	})
}

func TestReportShow(t *testing.T) {
	without := func(name string) func(*reportRig) {
		return func(r *reportRig) {
			p := githubtest.DefaultPermissions()
			delete(p, name)
			r.inst.SetPermissions(p)
		}
	}
	show := func(s config.Show, then func(*reportRig)) func(*reportRig) {
		return func(r *reportRig) {
			if r.Config.Show = s; then != nil {
				then(r)
			}
		}
	}
	cases := map[string]struct {
		change           func(*reportRig)
		checks, statuses int
	}{
		"checks":                       {show(config.ShowChecks, nil), 1, 0},
		"statuses":                     {show(config.ShowStatuses, nil), 0, 1},
		"both":                         {show(config.ShowBoth, nil), 1, 1},
		"checks, not permitted":        {show(config.ShowChecks, without("checks")), 0, 1},
		"both, checks not permitted":   {show(config.ShowBoth, without("checks")), 0, 1},
		"statuses, not permitted":      {show(config.ShowStatuses, without("statuses")), 1, 0},
		"both, statuses not permitted": {show(config.ShowBoth, without("statuses")), 1, 0},
		"repository taken away":        {func(r *reportRig) { r.inst.Uninstall() }, 0, 0},
		"repository gone":              {func(r *reportRig) { r.repo.Delete() }, 0, 0},
		"nothing permitted":            {func(r *reportRig) { r.inst.SetPermissions(map[string]string{"metadata": "read"}) }, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rig := newReportRig(t)
			c.change(rig)
			for range 2 {
				rig.tell(rig.build(builder.Succeeded, nil))
			}
			if checks, statuses := len(rig.repo.CheckRuns("")), len(rig.repo.Statuses(rig.commit)); checks != c.checks || statuses != c.statuses {
				t.Errorf("%d check runs, %d statuses, want %d and %d", checks, statuses, c.checks, c.statuses)
			}
		})
	}
}

func TestReportSuggestion(t *testing.T) {
	d := builder.Decision{Hint: "no .registry-build.yml", Suggestion: &builder.Suggestion{Dockerfiles: []string{"Dockerfile"}, File: "images:\n  - name: shop\n"}}
	rig := newReportRig(t)
	rig.tell(rig.all(builder.StatusNeutral, d.Hint, d))
	rig.tell(rig.all(builder.StatusNeutral, d.Hint, d))
	got := rig.onlyCheck(allCheck)
	link := rig.gh.URL + "/acme/shop/new/main?filename=.registry-build.yml&value=images%3A%0A++-+name%3A+shop%0A"
	if got.Conclusion != "neutral" || !strings.Contains(got.Summary, link) || len(rig.statuses()) != 0 {
		t.Errorf("%s, statuses %v\n%s\nlacks %s", got.Conclusion, rig.statuses(), got.Summary, link)
	}
	var err error
	if rig.commit, err = rig.repo.Push(githubtest.Push{Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	rig.tell(rig.all(builder.StatusNeutral, d.Hint, d))
	if n := len(rig.repo.CheckRuns("")); n != 1 {
		t.Errorf("%d check runs: it is said once for a repository", n)
	}

	off := newReportRig(t)
	off.Config.Suggest = false
	off.tell(off.all(builder.StatusNeutral, d.Hint, d))
	if n := len(off.repo.CheckRuns("")); n != 0 {
		t.Errorf("%d check runs although it is switched off", n)
	}
}

func TestReportRefused(t *testing.T) {
	t.Run("limit", func(t *testing.T) {
		rig := newReportRig(t)
		rig.gh.FailNext(checkPosts, 1, githubtest.SecondaryLimit(30*time.Second))
		if wait := rig.tellLater(rig.build(builder.Succeeded, nil)); wait < 25*time.Second {
			t.Errorf("put off for %s, want what GitHub says", wait)
		}
		rig.clock += 31 * time.Second
		rig.tell(rig.build(builder.Succeeded, nil))
		if got := rig.onlyCheck(imageCheck); got.Conclusion != "success" {
			t.Errorf("conclusion %q", got.Conclusion)
		}
	})
	t.Run("commit that GitHub does not have", func(t *testing.T) {
		rig := newReportRig(t)
		known := rig.commit
		rig.commit = strings.Repeat("ab", 20)
		rig.tellLater(rig.build(builder.Queued, nil))
		rig.clock += telling.Patience
		rig.tell(rig.build(builder.Queued, nil)) // nobody asks for ever
		if n := len(rig.repo.CheckRuns(known)); n != 0 {
			t.Errorf("%d check runs", n)
		}
	})
	t.Run("statuses are counted", func(t *testing.T) {
		rig := newReportRig(t)
		rig.Config.Show = config.ShowStatuses
		key := "github:status/" + telling.Subject(rig.build(builder.Queued, nil))
		for count, want := range map[int]int{maxStatuses - statusesReserve: 1, maxStatuses: 0} {
			if err := rig.ledger().Remember(context.Background(), key, posted{Count: count, Phase: "x"}); err != nil {
				t.Fatal(err)
			}
			before := len(rig.statuses())
			rig.tell(rig.build(builder.Running, nil))
			rig.tell(rig.build(builder.Succeeded, nil))
			if n := len(rig.statuses()) - before; n != want {
				t.Errorf("after %d: %d statuses, want %d", count, n, want)
			}
		}
	})
}

func TestConclude(t *testing.T) {
	failed := &builder.Decision{Failure: &builder.Failure{Message: "x"}}
	cases := []struct {
		name   string
		report builder.Report
		want   string
	}{
		{"fork waits", builder.Report{State: builder.StatusWaiting}, "completed action_required"},
		{"suggestion", builder.Report{State: builder.StatusNeutral}, "completed neutral"},
		{"unchanged", builder.Report{State: builder.StatusSuccess}, "completed success"},
		{"images failed", builder.Report{State: builder.StatusFailure}, "completed failure"},
		{"images cancelled", builder.Report{State: builder.StatusError, Decision: &builder.Decision{}}, "completed cancelled"},
		{"nothing decided", builder.Report{State: builder.StatusError, Decision: failed}, "completed failure"},
		{"promoted", builder.Report{Record: &builder.Record{Progress: builder.Progress{State: builder.Promoted}}}, "completed success"},
		{"skipped", builder.Report{Record: &builder.Record{Progress: builder.Progress{State: builder.Skipped}}}, "completed success"},
		{"superseded", builder.Report{Record: &builder.Record{Progress: builder.Progress{State: builder.Superseded}}}, "completed cancelled"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, conclusion := conclude(c.report)
			if got := status + " " + conclusion; got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
