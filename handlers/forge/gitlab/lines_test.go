package gitlab

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

const threadPosts = "POST /projects/*/merge_requests/*/discussions"

func (r *reportRig) failing(line int, change func(*builder.Failure)) builder.Report {
	return r.build(builder.Failed, func(b *builder.Record) {
		b.Failure.Line = line
		if change != nil {
			change(b.Failure)
		}
	})
}

func wantThreads(t *testing.T, rig *reportRig, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, rig.threads()); diff != "" {
		t.Errorf("threads (-want +got):\n%s", diff)
	}
}

// A failure is a thread at its line, which is resolved when it is mended.
func TestLines(t *testing.T) {
	rig := newReportRig(t)
	rig.tell(rig.failing(3, nil))
	rig.tell(rig.failing(3, nil))
	wantThreads(t, rig, "Dockerfile:3 open 1")
	wantParts(t, lastNote(rig.discussions()[0]), "The build of `api` fails here", "RUN make exited with 2", "make: *** [all] Error 2", "https://builds.example.com/builds/01JZK8Q3M5V7W9XA")
	if n := len(rig.project.CommitNotes(rig.commit)); n != 0 {
		t.Errorf("%d comments on the commit beside", n)
	}
	if _, err := rig.merge.Reply("ada", rig.discussions()[0].ID, "On it."); err != nil {
		t.Fatal(err)
	}

	rig.push(map[string]string{"c": "1"}) // the same at another commit: nothing new
	rig.tell(rig.failing(3, nil))
	wantThreads(t, rig, "Dockerfile:3 open 2")

	rig.push(map[string]string{"c": "2"})
	rig.tell(rig.failing(2, func(f *builder.Failure) { f.Message = "b is not there" }))
	wantThreads(t, rig, "Dockerfile:3 resolved 3", "Dockerfile:2 open 1")
	wantParts(t, lastNote(rig.discussions()[0]), rig.commit[:8], "fails in another way")

	rig.push(map[string]string{"c": "3"})
	rig.tell(rig.build(builder.Cancelled, nil)) // says nothing about the line
	wantThreads(t, rig, "Dockerfile:3 resolved 3", "Dockerfile:2 open 1")
	for range 2 {
		rig.tell(rig.build(builder.Promoted, nil))
	}
	wantThreads(t, rig, "Dockerfile:3 resolved 3", "Dockerfile:2 resolved 2")
	wantParts(t, lastNote(rig.discussions()[1]), "`api` builds since", rig.commit[:8])
}

// Lines that the merge request does not change are named by both numbers, and
// files that it does not touch by a thread without a place.
func TestLinesPlace(t *testing.T) {
	cases := map[string]struct {
		line int
		file string
		want string
	}{
		"added":            {3, "Dockerfile", "Dockerfile:3 open 1"},
		"unchanged":        {1, "Dockerfile", "Dockerfile:1 open 1"},
		"unchanged, moved": {4, "Dockerfile", "Dockerfile:4 open 1"},
		"beyond the file":  {99, "Dockerfile", ":0 open 1"},
		"file not changed": {1, config.BuildFileName, ":0 open 1"},
		"new file":         {1, "a", "a:1 open 1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rig := newReportRig(t)
			rig.tell(rig.failing(c.line, func(f *builder.Failure) { f.File = c.file }))
			wantThreads(t, rig, c.want)
			wantParts(t, lastNote(rig.discussions()[0]), fmt.Sprintf("%s:%d", c.file, c.line), "/-/blob/"+rig.commit+"/"+c.file+fmt.Sprintf("#L%d", c.line))
			rig.seq++
			rig.tell(rig.build(builder.Succeeded, nil))
			wantThreads(t, rig, strings.Replace(c.want, "open 1", "resolved 2", 1))
		})
	}
}

