package github

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// ticking is a clock that a test sets.
type ticking struct {
	mu sync.Mutex
	at time.Time
}

func (c *ticking) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *ticking) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// newWatchRig has a GitHub whose clock is the test's, and that much behind: by
// the time that GitHub is asked it has to be right, or GitHub refuses the key.
func newWatchRig(t *testing.T, behind ...time.Duration) (*clientRig, *ticking) {
	t.Helper()
	clock := &ticking{at: time.Now()}
	for _, d := range behind {
		clock.pass(-d)
	}
	rig := newClientRig(t, func(o *githubtest.Options) { o.Now = clock.now })
	rig.gh.AddUser("ada")
	rig.repo.SetCollaborator("ada", "write")
	return rig, clock
}

func (r *clientRig) pushed(t *testing.T, repo *githubtest.Repo, name string) string {
	t.Helper()
	commit, err := repo.Push(githubtest.Push{User: "ada", Branch: name, Files: map[string]string{name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

func (r *clientRig) open(t *testing.T, p githubtest.Pull) int {
	t.Helper()
	number, err := r.repo.OpenPull(p)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func TestOpenPulls(t *testing.T) {
	rig, _ := newWatchRig(t)
	main := rig.pushed(t, rig.repo, "main")
	if got, err := rig.OpenPulls(t.Context(), rig.record()); err != nil || len(got) != 0 {
		t.Fatalf("%+v, %v; want none", got, err)
	}
	head := rig.pushed(t, rig.repo, "topic")
	first := rig.open(t, githubtest.Pull{User: "ada", Head: "topic"})
	rig.repo.OpenIssue("ada", "no pull request")
	fork, err := rig.repo.Fork("eve")
	if err != nil {
		t.Fatal(err)
	}
	theirs := rig.pushed(t, fork, "mine")
	second := rig.open(t, githubtest.Pull{User: "eve", From: fork, Head: "mine"})
	rig.pushed(t, rig.repo, "ended")
	if err := rig.repo.ClosePull(rig.open(t, githubtest.Pull{User: "ada", Head: "ended"}), "ada", false); err != nil {
		t.Fatal(err)
	}
	got, err := rig.OpenPulls(t.Context(), rig.record())
	want := []builder.Pull{
		{Number: first, Author: "ada", HeadBranch: "topic", Head: head, BaseBranch: "main", Base: main, HeadOwner: "acme", Open: true},
		{Number: second, Author: "eve", HeadBranch: "mine", Head: theirs, BaseBranch: "main", Base: main, HeadOwner: "eve", Fork: true, Open: true},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Many pull requests are read page by page, and once more for nothing.
func TestOpenPullsCost(t *testing.T) {
	rig, _ := newWatchRig(t)
	rig.pushed(t, rig.repo, "main")
	rig.pushed(t, rig.repo, "topic")
	for range openPage + 5 {
		rig.open(t, githubtest.Pull{User: "ada", Head: "topic"})
	}
	for range 2 {
		if got, err := rig.OpenPulls(t.Context(), rig.record()); err != nil || len(got) != openPage+5 {
			t.Fatalf("%d, %v; want %d", len(got), err, openPage+5)
		}
	}
	var status []int
	for _, r := range rig.gh.Requests("GET /repos/acme/shop/pulls") {
		status = append(status, r.Status)
	}
	if diff := cmp.Diff([]int{200, 200, 304, 304}, status); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestOpenPullsRefused(t *testing.T) {
	rig, _ := newWatchRig(t)
	rig.pushed(t, rig.repo, "main")
	rig.gh.FailNext("GET /repos/acme/shop/pulls", 1, githubtest.SecondaryLimit(time.Hour))
	var later builder.Later
	if _, err := rig.OpenPulls(t.Context(), rig.record()); !errors.As(err, &later) || later.Wait < 59*time.Minute {
		t.Errorf("at a limit: %v; want Later", err)
	}
	rig, _ = newWatchRig(t)
	record := rig.record()
	rig.repo.Delete()
	if _, err := rig.OpenPulls(t.Context(), record); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("of a repository that is gone: %v; want ErrNotFound", err)
	}
	if _, err := rig.Comments(t.Context(), record, time.Now()); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("comments of one that is gone: %v; want ErrNotFound", err)
	}
}

// What a look finds is what the deliveries tell, with the same IDs, and no
// more than that.
func TestComments(t *testing.T) {
	rig, clock := newWatchRig(t, time.Hour, time.Minute, time.Second)
	main := rig.pushed(t, rig.repo, "main")
	rig.pushed(t, rig.repo, "topic")
	pull := rig.open(t, githubtest.Pull{User: "ada", Head: "topic"})
	issue := rig.repo.OpenIssue("ada", "a question")
	say := func(number int, text string) int64 {
		t.Helper()
		c, err := rig.repo.Comment(number, "ada", text)
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	onCommit := func(text string) int64 {
		t.Helper()
		c, err := rig.repo.CommentCommit(main, "ada", text)
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	say(pull, "/build of old")
	onCommit("/build of old")
	clock.pass(time.Hour)
	since := clock.now()
	first := say(pull, "/build api")
	say(pull, "thanks")
	say(issue, "/build on an issue")
	edited := say(pull, "/cancel")
	clock.pass(time.Minute)
	if err := rig.repo.EditComment(edited, "ada", "/build other"); err != nil {
		t.Fatal(err)
	}
	second := onCommit("/rb why")
	clock.pass(time.Second)
	third := say(pull, "/why")

	event := func(kind string, id int64, pull int, commit, body string) builder.Event {
		return builder.Event{ID: fmt.Sprintf("github:%s-%d", kind, id), Kind: builder.Commanded, Repository: rig.record(), Commit: commit, Actor: "ada",
			Command: &builder.Command{Source: builder.FromComment, Pull: pull, Comment: fmt.Sprint(id), Body: body}}
	}
	want := []builder.Event{
		event("issue_comment", first, pull, "", "/build api"),
		event("commit_comment", second, 0, main, "/rb why"),
		event("issue_comment", third, pull, "", "/why"),
	}
	for _, crowd := range []int{0, 3 * firstLook} { // what fits the first look, and what does not
		for range crowd {
			say(pull, "chatter")
			onCommit("chatter")
		}
		got, err := rig.Comments(t.Context(), rig.record(), since)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("beside %d others: %v (-want +got):\n%s", crowd, err, diff)
		}
	}
	rig.Config.Bots = nil
	if got, err := rig.Comments(t.Context(), rig.record(), clock.now().Add(time.Minute)); err != nil || len(got) != 0 {
		t.Errorf("later: %+v, %v; want none", got, err)
	}
}

// A look at what has not changed costs nothing.
func TestCommentsCost(t *testing.T) {
	rig, clock := newWatchRig(t, time.Hour)
	main := rig.pushed(t, rig.repo, "main")
	rig.pushed(t, rig.repo, "topic")
	pull := rig.open(t, githubtest.Pull{User: "ada", Head: "topic"})
	for range 3 * firstLook {
		_, err := rig.repo.Comment(pull, "ada", strings.Repeat("long ", 2000))
		if err == nil {
			_, err = rig.repo.CommentCommit(main, "ada", "well")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	clock.pass(time.Hour)
	for range 2 {
		if _, err := rig.Comments(t.Context(), rig.record(), clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	var asked []string
	for _, pattern := range []string{"GET /repos/acme/shop/issues/comments", "GET /repos/acme/shop/comments"} {
		for _, r := range rig.gh.Requests(pattern) {
			asked = append(asked, fmt.Sprint(r.Path, " ", r.Status))
			delete(r.Permissions, "metadata")
			if diff := cmp.Diff(map[string]string{"pull_requests": "read"}, r.Permissions); diff != "" {
				t.Errorf("%s: permissions (-want +got):\n%s", r.Path, diff)
			}
		}
	}
	want := []string{"/repos/acme/shop/issues/comments 200", "/repos/acme/shop/issues/comments 304",
		"/repos/acme/shop/comments 200", "/repos/acme/shop/comments 200", "/repos/acme/shop/comments 304", "/repos/acme/shop/comments 304"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestCommentsOfARenamedRepository(t *testing.T) {
	rig, _ := newWatchRig(t)
	rig.pushed(t, rig.repo, "main")
	rig.pushed(t, rig.repo, "topic")
	record := rig.record()
	pull := rig.open(t, githubtest.Pull{User: "ada", Head: "topic"})
	if _, err := rig.Comments(t.Context(), record, time.Now()); err != nil {
		t.Fatal(err)
	}
	// Somebody takes the name that we know, and shows commands there.
	if err := rig.repo.Rename("store"); err != nil {
		t.Fatal(err)
	}
	taker, err := rig.gh.AddRepo("acme/shop", githubtest.RepoOptions{Files: map[string]string{"x": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := taker.CommentCommit(taker.Head(""), "eve", "/build evil"); err != nil {
		t.Fatal(err)
	}
	since := time.Now().Add(-time.Minute)
	var later builder.Later
	if got, err := rig.Comments(t.Context(), record, since); !errors.As(err, &later) {
		t.Errorf("%+v, %v; want Later", got, err)
	}
	if _, err := rig.repo.Comment(pull, "ada", "/why"); err != nil {
		t.Fatal(err)
	}
	got, err := rig.Comments(t.Context(), record, since)
	if err != nil || len(got) != 1 || got[0].Actor != "ada" {
		t.Errorf("%+v, %v; want ada's", got, err)
	}
}

// Without the permission commands on commits are still heard.
func TestCommentsWithoutPermission(t *testing.T) {
	rig, _ := newWatchRig(t)
	main := rig.pushed(t, rig.repo, "main")
	rig.inst.SetPermissions(map[string]string{"metadata": "read", "contents": "read"})
	if _, err := rig.repo.CommentCommit(main, "ada", "/why"); err != nil {
		t.Fatal(err)
	}
	got, err := rig.Comments(t.Context(), rig.record(), time.Now().Add(-time.Minute))
	if err != nil || len(got) != 1 || got[0].Commit != main {
		t.Errorf("%+v, %v; want the one on the commit", got, err)
	}
	if _, err := rig.OpenPulls(t.Context(), rig.record()); !errors.Is(err, builder.ErrDenied) {
		t.Errorf("pull requests: %v; want ErrDenied", err)
	}
}
