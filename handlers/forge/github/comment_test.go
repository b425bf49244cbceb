package github

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

const commentPosts = "POST /repos/acme/shop/issues/*/comments"

// threadRig is a reportRig with an open pull request.
type threadRig struct {
	*reportRig
	pull int
}

func newThreadRig(t *testing.T) *threadRig {
	t.Helper()
	rig := &threadRig{reportRig: newReportRig(t)}
	if _, err := rig.repo.Push(githubtest.Push{Branch: "feature", Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	var err error
	if rig.pull, err = rig.repo.OpenPull(githubtest.Pull{Head: "feature"}); err != nil {
		t.Fatal(err)
	}
	return rig
}

func (r *threadRig) thread(remarks ...builder.Remark) builder.Thread {
	return builder.Thread{Repository: r.record(), Pull: r.pull, Remarks: remarks, Shown: len(remarks) > 1}
}

func (r *threadRig) show(t builder.Thread) {
	r.t.Helper()
	if err := r.Show(context.Background(), t); err != nil {
		r.t.Fatal(err)
	}
}

func (r *threadRig) onlyComment() githubtest.Comment {
	r.t.Helper()
	all := r.repo.Comments(r.pull)
	if len(all) != 1 {
		r.t.Fatalf("%d comments, want 1", len(all))
	}
	return all[0]
}

var (
	forkRemark = builder.Remark{Topic: builder.TopicFork, Text: "This comes from a fork:\n\n```\n/ok-to-build abc\n```", Seq: 9}
	whyRemark  = builder.Remark{Topic: "e1", Command: "/why", By: "ada", Text: "no rule matches; ask @bob", Seq: 3}
	helpRemark = builder.Remark{Topic: "e2", Command: "/help `x`", By: "grace", Text: "| a | b |\n|---|---|\n| `/build` | @x |", Seq: 4}
)

func TestThreadBody(t *testing.T) {
	want := markdown.Marker + "\n\nThis comes from a fork:\n\n```\n/ok-to-build abc\n```\n\n---\n\n> `/why` by `@ada`\n\nno rule matches; ask @\u200bbob\n\n" +
		"> `` /help `x` `` by `@grace`\n\n| a | b |\n|---|---|\n| `/build` | @\u200bx |\n"
	got := markdown.Thread([]builder.Remark{helpRemark, whyRemark, forkRemark})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	var many []builder.Remark
	for i := range 20 {
		many = append(many, builder.Remark{Topic: fmt.Sprint(i), Seq: int64(i), Text: fmt.Sprintf("answer %d\n```\n%s", i, strings.Repeat("ü@ada\n", 3000))})
	}
	got = markdown.Thread(append(many, forkRemark))
	if len(got) > markdown.MaxComment || !strings.Contains(got, "answer 19") || strings.Contains(got, "answer 1\n") || !strings.Contains(got, "/ok-to-build") || markdown.Closed(got) != got {
		t.Errorf("%d bytes, newest kept: %v, oldest dropped: %v", len(got), strings.Contains(got, "answer 19"), !strings.Contains(got, "answer 1\n"))
	}
}

func TestShow(t *testing.T) {
	rig := newThreadRig(t)
	rig.show(rig.thread())
	if n := len(rig.repo.Comments(rig.pull)); n != 0 {
		t.Fatalf("%d comments for nothing", n)
	}
	rig.show(rig.thread(forkRemark))
	first := rig.onlyComment()
	rig.show(rig.thread(forkRemark, whyRemark))
	if got := rig.onlyComment(); got.ID != first.ID || !strings.Contains(got.Body, "> `/why`") {
		t.Errorf("comment %d, was %d:\n%s", got.ID, first.ID, got.Body)
	}
	before := len(rig.gh.Requests(""))
	rig.show(rig.thread(forkRemark, whyRemark))
	if n := len(rig.gh.Requests("")) - before; n != 0 {
		t.Errorf("%d requests to say the same again", n)
	}
	empty := rig.thread()
	empty.Shown = true
	rig.show(empty)
	if got := rig.onlyComment(); strings.Contains(got.Body, "/ok-to-build") {
		t.Errorf("the fork's notice is still there:\n%s", got.Body)
	}
}

func TestShowFindsItsComment(t *testing.T) {
	t.Run("deleted", func(t *testing.T) {
		rig := newThreadRig(t)
		rig.show(rig.thread(whyRemark))
		first := rig.onlyComment()
		client, err := rig.client(context.Background(), rig.record(), need{"pull_requests": "write"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Issues.DeleteComment(context.Background(), "acme", "shop", first.ID); err != nil {
			t.Fatal(err)
		}
		rig.show(rig.thread(whyRemark, helpRemark))
		if got := rig.onlyComment(); got.ID == first.ID || !strings.Contains(got.Body, "/help") {
			t.Errorf("comment %d:\n%s", got.ID, got.Body)
		}
	})
	t.Run("answer lost", func(t *testing.T) {
		rig := newThreadRig(t)
		rig.gh.FailNext(commentPosts, 1, githubtest.LostAnswer())
		if err := rig.Show(context.Background(), rig.thread(whyRemark)); err == nil {
			t.Fatal("no error")
		}
		rig.show(rig.thread(whyRemark))
		rig.onlyComment()
	})
	t.Run("crash after making it", func(t *testing.T) {
		rig := newThreadRig(t)
		rig.memory.Crash = "thread/"
		if err := rig.Show(context.Background(), rig.thread(whyRemark)); !errors.Is(err, forgetest.ErrCrash) {
			t.Fatal(err)
		}
		rig.memory.Crash = ""
		rig.show(rig.thread(whyRemark, helpRemark))
		if got := rig.onlyComment(); !strings.Contains(got.Body, "/help") {
			t.Errorf("%s", got.Body)
		}
	})
	t.Run("somebody else's marker", func(t *testing.T) {
		rig := newThreadRig(t)
		for range 101 { // more than a page
			if _, err := rig.repo.Comment(rig.pull, "mallory", markdown.Marker+"\n\nnot yours"); err != nil {
				t.Fatal(err)
			}
		}
		other, err := rig.gh.AddApp(githubtest.AppOptions{Name: "other"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Install("acme"); err != nil {
			t.Fatal(err)
		}
		them := *rig
		them.reportRig = &reportRig{clientRig: &clientRig{App: New(rig.Options)}}
		them.Identities, them.Memory = identityOf(Identity{ID: other.ID, Key: other.PrivateKeyPEM}), forgetest.NewMemory()
		if err := them.Show(context.Background(), rig.thread(forkRemark)); err != nil {
			t.Fatal(err)
		}
		rig.show(rig.thread(whyRemark))
		rig.memory.Forget()
		rig.show(rig.thread(whyRemark, helpRemark))
		all := rig.repo.Comments(rig.pull)
		if last := all[len(all)-1]; len(all) != 103 || !strings.Contains(last.Body, "/help") {
			t.Errorf("%d comments, the last:\n%s", len(all), last.Body)
		}
	})
	t.Run("not permitted", func(t *testing.T) {
		rig := newThreadRig(t)
		rig.inst.SetPermissions(map[string]string{"metadata": "read", "contents": "read"})
		rig.show(rig.thread(whyRemark))
	})
	t.Run("repository taken away", func(t *testing.T) {
		rig := newThreadRig(t)
		rig.inst.Uninstall()
		rig.show(rig.thread(whyRemark))
	})
}

func TestShowOnCommit(t *testing.T) {
	rig := newThreadRig(t)
	thread := builder.Thread{Repository: rig.record(), Commit: rig.commit, Remarks: []builder.Remark{whyRemark}}
	rig.show(thread)
	rig.show(thread)
	thread.Remarks = append(thread.Remarks, helpRemark)
	rig.show(thread)
	all := rig.repo.CommitComments(rig.commit)
	if len(all) != 2 || !strings.Contains(all[0].Body, "/why") || !strings.Contains(all[1].Body, "/help") || strings.Contains(all[1].Body, "/why") {
		t.Errorf("%d comments: %+v", len(all), all)
	}
}

func TestReact(t *testing.T) {
	t.Run("with issues: write", func(t *testing.T) { testReact(t, newThreadRig(t)) })
	t.Run("without", func(t *testing.T) {
		rig := newThreadRig(t)
		p := githubtest.DefaultPermissions()
		p["issues"] = "read"
		rig.inst.SetPermissions(p)
		testReact(t, rig)
	})
}

func testReact(t *testing.T, rig *threadRig) {
	asked, err := rig.repo.Comment(rig.pull, "ada", "/why")
	if err != nil {
		t.Fatal(err)
	}
	command := builder.Command{Source: builder.FromComment, Pull: rig.pull, Comment: strconv.FormatInt(asked.ID, 10)}
	react := func(c builder.Command, refused bool) {
		t.Helper()
		if err := rig.React(context.Background(), rig.record(), c, refused); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	react(command, false)
	react(command, false)
	react(command, true)
	var got []string
	for _, r := range rig.onlyComment().Reactions {
		got = append(got, r.Content)
	}
	if diff := cmp.Diff([]string{"+1", "confused"}, got); diff != "" {
		t.Errorf("reactions (-want +got):\n%s", diff)
	}
	command.Comment = "1"
	react(command, false) // deleted
	react(builder.Command{Comment: "5"}, false)
	react(builder.Command{Pull: rig.pull}, false)
}