func TestLinesOfBuildFile(t *testing.T) {
	rig := newReportRig(t)
	rig.push(map[string]string{config.BuildFileName: "version: 1\nimages:\n  - imge: api\n"})
	invalid := builder.Decision{Invalid: []config.Diagnostic{{File: config.BuildFileName, Line: 3, Col: 5, Message: `unknown key "imge"`}}}
	rig.tell(rig.all(builder.StatusError, "x", invalid))
	rig.tell(rig.ofMerge(rig.all(builder.StatusError, "x", invalid))) // the merge request's own event
	wantThreads(t, rig, config.BuildFileName+":3 open 1")
	rig.tell(rig.all(builder.StatusSuccess, "overtaken", builder.Decision{Reasons: []builder.Reason{{Message: "overtaken"}}}))
	rig.push(map[string]string{config.BuildFileName: "version: 1\nimages:\n  - name: api\n"})
	rig.tell(rig.ofMerge(rig.all(builder.StatusPending, "1 image to go", builder.Decision{Builds: []builder.Build{{Image: "api"}}})))
	wantThreads(t, rig, config.BuildFileName+":3 resolved 2")
	wantParts(t, lastNote(rig.discussions()[0]), "is valid since", rig.commit[:8])
}

// Whatever a build prints, we order nothing at GitLab and call nobody.
func TestLinesAreHarmless(t *testing.T) {
	rig := newReportRig(t)
	rig.tell(rig.failing(3, func(f *builder.Failure) {
		f.Message = "/close\n/merge @ada"
		f.Excerpt = "```\n/approve\n/close\n"
		f.Output = "```\n/merge\n````\n/close\r\n\r/approve\n/label ~x\n"
	}))
	if s := rig.merge.State(); s.State != "opened" {
		t.Errorf("the merge request is %s", s.State)
	}
	if a := rig.merge.QuickActions(); len(a) != 0 {
		t.Errorf("quick actions: %+v", a)
	}
	body := lastNote(rig.discussions()[0])
	for _, line := range strings.Split(body, "\n") {
		if strings.HasPrefix(line, "/") {
			t.Errorf("line %q in\n%s", line, body)
		}
	}
}

func TestLinesOutsideMergeRequests(t *testing.T) {
	for name, ref := range map[string]string{"branch": "refs/heads/topic", "tag": "refs/tags/v1"} {
		t.Run(name, func(t *testing.T) {
			rig := newBareRig(t)
			rig.push(map[string]string{"Dockerfile": topicDockerfile})
			if err := rig.project.Tag("ada", "v1", "topic", ""); err != nil {
				t.Fatal(err)
			}
			at := func(line int) builder.Report {
				return rig.build(builder.Failed, func(b *builder.Record) { b.Ref, b.Failure.Line = ref, line })
			}
			for range 2 {
				rig.tell(at(3))
			}
			rig.seq++
			rig.tell(at(3)) // built again, the same
			notes := rig.project.CommitNotes(rig.commit)
			if len(notes) != 1 || notes[0].Path != "Dockerfile" || notes[0].Line != 3 {
				t.Fatalf("%d comments: %+v", len(notes), notes)
			}
			wantParts(t, notes[0].Body, "The build of `api` fails here", "Dockerfile:3", rig.commit[:8])
			rig.seq++
			rig.tell(at(1))
			if n := len(rig.project.CommitNotes(rig.commit)); n != 2 {
				t.Errorf("%d comments, want one for each failure", n)
			}
		})
	}
}

