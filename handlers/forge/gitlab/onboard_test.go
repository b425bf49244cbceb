package gitlab

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// suggestion is the report of a push to a project without a build file.
func (r *noteRig) suggestion(dockerfiles ...string) builder.Report {
	s := builder.Suggest(dockerfiles, "shop", "main")
	d := builder.Decision{Hint: "there is no .registry-build.yml", Suggestion: &s}
	return builder.Report{
		Repository: r.record(), Ref: "refs/heads/main", Commit: r.project.Head("main"), Context: builder.AggregateContext, State: builder.StatusNeutral,
		Description: d.Hint, EventID: "e", Seq: 1, Newest: true, Decision: &d, Event: &builder.Event{Kind: builder.BranchPushed, Commit: r.project.Head("main")},
	}
}

func (r *noteRig) offers() []*gitlab.MergeRequest {
	r.t.Helper()
	list, _, err := r.ada.MergeRequests.ListProjectMergeRequests(r.id, &gitlab.ListProjectMergeRequestsOptions{SourceBranch: gitlab.Ptr(onboardBranch)})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *noteRig) suggest(report builder.Report) {
	r.t.Helper()
	if err := r.onboard(r.t.Context(), report); err != nil {
		r.t.Fatal(err)
	}
}

func TestOnboard(t *testing.T) {
	rig := newNoteRig(t)
	rig.suggest(rig.suggestion("Dockerfile", "services/api/Dockerfile"))
	all := rig.offers()
	if len(all) != 1 || all[0].TargetBranch != "main" || all[0].Title != "Build this project's container images at every push" {
		t.Fatalf("offers: %+v", all)
	}
	file, _, err := rig.ada.RepositoryFiles.GetRawFile(rig.id, ".registry-build.yml", &gitlab.GetRawFileOptions{Ref: gitlab.Ptr(onboardBranch)})
	want := builder.Suggest([]string{"Dockerfile", "services/api/Dockerfile"}, "shop", "main").File
	if diff := cmp.Diff(want, string(file)); err != nil || diff != "" {
		t.Errorf("the build file (%v; -want +got):\n%s", err, diff)
	}
	for _, says := range []string{"2 Dockerfiles: `Dockerfile`, `services/api/Dockerfile`", "A push to `main`", want, "never again"} {
		if !strings.Contains(all[0].Description, says) {
			t.Errorf("the text lacks %q:\n%s", says, all[0].Description)
		}
	}
	rig.suggest(rig.suggestion("Dockerfile")) // once more
	if _, err := rig.project.Push(gitlabtest.Push{User: "ada", Files: map[string]string{"x": "y"}}); err != nil {
		t.Fatal(err)
	}
	rig.suggest(rig.suggestion("Dockerfile")) // another commit
	rig.memory.Forget()
	rig.suggest(rig.suggestion("Dockerfile")) // in another year
	if all := rig.offers(); len(all) != 1 {
		t.Errorf("%d offers", len(all))
	}
}

func TestOnboardIsLeftAlone(t *testing.T) {
	tests := map[string]func(*noteRig){
		"not wanted":  func(r *noteRig) { r.Config.Onboard = false },
		"a branch":    func(r *noteRig) { r.push(onboardBranch) },
		"file exists": func(r *noteRig) { r.pushFile("main", ".registry-build.yml") },
		"closed before": func(r *noteRig) {
			r.push(onboardBranch)
			number := r.open(onboardBranch, "main")
			if _, _, err := r.ada.MergeRequests.UpdateMergeRequest(r.id, number, &gitlab.UpdateMergeRequestOptions{StateEvent: gitlab.Ptr("close")}); err != nil {
				r.t.Fatal(err)
			}
			if err := r.project.Delete("ada", onboardBranch); err != nil {
				r.t.Fatal(err)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			rig := newNoteRig(t)
			change(rig)
			before := len(rig.offers())
			rig.suggest(rig.suggestion("Dockerfile"))
			rig.suggest(rig.suggestion("Dockerfile"))
			if n := len(rig.offers()) - before; n != 0 {
				t.Errorf("%d offers", n)
			}
		})
	}
}

func (r *noteRig) push(branch string) { r.pushFile(branch, "x") }

func (r *noteRig) pushFile(branch, file string) {
	r.t.Helper()
	if _, err := r.project.Push(gitlabtest.Push{User: "ada", Branch: branch, Files: map[string]string{file: "version: 1\n"}}); err != nil {
		r.t.Fatal(err)
	}
}

// What GitLab refuses is told once, and is nobody's failure.
func TestOnboardRefused(t *testing.T) {
	rig := newNoteRig(t)
	var log strings.Builder
	rig.Log = slog.New(slog.NewTextHandler(&log, nil))
	rig.server.FailNext("POST /projects/*/repository/commits", 2, gitlabtest.Refused(403, map[string]string{"message": "403 Forbidden - You are not allowed to push into this branch"}))
	rig.suggest(rig.suggestion("Dockerfile"))
	rig.suggest(rig.suggestion("Dockerfile"))
	if n := strings.Count(log.String(), "no build file is offered"); n != 1 || len(rig.offers()) != 0 {
		t.Errorf("told %d times, %d offers:\n%s", n, len(rig.offers()), log.String())
	}
}

// A crash at any step leaves one branch and one merge request in the end.
func TestOnboardOnce(t *testing.T) {
	lost := func(pattern string) func(*noteRig) {
		return func(r *noteRig) { r.server.FailNext(pattern, 1, gitlabtest.LostAnswer()) }
	}
	tests := map[string]func(*noteRig){
		"the branch's answer is lost":        lost("POST /projects/*/repository/commits"),
		"the merge request's answer is lost": lost("POST /projects/*/merge_requests"),
		"crash before the branch":            func(r *noteRig) { r.memory.Crash = "gitlab:onboard/" },
		"crash after the merge request":      func(r *noteRig) { r.memory.Crash, r.memory.After = "gitlab:onboard/", 1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			rig := newNoteRig(t)
			change(rig)
			if err := rig.onboard(t.Context(), rig.suggestion("Dockerfile")); err == nil {
				t.Fatal("no error")
			} else if rig.memory.Crash != "" && !errors.Is(err, forgetest.ErrCrash) {
				t.Fatal(err)
			}
			rig.memory.Crash = ""
			rig.suggest(rig.suggestion("Dockerfile"))
			if n := len(rig.offers()); n != 1 {
				t.Errorf("%d offers", n)
			}
		})
	}
}
