package gitlab

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
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
	memory  *forgetest.Memory
	clock   *noteClock
	//lint:ignore SA1019 see connect
	ada  *gitlab.Client // a maintainer
	id   int
	head string // of the merge request
	pull int
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
	//lint:ignore SA1019 see connect
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
		rig.memory.Crash = "note/"
		if err := rig.Show(t.Context(), rig.thread(noteWhy)); !errors.Is(err, forgetest.ErrCrash) {
			t.Fatal(err)
		}
		rig.memory.Crash = ""
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
		rig.memory.Forget()
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
	rig.memory.Forget()
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