// TestLinesOnce lets a process die, or an answer be lost, at every point.
func TestLinesOnce(t *testing.T) {
	cases := map[string]func(*reportRig){
		"answer lost":         func(r *reportRig) { r.server.FailNext(threadPosts, 1, gitlabtest.LostAnswer()) },
		"never arrived":       func(r *reportRig) { r.server.FailNext(threadPosts, 1, gitlabtest.Dropped()) },
		"crash before making": func(r *reportRig) { r.memory.Crash = "gitlab:lines/" },
		"crash after making":  func(r *reportRig) { r.memory.Crash, r.memory.After = "gitlab:lines/", 1 },
		"comment, answer lost": func(r *reportRig) {
			r.server.FailNext("POST /projects/*/repository/commits/*/comments", 1, gitlabtest.LostAnswer())
		},
		"comment, crash before": func(r *reportRig) { r.memory.Crash = "comment/" },
		"comment, crash after":  func(r *reportRig) { r.memory.Crash, r.memory.After = "comment/", 1 },
	}
	for name, breakIt := range cases {
		t.Run(name, func(t *testing.T) {
			comment := strings.HasPrefix(name, "comment")
			rig := newReportRig(t)
			if comment {
				if err := rig.merge.Close("ada"); err != nil {
					t.Fatal(err)
				}
			}
			breakIt(rig)
			report := rig.failing(3, nil)
			if err := rig.Report(t.Context(), report); err == nil {
				t.Fatal("no error")
			}
			rig.memory.Crash = ""
			for range 2 {
				rig.tell(report)
			}
			if comment {
				if n := len(rig.project.CommitNotes(rig.commit)); n != 1 {
					t.Errorf("%d comments", n)
				}
				return
			}
			if n := len(rig.threads()); n != 1 {
				t.Fatalf("%d threads", n)
			}
			rig.push(map[string]string{"c": "1"})
			rig.memory.Crash = "gitlab:lines/" // of resolving
			if err := rig.Report(t.Context(), rig.build(builder.Succeeded, nil)); err == nil {
				t.Fatal("no error")
			}
			rig.memory.Crash = ""
			rig.tell(rig.build(builder.Succeeded, nil))
			if d := rig.discussions()[0]; !d.Resolved || len(d.Notes) != 2 {
				t.Errorf("%+v", d)
			}
		})
	}
}

// What people did with a thread is theirs.
func TestLinesLeavePeopleAlone(t *testing.T) {
	t.Run("resolved by hand", func(t *testing.T) {
		rig := newReportRig(t)
		rig.tell(rig.failing(3, nil))
		if err := rig.merge.Resolve("ada", rig.discussions()[0].ID, true); err != nil {
			t.Fatal(err)
		}
		rig.tell(rig.failing(3, nil))
		rig.seq++
		rig.tell(rig.build(builder.Succeeded, nil))
		wantThreads(t, rig, "Dockerfile:3 resolved 1")
	})
	t.Run("deleted", func(t *testing.T) {
		rig := newReportRig(t)
		rig.tell(rig.failing(3, nil))
		if err := rig.project.DeleteNote(rig.discussions()[0].Notes[0].ID); err != nil {
			t.Fatal(err)
		}
		rig.seq++
		rig.tell(rig.failing(3, nil)) // the same: who deleted it knows
		wantThreads(t, rig)
		rig.seq++
		rig.tell(rig.build(builder.Succeeded, nil))
		wantThreads(t, rig)
		rig.seq++
		rig.tell(rig.failing(3, nil)) // a new failure
		wantThreads(t, rig, "Dockerfile:3 open 1")
	})
	t.Run("merge request closed", func(t *testing.T) {
		rig := newReportRig(t)
		if err := rig.merge.Close("ada"); err != nil {
			t.Fatal(err)
		}
		rig.tell(rig.ofMerge(rig.failing(3, nil)))
		wantThreads(t, rig)
	})
}

