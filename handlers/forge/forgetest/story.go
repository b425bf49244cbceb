package forgetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source"
	"github.com/registry-build/registry-build/handlers/forge"
)

// World is a forge with people at it, and the adapter under test: our own git
// remote, or the double of somebody's server. Its methods fail the test by
// themselves. Reviewer, Shower and Loser are what a World may have beside.
type World interface {
	Adapter() any
	// Repository is a private one, with Main on branch main.
	Repository() builder.Repository
	// Push commits a file to a branch, new or not, and returns the commit.
	Push(branch, file, text string) (commit string)
	// Tag puts a tag with a message on a commit, Delete removes any ref.
	Tag(name, commit string)
	Delete(ref string)
	// Next waits for the next n events.
	Next(t *testing.T, n int) []builder.Event
}

// Main is what branch main holds when a story begins.
const Main = "version: 1\n"

// BuildFile is where it holds it.
const BuildFile = ".registry-build.yml"

// People of a World with pull requests.
const (
	Writer = "ada" // can push
	Nobody = "eve" // has an account
)

// Reviewer is a World with pull requests.
type Reviewer interface {
	OpenPull(branch string) (number int)
	Close(number int)
	Comment(number int, person, text string) (id string)
	Comments(number int) []string             // what we wrote there, oldest first
	Reactions(number int, id string) []string // to a comment
}

// Shower is a World that shows statuses.
type Shower interface {
	// Status is the newest of a context, in the words of builder.ReportState.
	Status(commit, context string) (state builder.ReportState, description string)
}

// Loser is a World whose deliveries can get lost.
type Loser interface {
	Lose(do func()) // what happens in do reaches nobody
	Look()          // has the adapter look for what it missed
}

// Traited is an adapter that says what it has.
type Traited interface{ Traits() forge.Traits }

// Story plays what every forge has to go through, as far as it says that it
// has it; what it does not say it must not have, and the other way round.
func Story(t *testing.T, w World) {
	s := story{World: w, repo: w.Repository(), traits: w.Adapter().(Traited).Traits()}
	if err := Implements(w.Adapter(), s.traits); err != nil {
		t.Error(err)
	}
	t.Run("a branch and a tag", s.life)
	t.Run("the file at the commit", s.file)
	t.Run("statuses", s.statuses)
	t.Run("a pull request", s.pull)
	t.Run("a command", s.command)
	t.Run("what got lost", s.lost)
	t.Run("the repository is gone", s.gone)
}

// Implements holds the traits against the interfaces that the adapter has.
func Implements(adapter any, traits forge.Traits) error {
	var errs []error
	has := func(trait forge.Trait, implemented bool) {
		if (traits[trait] != "") != implemented {
			errs = append(errs, fmt.Errorf("%q is %q, and that it is implemented is %v", trait, traits[trait], implemented))
		}
	}
	_, verifier := adapter.(forge.Verifier)
	_, reporter := adapter.(builder.Reporter)
	_, commenter := adapter.(builder.Commenter)
	_, asked := adapter.(builder.Forge)
	_, deployer := adapter.(builder.Deployer)
	has(forge.Proof, verifier)
	has(forge.Statuses, reporter)
	has(forge.Sticky, commenter)
	has(forge.Pulls, asked)
	has(forge.Permissions, asked)
	has(forge.Protection, asked)
	has(forge.Deployments, deployer)
	for trait := range traits {
		known := slices.ContainsFunc(forge.AllTraits(), func(known struct {
			Trait   forge.Trait
			Without string
		}) bool {
			return known.Trait == trait
		})
		if !known {
			errs = append(errs, fmt.Errorf("there is no trait %q", trait))
		}
	}
	return errors.Join(errs...)
}

type story struct {
	World
	repo   builder.Repository
	traits forge.Traits
}

