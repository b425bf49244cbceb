package gitlab

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// A note holds what both say, whoever comes first, and is changed for progress
// now and then.
func TestNoteOfBuilds(t *testing.T) {
	rig := newNoteRig(t)
	rig.tell(rig.build("api", 5, 1, builder.Queued))
	first := rig.onlyNote()
	rig.show(rig.thread(noteWhy))
	rig.tell(rig.build("api", 5, 2, builder.Running))
	contains := func(want ...string) {
		t.Helper()
		got := rig.onlyNote()
		for _, w := range want {
			if got.ID != first.ID || !strings.Contains(got.Body, w) {
				t.Fatalf("note %d, was %d, lacks %q:\n%s", got.ID, first.ID, w, got.Body)
			}
		}
	}
	contains("| `api` | 🔨 building |", "> `/why`", rig.server.URL+"/acme/platform/shop/-/commit/"+rig.head)
	at := 2
	progress := func(image, step string) error {
		at++
		r := rig.build(image, 5, at, builder.Running)
		r.Description = step
		return rig.noteBuild(t.Context(), r)
	}
	var later builder.Later
	if err := progress("api", "step 2 of 9"); !errors.As(err, &later) || later.Wait > noteEvery || later.Wait < noteEvery-2*time.Second {
		t.Fatalf("error %v, want builder.Later of 10 s", err)
	}
	rig.tell(rig.build("web", 5, 1, builder.Queued)) // tells of both
	contains("step 2 of 9", "| `web` | ⏳ queued |")
	rig.clock.pass(noteEvery)
	if err := progress("api", "step 3 of 9"); err != nil {
		t.Fatal(err)
	}
	contains("step 3 of 9")
	if err := progress("api", "step 4 of 9"); !errors.As(err, &later) {
		t.Fatal(err)
	}
	rig.tell(rig.build("api", 5, at+1, builder.Succeeded)) // an end does not wait
	contains("| `api` | ✅ built |", "> `/why`")
	if n := len(rig.server.Requests(notePosts)); n != 1 {
		t.Errorf("%d notes were made", n)
	}
}

// The table is of the newest head: a push takes its place, and what is built
// of an older commit once more does not.
func TestNoteOfTheNewestHead(t *testing.T) {
	rig := newNoteRig(t)
	rig.tell(rig.build("api", 5, 1, builder.Failed))
	old := rig.head
	var err error
	if rig.head, err = rig.project.Push(gitlabtest.Push{User: "ada", Branch: "feature", Files: map[string]string{"c": "d"}}); err != nil {
		t.Fatal(err)
	}
	asked := rig.build("web", 6, 1, builder.Queued)
	asked.Event = &builder.Event{Kind: builder.Commanded, Commit: rig.head, Command: &builder.Command{Pull: rig.pull}}
	rig.tell(asked)
	if got := rig.onlyNote(); !strings.Contains(got.Body, rig.head) || !strings.Contains(got.Body, "`web`") || strings.Contains(got.Body, "`api`") {
		t.Errorf("the newest commit has no table:\n%s", got.Body)
	}
	again := rig.build("api", 7, 1, builder.Queued)
	again.Commit, again.Event = old, &builder.Event{Kind: builder.Requested, Commit: old}
	rig.tell(again)
	if got := rig.onlyNote(); strings.Contains(got.Body, "`api`") {
		t.Errorf("an older commit has the table:\n%s", got.Body)
	}
	late := noteReport("api", 5, 9, builder.Succeeded, nil)
	late.Repository, late.Commit, late.Event.Pull = rig.record(), old, &builder.Pull{Number: rig.pull, Head: old}
	rig.tell(late)
	if got := rig.onlyNote(); strings.Contains(got.Body, "`api`") {
		t.Errorf("late news of an older commit:\n%s", got.Body)
	}
}

