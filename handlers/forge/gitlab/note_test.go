package gitlab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

const notePosts = "POST /projects/*/merge_requests/*/notes"

// noteRig is a Forge with a project that has an open merge request, and a
// person there.
type noteRig struct {
	*Forge
	t       *testing.T
	server  *gitlabtest.Server
	project *gitlabtest.Project
	memory  *noteMemory
	clock   *noteClock
	ada     *gitlab.Client // a maintainer
	id      int
	head    string // of the merge request
	pull    int
}

func newNoteRig(t *testing.T, change ...func(*gitlabtest.Options)) *noteRig {
	t.Helper()
	s := gitlabtest.New(t, change...)
	p, err := s.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	if err != nil {
		t.Fatal(err)
	}
	s.AddUser("ada")
	p.SetMember("ada", gitlabtest.Maintainer)
	rig := &noteRig{t: t, server: s, project: p, id: int(p.ID())}
	rig.Forge, rig.memory, rig.clock = noteForge(t, s.URL, p.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Maintainer}).Value)
	if rig.ada, err = gitlab.NewClient(s.PersonalToken("ada", gitlabtest.TokenOptions{}).Value, gitlab.WithBaseURL(s.API), gitlab.WithoutRetries()); err != nil {
		t.Fatal(err)
	}
	if rig.head, err = p.Push(gitlabtest.Push{User: "ada", Branch: "feature", Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	rig.pull = rig.open("feature", "main")
	return rig
}

// open opens a merge request, as ada.
func (r *noteRig) open(from, into string) int {
	r.t.Helper()
	m, _, err := r.ada.MergeRequests.CreateMergeRequest(r.id, &gitlab.CreateMergeRequestOptions{Title: gitlab.Ptr("A change"), SourceBranch: &from, TargetBranch: &into})
	if err != nil {
		r.t.Fatal(err)
	}
	return m.IID
}

// record is the project as events name it.
func (r *noteRig) record() builder.Repository {
	return builder.Repository{Forge: "gitlab", ID: fmt.Sprint(r.id), Owner: "acme/platform", Name: "shop", DefaultBranch: "main"}
}

func (r *noteRig) thread(remarks ...builder.Remark) builder.Thread {
	return builder.Thread{Repository: r.record(), Pull: r.pull, Remarks: remarks, Shown: len(remarks) > 1}
}

func (r *noteRig) show(t builder.Thread) {
	r.t.Helper()
	if err := r.Show(r.t.Context(), t); err != nil {
		r.t.Fatal(err)
	}
}

// build is a report of a build of the merge request.
func (r *noteRig) build(image string, seq int64, at int, state builder.State) builder.Report {
	report := noteReport(image, seq, at, state, func(b *builder.Record) {
		b.Repository, b.Commit, b.Pull, b.Ref = r.record(), r.head, &builder.Pull{Number: r.pull, Head: r.head}, builder.PullRef(r.pull)
	})
	return report
}

func (r *noteRig) tell(report builder.Report) {
	r.t.Helper()
	if err := r.noteBuild(r.t.Context(), report); err != nil {
		r.t.Fatalf("%s: %v", report.Description, err)
	}
}

// notes are what people wrote on the merge request, and what we did.
func (r *noteRig) notes(pull int) []*gitlab.Note {
	r.t.Helper()
	list, _, err := r.ada.Notes.ListMergeRequestNotes(r.id, pull, &gitlab.ListMergeRequestNotesOptions{ListOptions: gitlab.ListOptions{PerPage: 100}, Sort: gitlab.Ptr("asc")})
	if err != nil {
		r.t.Fatal(err)
	}
	var out []*gitlab.Note
	for _, n := range list {
		if !n.System {
			out = append(out, n)
		}
	}
	return out
}

func (r *noteRig) onlyNote() *gitlab.Note {
	r.t.Helper()
	all := r.notes(r.pull)
	if len(all) != 1 {
		r.t.Fatalf("%d notes, want 1", len(all))
	}
	return all[0]
}

// write writes a note as ada.
func (r *noteRig) write(text string) *gitlab.Note {
	r.t.Helper()
	n, _, err := r.ada.Notes.CreateMergeRequestNote(r.id, r.pull, &gitlab.CreateMergeRequestNoteOptions{Body: &text})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

var (
	noteFork = builder.Remark{Topic: builder.TopicFork, Text: "This comes from a fork:\n\n```\n/ok-to-build abc\n```", Seq: 9}
	noteWhy  = builder.Remark{Topic: "e1", Command: "/why", By: "ada", Text: "no rule matches; ask @bob\n/close", Seq: 3}
	noteHelp = builder.Remark{Topic: "e2", Command: "/help `x`", By: "grace", Text: "| a | b |\n|---|---|\n| `/build` | @x |", Seq: 4}
)

func TestShow(t *testing.T) {
	rig := newNoteRig(t)
	rig.show(rig.thread())
	if n := len(rig.notes(rig.pull)); n != 0 {
		t.Fatalf("%d notes for nothing", n)
	}
	rig.show(rig.thread(noteFork))
	first := rig.onlyNote()
	rig.show(rig.thread(noteFork, noteWhy))
	want := markdown.Marker + "\n\nThis comes from a fork:\n\n```\n /ok-to-build abc\n```\n\n---\n\n> `/why` by `@ada`\n\nno rule matches; ask @\u200bbob\n /close"
	if got := rig.onlyNote(); got.ID != first.ID || strings.TrimSpace(got.Body) != want {
		t.Errorf("note %d, was %d (-want +got):\n%s", got.ID, first.ID, cmp.Diff(want, got.Body))
	}
	before := len(rig.server.Requests(""))
	rig.show(rig.thread(noteFork, noteWhy))
	if n := len(rig.server.Requests("")) - before; n != 0 {
		t.Errorf("%d requests to say the same again", n)
	}
	empty := rig.thread()
	empty.Shown = true
	rig.show(empty)
	if got := rig.onlyNote(); strings.Contains(got.Body, "/ok-to-build") {
		t.Errorf("the fork's notice is still there:\n%s", got.Body)
	}
	if m, _, err := rig.ada.MergeRequests.GetMergeRequest(rig.id, rig.pull, nil); err != nil || m.State != "opened" {
		t.Errorf("the merge request is %s (%v)", m.State, err)
	}
}

func TestShowFindsItsNote(t *testing.T) {
	t.Run("deleted", func(t *testing.T) {
		rig := newNoteRig(t)
		rig.show(rig.thread(noteWhy))
		first := rig.onlyNote()
		if _, err := rig.ada.Notes.DeleteMergeRequestNote(rig.id, rig.pull, first.ID); err != nil {
			t.Fatal(err)
		}
		rig.show(rig.thread(noteWhy, noteHelp))
		if got := rig.onlyNote(); got.ID == first.ID || !strings.Contains(got.Body, "/help") {
			t.Errorf("note %d:\n%s", got.ID, got.Body)
		}
	})
	t.Run("answer lost", func(t *testing.T) {
		rig := newNoteRig(t)
		rig.server.FailNext(notePosts, 1, gitlabtest.LostAnswer())
		if err := rig.Show(t.Context(), rig.thread(noteWhy)); err == nil {
			t.Fatal("no error")
		}
		rig.show(rig.thread(noteWhy))
		rig.onlyNote()
	})
	t.Run("crash after making it", func(t *testing.T) {
		rig := newNoteRig(t)
		rig.memory.crash = "note/"
		if err := rig.Show(t.Context(), rig.thread(noteWhy)); !errors.Is(err, errNoteCrash) {
			t.Fatal(err)
		}
		rig.memory.crash = ""
		rig.show(rig.thread(noteWhy, noteHelp))
		if got := rig.onlyNote(); !strings.Contains(got.Body, "/help") {
			t.Errorf("%s", got.Body)
		}
	})
	t.Run("somebody else's marker", func(t *testing.T) {
		rig := newNoteRig(t, func(o *gitlabtest.Options) { o.NotesPerMinute = -1 })
		for range 101 { // more than a page
			rig.write(markdown.Marker + "\n\nnot yours")
		}
		rig.show(rig.thread(noteWhy))
		rig.memory.forget()
		rig.show(rig.thread(noteWhy, noteHelp))
		mine := 0
		for page := 1; page <= 2; page++ {
			list, _, err := rig.ada.Notes.ListMergeRequestNotes(rig.id, rig.pull, &gitlab.ListMergeRequestNotesOptions{ListOptions: gitlab.ListOptions{PerPage: 100, Page: page}})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				if n.Author.Username != "ada" && !n.System {
					mine++
					if !strings.Contains(n.Body, "/help") {
						t.Errorf("it says:\n%s", n.Body)
					}
				}
			}
		}
		if mine != 1 {
			t.Errorf("%d notes of ours", mine)
		}
	})
	t.Run("not let in", func(t *testing.T) {
		rig := newNoteRig(t)
		rig.server.FailNext(notePosts, 1, gitlabtest.Refused(403, map[string]string{"message": "403 Forbidden"}))
		var later builder.Later
		if err := rig.Show(t.Context(), rig.thread(noteWhy)); !errors.As(err, &later) {
			t.Fatalf("error %v, want builder.Later", err)
		}
		rig.server.FailNext(notePosts, 1, gitlabtest.Refused(403, map[string]string{"message": "403 Forbidden"}))
		rig.clock.pass(3 * time.Minute)
		rig.show(rig.thread(noteWhy))
	})
	t.Run("no project of GitLab's", func(t *testing.T) {
		rig := newNoteRig(t)
		thread := rig.thread(noteWhy)
		thread.Repository.ID = "x"
		rig.show(thread)
	})
}

func TestShowOnCommit(t *testing.T) {
	rig := newNoteRig(t)
	thread := builder.Thread{Repository: rig.record(), Commit: rig.head, Remarks: []builder.Remark{noteWhy}}
	said := func() []string {
		t.Helper()
		list, _, err := rig.ada.Discussions.ListCommitDiscussions(rig.id, rig.head, nil)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, d := range list {
			for _, n := range d.Notes {
				all = append(all, n.Body)
			}
		}
		return all
	}
	rig.show(thread)
	rig.show(thread)
	thread.Remarks = append(thread.Remarks, noteHelp)
	rig.show(thread)
	if all := said(); len(all) != 1 || !strings.Contains(all[0], "/why") || !strings.Contains(all[0], "/help") {
		t.Errorf("%d notes: %q", len(all), all)
	}
	rig.memory.forget()
	thread.Remarks = append(thread.Remarks, builder.Remark{Topic: "e3", Text: "the third", Seq: 5})
	rig.show(thread)
	if all := said(); len(all) != 1 || !strings.Contains(all[0], "the third") {
		t.Errorf("%d notes: %q", len(all), all)
	}
}

func TestReact(t *testing.T) {
	rig := newNoteRig(t)
	asked := rig.write("/why")
	react := func(c builder.Command, refused bool) {
		t.Helper()
		if err := rig.React(t.Context(), rig.record(), c, refused); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	command := builder.Command{Source: builder.FromComment, Pull: rig.pull, Comment: fmt.Sprint(asked.ID)}
	react(command, false)
	react(command, false)
	react(command, true)
	awards, _, err := rig.ada.AwardEmoji.ListMergeRequestAwardEmojiOnNote(rig.id, rig.pull, asked.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range awards {
		got = append(got, a.Name)
	}
	if diff := cmp.Diff([]string{"thumbsup", "confused"}, got); diff != "" {
		t.Errorf("emoji (-want +got):\n%s", diff)
	}
	command.Comment = "1"
	react(command, false) // deleted
	react(builder.Command{Comment: "5"}, false)
	react(builder.Command{Pull: rig.pull}, false)
}

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
			rig.memory.crash, rig.memory.after = "gitlab:note/", 0
			if err := rig.noteBuild(t.Context(), report); !errors.Is(err, errNoteCrash) {
				t.Fatalf("%s: %v", report.Description, err)
			}
			rig.memory.crash = ""
			rig.tell(report)
			rig.tell(report)
		}
	}
	if body := rig.onlyNote().Body; strings.Count(body, "❌ failed") != 2 {
		t.Errorf("note:\n%s", body)
	}
}