// life: each event says what happened, and is chained to the one before.
func (s story) life(t *testing.T) {
	first := s.Push("dev", "a", "1")
	second := s.Push("dev", "a", "2")
	s.Tag("v1", second)
	s.Delete("refs/tags/v1")
	s.Delete("refs/heads/dev")
	want := []string{
		"branch_pushed refs/heads/dev " + first, "branch_pushed refs/heads/dev " + second, "tag_pushed refs/tags/v1 " + second,
		"tag_deleted refs/tags/v1 ", "branch_deleted refs/heads/dev ",
	}
	var got []string
	heads, ids := map[string]string{}, map[string]bool{}
	for _, e := range s.Next(t, len(want)) {
		got = append(got, fmt.Sprintf("%s %s %s", e.Kind, e.Ref, e.Commit))
		s.check(t, e)
		if ids[e.ID] {
			t.Errorf("%s: the ID of two events", e.ID)
		}
		ids[e.ID] = true
		// Where a tag with a message was before, forges tell as another object.
		if e.Before != heads[e.Ref] && e.Kind != builder.TagDeleted {
			t.Errorf("%s: before %q, the event before it said %q", e.ID, e.Before, heads[e.Ref])
		}
		heads[e.Ref] = e.Commit
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// check holds an event against what all forges promise.
func (s story) check(t *testing.T, e builder.Event) {
	t.Helper()
	e.Seq, e.AcceptedAt = 0, time.Time{} // the store's, where there is one
	if err := CheckEvent(s.repo.Forge, e); err != nil {
		t.Error(err)
	}
	if e.Repository.Key() != s.repo.Key() || e.Repository.FullName() != s.repo.FullName() {
		t.Errorf("%s is of %s (%s), want %s (%s)", e.ID, e.Repository.FullName(), e.Repository.Key(), s.repo.FullName(), s.repo.Key())
	}
}

// file: what was pushed is read where the adapter says, with the right that it
// gives, and without that right it is not.
func (s story) file(t *testing.T) {
	adapter := s.Adapter().(forge.Origin)
	commit := s.Push("main", BuildFile, Main+"# again\n")
	s.Next(t, 1)
	sources := source.New(source.Options{Dir: t.TempDir(), Origins: adapter})
	c, err := sources.Open(t.Context(), s.repo, commit)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text, err := c.ReadFile(t.Context(), BuildFile, 1000); err != nil || string(text) != Main+"# again\n" {
		t.Errorf("%s: %q, %v", BuildFile, text, err)
	}
	at, err := adapter.Origin(t.Context(), s.repo)
	if err != nil {
		t.Fatal(err)
	}
	if (at.Header != "") != (s.traits[forge.Clone] != "") {
		t.Errorf("the origin has a credential: %v, and it says %q", at.Header != "", s.traits[forge.Clone])
	}
	if at.Header == "" {
		return
	}
	at.Header = ""
	if refs, err := source.New(source.Options{Dir: t.TempDir(), Origins: fixed{at}}).Refs(t.Context(), s.repo); err == nil {
		t.Errorf("anybody reads %v", refs)
	}
}

// statuses: they come, change, come twice without harm, and go on after a
// commit that the forge does not know.
func (s story) statuses(t *testing.T) {
	reporter, ok := s.Adapter().(builder.Reporter)
	if !ok {
		return
	}
	commit := s.Push("main", "statuses", "1")
	s.Next(t, 1)
	r := builder.Report{Repository: s.repo, Ref: "refs/heads/main", Commit: commit, Context: "registry-build/api",
		EventID: s.repo.Forge + ":story", Newest: true}
	for i, step := range []struct {
		state builder.ReportState
		text  string
	}{
		{builder.StatusPending, "queued"}, {builder.StatusPending, "queued"},
		{builder.StatusFailure, "failed in line 3"}, {builder.StatusFailure, "failed in line 3"},
		{builder.StatusPending, "queued"}, {builder.StatusSuccess, "pushed v1"}, {builder.StatusSuccess, "pushed v1"},
	} {
		r.Seq, r.State, r.Description = int64(i/2+1), step.state, step.text
		r.UpdatedAt = time.Unix(int64(i), 0)
		tell(t, func() error { return reporter.Report(t.Context(), r) })
		state, text := s.World.(Shower).Status(commit, r.Context)
		if state != step.state || text != step.text {
			t.Errorf("step %d: shows %s %q, want %s %q", i, state, text, step.state, step.text)
		}
	}
	older := r
	older.Seq, older.State, older.Description = 1, builder.StatusFailure, "an older build"
	tell(t, func() error { return reporter.Report(t.Context(), older) })
	if state, text := s.World.(Shower).Status(commit, r.Context); state != builder.StatusSuccess {
		t.Errorf("an older report wins: %s %q", state, text)
	}
}

// tell does what may have to be asked again after a moment.
func tell(t *testing.T, do func() error) {
	t.Helper()
	deadline := time.Now().Add(awaitLimit)
	for {
		err := do()
		var later builder.Later
		if err == nil {
			return
		}
		if !errors.As(err, &later) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(min(later.Wait, time.Second)) // as long as it asked for: the courier's part
	}
}

// pull: opened, moved and closed, and the forge tells the same when asked.
func (s story) pull(t *testing.T) {
	asked, ok := s.Adapter().(builder.Forge)
	if !ok {
		return
	}
	people := s.World.(Reviewer)
	head := s.Push("feature", "b", "1")
	s.Next(t, 1)
	number := people.OpenPull("feature")
	opened := s.Next(t, 1)[0]
	s.isPull(t, opened, builder.PullChanged, number, head, true)
	moved := s.Push("feature", "b", "2")
	for _, e := range s.Next(t, 2) { // the branch's and the pull request's, in any order
		if e.Kind == builder.PullChanged {
			s.isPull(t, e, builder.PullChanged, number, moved, true)
		}
	}
	told, err := asked.Pull(t.Context(), s.repo, number)
	if err != nil || told.Number != number || told.Head != moved || told.HeadBranch != "feature" || told.BaseBranch != "main" || told.Fork || !told.Open {
		t.Errorf("pull request %+v, %v", told, err)
	}
	if _, err := asked.Pull(t.Context(), s.repo, number+1000); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("a pull request that is not there: %v, want ErrNotFound", err)
	}
	if w, ok := s.Adapter().(builder.Watcher); ok {
		open, err := w.OpenPulls(t.Context(), s.repo)
		if err != nil || len(open) != 1 || open[0].Number != number || open[0].Head != moved {
			t.Errorf("open pull requests %+v, %v", open, err)
		}
	}
	people.Close(number)
	s.isPull(t, s.Next(t, 1)[0], builder.PullClosed, number, moved, false)
}

func (s story) isPull(t *testing.T, e builder.Event, kind builder.EventKind, number int, head string, open bool) {
	t.Helper()
	s.check(t, e)
	if e.Kind != kind || e.Ref != builder.PullRef(number) || e.Commit != head || e.Pull == nil {
		t.Fatalf("event %+v, want %s of %d at %s", e, kind, number, head)
	}
	if p := e.Pull; p.Number != number || p.Head != head || p.HeadBranch != "feature" || p.BaseBranch != "main" || p.Fork || p.Open != open {
		t.Errorf("pull request %+v", p)
	}
}

// command: a comment is a command of somebody with a right or without, it is
// acknowledged, and answered in the one comment.
func (s story) command(t *testing.T) {
	if s.traits[forge.Sticky] == "" {
		return
	}
	people, asked, commenter := s.World.(Reviewer), s.Adapter().(builder.Forge), s.Adapter().(builder.Commenter)
	s.Push("talk", "c", "1")
	s.Next(t, 1)
	number := people.OpenPull("talk")
	s.Next(t, 1)
	id := people.Comment(number, Writer, "/rb status")
	e := s.Next(t, 1)[0]
	s.check(t, e)
	if c := e.Command; e.Kind != builder.Commanded || e.Actor != Writer || c == nil || c.Pull != number || c.Comment != id || c.Body != "/rb status" {
		t.Fatalf("event %+v with %+v", e, c)
	}
	for person, want := range map[string]bool{Writer: true, Nobody: false, "nobody-at-all": false, "../x": false} {
		may, err := asked.Permission(t.Context(), s.repo, person)
		if err != nil || (may >= builder.PermissionWrite) != want {
			t.Errorf("%s may write: %v, %v", person, may, err)
		}
	}
	tell(t, func() error { return commenter.React(t.Context(), s.repo, *e.Command, false) })
	if got := people.Reactions(number, id); (len(got) > 0) != (s.traits[forge.Reactions] != "") {
		t.Errorf("reactions %q, and it says %q", got, s.traits[forge.Reactions])
	}
	thread := builder.Thread{Repository: s.repo, Pull: number, Remarks: []builder.Remark{
		{Topic: e.ID, Command: "/status", By: Writer, Text: "nothing was built yet, @ada", Seq: 1}}}
	for _, want := range []string{"nothing was built yet", "nothing was built yet", "all is well"} {
		thread.Remarks[0].Text = strings.Replace(thread.Remarks[0].Text, "nothing was built yet", want, 1)
		tell(t, func() error { return commenter.Show(t.Context(), thread) })
		ours := people.Comments(number)
		if len(ours) != 1 || !strings.Contains(ours[0], want) || strings.Contains(ours[0], " @ada") {
			t.Errorf("comments %q, want one with %q that calls nobody", ours, want)
		}
		thread.Shown = true
	}
	people.Close(number)
	s.Next(t, 1)
}

// lost: what reached nobody is found.
func (s story) lost(t *testing.T) {
	w, ok := s.World.(Loser)
	if !ok {
		t.Fatal("every forge can lose something")
	}
	var commit string
	w.Lose(func() { commit = s.Push("main", "lost", "1") })
	w.Look()
	e := s.Next(t, 1)[0]
	s.check(t, e)
	if e.Kind != builder.BranchPushed || e.Ref != "refs/heads/main" || e.Commit != commit {
		t.Errorf("event %+v, want the push of %s", e, commit)
	}
}

// gone: a repository that nobody has is ErrNotFound, and hears nothing.
func (s story) gone(t *testing.T) {
	none := s.repo
	none.ID, none.Owner, none.Name = "987654321", "none", "none"
	if at, err := s.Adapter().(forge.Origin).Origin(t.Context(), none); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("origin %+v, %v, want ErrNotFound", at, err)
	}
	if r, ok := s.Adapter().(builder.Reporter); ok {
		err := r.Report(t.Context(), builder.Report{Repository: none, Ref: "refs/heads/main", Commit: strings.Repeat("a", 40),
			Context: "registry-build/api", State: builder.StatusSuccess, EventID: none.Forge + ":gone", Newest: true})
		var later builder.Later // it may be one that is new: what is not there is asked for some time
		if err != nil && !errors.As(err, &later) {
			t.Errorf("a report on a repository that is gone: %v", err)
		}
	}
	if f, ok := s.Adapter().(builder.Forge); ok {
		if _, err := f.Pull(t.Context(), none, 1); !errors.Is(err, builder.ErrNotFound) {
			t.Errorf("a pull request there: %v, want ErrNotFound", err)
		}
	}
}