// A branch that is built by itself shows in its merge requests; other
// branches and tags ask for nothing twice.
func TestNoteOfABranch(t *testing.T) {
	rig := newNoteRig(t)
	if _, err := rig.project.Push(gitlabtest.Push{User: "ada", Branch: "release", Files: map[string]string{"r": "r"}}); err != nil {
		t.Fatal(err)
	}
	second := rig.open("feature", "release")
	pushed := func(state builder.State, at int, ref, commit string) builder.Report {
		r := rig.build("api", 5, at, state)
		r.Ref, r.Commit, r.Record.Ref, r.Record.Pull, r.Record.Commit = ref, commit, ref, nil, commit
		r.Event = &builder.Event{Kind: builder.BranchPushed, Ref: ref, Commit: commit}
		return r
	}
	rig.tell(pushed(builder.Queued, 1, "refs/heads/feature", rig.head))
	rig.tell(pushed(builder.Running, 2, "refs/heads/feature", rig.head))
	for _, pull := range []int{rig.pull, second} {
		if all := rig.notes(pull); len(all) != 1 || !strings.Contains(all[0].Body, "🔨 building") {
			t.Errorf("merge request %d has %d notes", pull, len(all))
		}
	}
	const lists = "GET /projects/*/merge_requests"
	if n := len(rig.server.Requests(lists)); n != 1 {
		t.Errorf("merge requests were listed %d times", n)
	}
	older := pushed(builder.Queued, 3, "refs/heads/feature", rig.head)
	older.Newest = false
	rig.tell(older)
	rig.tell(pushed(builder.Queued, 4, "refs/heads/feature", noteOlder)) // not its head
	if all := rig.notes(rig.pull); len(all) != 1 || !strings.Contains(all[0].Body, "🔨 building") || !strings.Contains(all[0].Body, rig.head) {
		t.Errorf("what is old was told:\n%s", all[0].Body)
	}
	late := pushed(builder.Queued, 5, "refs/heads/feature", noteNewer) // GitLab has not moved the merge request yet
	late.Event.Before, late.Seq = rig.head, 6
	rig.tell(late)
	if all := rig.notes(rig.pull); len(all) != 1 || !strings.Contains(all[0].Body, noteNewer) {
		t.Errorf("the push is not told:\n%s", all[0].Body)
	}
	listed := len(rig.server.Requests(lists))
	rig.tell(pushed(builder.Queued, 1, "refs/tags/v1", rig.head))
	rig.tell(pushed(builder.Queued, 1, "refs/heads/main", rig.project.Head("main")))
	rig.tell(pushed(builder.Running, 2, "refs/heads/main", rig.project.Head("main")))
	if n := len(rig.server.Requests(lists)) - listed; n != 1 {
		t.Errorf("merge requests were listed %d times", n)
	}
}

// Two merge requests of one branch are built each, and the newer build is that
// of the commit: both tell of it.
func TestNoteOfTwoMergeRequests(t *testing.T) {
	rig := newNoteRig(t)
	rig.push("release")
	second := rig.open("feature", "release")
	build := func(pull int, seq int64, at int, state builder.State, newest bool) builder.Report {
		r := rig.build("api", seq, at, state)
		p := &builder.Pull{Number: pull, Head: rig.head, HeadBranch: "feature"}
		r.Newest, r.Record.Pull, r.Event.Pull = newest, p, p
		return r
	}
	rig.tell(build(rig.pull, 5, 1, builder.Queued, true))
	rig.tell(build(second, 6, 2, builder.Running, true))
	rig.tell(build(rig.pull, 5, 3, builder.Superseded, false))
	rig.tell(build(second, 6, 4, builder.Succeeded, true))
	for _, pull := range []int{rig.pull, second} {
		if all := rig.notes(pull); len(all) != 1 || !strings.Contains(all[0].Body, "✅ built") {
			t.Errorf("merge request %d: %d notes", pull, len(all))
		}
	}
}

// Whatever the order of reports, however often they come and from how many
// processes, there is one note and it has the ends.
func TestNoteFromTwoProcesses(t *testing.T) {
	rig := newNoteRig(t)
	other, err := New(rig.Options)
	if err != nil {
		t.Fatal(err)
	}
	var reports []builder.Report
	for i, image := range []string{"api", "web", "docs"} {
		for j, state := range []builder.State{builder.Queued, builder.Running, builder.Succeeded} {
			reports = append(reports, rig.build(image, 5, 10*i+j, state))
		}
	}
	limit, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var all sync.WaitGroup
	for n, f := range []*Forge{rig.Forge, other, rig.Forge, other} {
		all.Go(func() {
			for i := range reports {
				r := reports[(i*(n+2)+n)%len(reports)]
				for {
					err := f.noteBuild(t.Context(), r)
					var later builder.Later
					if err == nil || errors.As(err, &later) && later.Wait > time.Second { // progress
						break
					}
					if !errors.As(err, &later) {
						t.Errorf("%s: %v", r.Description, err)
						return
					}
					select {
					case <-tick.C:
					case <-limit.Done():
						t.Errorf("%s: %v", r.Description, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if body := rig.onlyNote().Body; strings.Count(body, "✅ built") != 3 {
		t.Errorf("note:\n%s", body)
	}
}

// A crash after any change of the note leaves one note, and the ends in it.
func TestNoteAfterCrashes(t *testing.T) {
	rig := newNoteRig(t)
	for i, state := range []builder.State{builder.Queued, builder.Running, builder.Failed} {
		for j, image := range []string{"api", "web"} {
			report := rig.build(image, 5, 10*i+j, state)
			rig.memory.Crash, rig.memory.After = "gitlab:note/", 0
			if err := rig.noteBuild(t.Context(), report); !errors.Is(err, forgetest.ErrCrash) {
				t.Fatalf("%s: %v", report.Description, err)
			}
			rig.memory.Crash = ""
			rig.tell(report)
			rig.tell(report)
		}
	}
	if body := rig.onlyNote().Body; strings.Count(body, "❌ failed") != 2 {
		t.Errorf("note:\n%s", body)
	}
}