// A failure of a commit that is not the head any more is nobody's concern.
func TestLinesOfOlderCommits(t *testing.T) {
	rig := newReportRig(t)
	old := rig.failing(3, nil)
	oldCommit := rig.commit
	rig.push(map[string]string{"c": "1"})
	rig.tell(old)
	wantThreads(t, rig)
	if n := len(rig.project.CommitNotes(oldCommit)); n != 0 {
		t.Errorf("%d comments", n)
	}

	late := rig.failing(3, nil) // GitLab has not told the merge request of the push
	late.Commit, late.Record.Commit, late.Event.Before = strings.Repeat("ab", 20), strings.Repeat("ab", 20), rig.commit
	late.Event.AcceptedAt = rig.clock.now()
	if err := rig.reportLines(t.Context(), late); err == nil {
		t.Error("not put off")
	}
	rig.clock.pass(headLag + time.Second)
	if err := rig.reportLines(t.Context(), late); err != nil {
		t.Error(err)
	}
	wantThreads(t, rig)
}

// An older report never undoes a newer one.
func TestLinesOrder(t *testing.T) {
	rig := newReportRig(t)
	good := rig.build(builder.Succeeded, nil)
	rig.push(map[string]string{"c": "1"})
	rig.tell(rig.failing(3, nil))
	rig.tell(good)
	wantThreads(t, rig, "Dockerfile:3 open 1")
}

func TestLinesFork(t *testing.T) {
	rig, _, of := forkRig(t)
	rig.tell(of(rig.failing(3, nil)))
	wantThreads(t, rig, "Dockerfile:3 open 1")
	rig.seq++
	rig.tell(of(rig.build(builder.Succeeded, nil)))
	wantThreads(t, rig, "Dockerfile:3 resolved 2")
}

// A branch may be the source of several merge requests.
func TestLinesSeveralMergeRequests(t *testing.T) {
	rig := newReportRig(t)
	if _, err := rig.project.Push(gitlabtest.Push{User: "ada", Branch: "release", From: "main", Files: map[string]string{"r": "1"}}); err != nil {
		t.Fatal(err)
	}
	other, err := rig.project.OpenMerge(gitlabtest.MergeOptions{User: "ada", Source: "topic", Target: "release"})
	if err != nil {
		t.Fatal(err)
	}
	rig.tell(rig.failing(3, nil))
	wantThreads(t, rig, "Dockerfile:3 open 1")
	rig.seq++
	rig.tell(rig.build(builder.Succeeded, nil))
	wantThreads(t, rig, "Dockerfile:3 resolved 2")
	rig.merge = other
	wantThreads(t, rig, "Dockerfile:3 resolved 2")
}

// What GitLab does not let us write holds up nothing for ever.
func TestLinesRefused(t *testing.T) {
	rig := newReportRig(t)
	rig.server.FailNext(threadPosts, 9, gitlabtest.Refused(http.StatusForbidden, map[string]string{"message": "403 Forbidden"}))
	report := rig.failing(3, nil)
	rig.tellLater(report)
	if s, _ := rig.project.StatusOf(rig.commit, imageStatus); s.State != "failed" {
		t.Errorf("the status says %s", s.State)
	}
	rig.clock.pass(3 * time.Minute)
	rig.tell(report)
	wantThreads(t, rig)
}

// Why a thread is resolved is said once, however often resolving it is tried.
func TestLinesResolveRefused(t *testing.T) {
	rig := newReportRig(t)
	rig.tell(rig.failing(3, nil))
	rig.push(map[string]string{"c": "1"})
	rig.server.FailNext("PUT /projects/*/merge_requests/*/discussions/*", 2, gitlabtest.Refused(http.StatusForbidden, map[string]string{"message": "403 Forbidden"}))
	report := rig.build(builder.Succeeded, nil)
	for range 2 {
		rig.clock.pass(rig.tellLater(report))
	}
	rig.tell(report)
	wantThreads(t, rig, "Dockerfile:3 resolved 2")
}

// A build that is fine asks GitLab for nothing but its statuses.
func TestLinesOfGoodBuilds(t *testing.T) {
	rig := newReportRig(t)
	if err := rig.reportLines(t.Context(), rig.build(builder.Succeeded, nil)); err != nil {
		t.Fatal(err)
	}
	if n := len(rig.server.Requests("")); n != 0 {
		t.Errorf("%d requests", n)
	}
}
