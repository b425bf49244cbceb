package gitlab

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// hookReceiver takes deliveries as the intake does, and lists what comes of
// them.
type hookReceiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func newHookReceiver(t *testing.T, f *Forge) *hookReceiver {
	r := &hookReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = f.Verify(req.Header, body)
		}
		if err != nil {
			t.Errorf("%s: %v", req.Header.Get("X-Gitlab-Event"), err)
			return
		}
		events, err := f.Events(req.Header, body)
		if err != nil && !errors.Is(err, forge.ErrIgnored) {
			t.Errorf("%s: %v", req.Header.Get("X-Gitlab-Event"), err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range events {
			if err := forgetest.CheckEvent(hookInstance, e); err != nil {
				t.Error(err)
			}
			line := fmt.Sprintf("%s %s %s by %s", e.Kind, e.Repository.FullName(), e.Ref, e.Actor)
			if e.Pull != nil {
				line += fmt.Sprintf(" fork=%t of %s", e.Pull.Fork, e.Pull.HeadOwner)
			}
			if e.Command != nil {
				line += fmt.Sprintf(" !%d %s", e.Command.Pull, strings.TrimSpace(e.Command.Body))
			}
			r.got = append(r.got, line)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := strings.Join(r.got, "; ")
	r.got = nil
	return got
}

// TestDoubleDelivers: what the double of GitLab sends comes to the events that
// it stands for, whoever has the webhook.
func TestDoubleDelivers(t *testing.T) {
	gl := gitlabtest.New(t)
	shop, err := gl.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{Visibility: "public", Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ann", "eve"} {
		gl.AddUser(user)
	}
	shop.SetMember("ann", gitlabtest.Maintainer)
	group, err := gl.AddGroup("acme", "public")
	if err != nil {
		t.Fatal(err)
	}
	f := hookForge(t)
	mine, groups, system := newHookReceiver(t, f), newHookReceiver(t, f), newHookReceiver(t, f)
	shop.AddHook(gitlabtest.HookOptions{URL: mine.URL, Token: hookToken("ours", hookInstance, scope{Kind: scopeProject, ID: int(shop.ID())})})
	if _, err := gl.AddGroupHook("acme", gitlabtest.HookOptions{URL: groups.URL, Token: hookToken("ours", hookInstance, scope{Kind: scopeGroup, ID: int(group)})}); err != nil {
		t.Fatal(err)
	}
	gl.AddSystemHook(gitlabtest.HookOptions{URL: system.URL, Token: hookSecret})

	var merge, forked *gitlabtest.Merge
	const at, pushed = "acme/platform/shop", "branch_pushed acme/platform/shop refs/heads/topic by ann"
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"branch", func() error { return shop.SetRef("ann", "refs/heads/topic", shop.Head("main")) }, pushed},
		{"annotated tag", func() error { return shop.Tag("ann", "v1", "main", "one") }, "tag_pushed " + at + " refs/tags/v1 by ann"},
		{"tag deleted", func() error { return shop.DeleteTag("ann", "v1") }, "tag_deleted " + at + " refs/tags/v1 by ann"},
		{"four tags at once", func() error {
			refs := map[string]string{}
			for _, tag := range []string{"a", "b", "c", "d"} {
				refs["refs/tags/"+tag] = shop.Head("main")
			}
			return shop.SetRefs("ann", refs)
		}, ""},
		{"commit's comment", func() error { _, err := shop.CommentCommit("ann", shop.Head("main"), "/build"); return err }, "commanded " + at + "  by ann !0 /build"},
		{"branch with a commit", func() error {
			_, err := shop.Push(gitlabtest.Push{User: "ann", Branch: "topic", Files: map[string]string{"a": "1"}})
			return err
		}, pushed},
		{"merge request", func() (err error) {
			merge, err = shop.OpenMerge(gitlabtest.MergeOptions{User: "ann", Source: "topic"})
			return err
		}, "pull_changed " + at + " refs/pull/1/head by ann fork=false of acme/platform"},
		{"force push", func() error {
			_, err := shop.Push(gitlabtest.Push{User: "ann", Branch: "topic", Amend: true, Files: map[string]string{"a": "2"}})
			return err
		}, pushed + "; pull_changed " + at + " refs/pull/1/head by ann fork=false of acme/platform"},
		{"draft", func() error { return merge.SetDraft("ann", true) }, ""},
		{"comment", func() error { _, err := merge.Comment("ann", "/rebuild api"); return err }, "commanded " + at + "  by ann !1 /rebuild api"},
		{"talk", func() error { _, err := merge.Comment("ann", "fine"); return err }, ""},
		{"closed", func() error { return merge.Close("ann") }, "pull_closed " + at + " refs/pull/1/head by ann fork=false of acme/platform"},
		{"reopened", func() error { return merge.Reopen("ann") }, "pull_changed " + at + " refs/pull/1/head by ann fork=false of acme/platform"},
		{"a fork's merge request", func() error {
			fork, err := shop.Fork("eve")
			if err != nil {
				return err
			}
			if _, err := fork.Push(gitlabtest.Push{User: "eve", Branch: "evil", Files: map[string]string{"b": "1"}}); err != nil {
				return err
			}
			forked, err = shop.OpenMerge(gitlabtest.MergeOptions{User: "eve", From: fork, Source: "evil"})
			return err
		}, "pull_changed " + at + " refs/pull/2/head by eve fork=true of eve"},
		{"its comment", func() error { _, err := forked.Comment("eve", "/ok-to-build"); return err }, "commanded " + at + "  by eve !2 /ok-to-build"},
		{"moved", func() error { return shop.Rename("store") }, ""},
		{"deleted", func() error { return shop.Delete("ann", "topic") }, "branch_deleted acme/platform/store refs/heads/topic by ann; " +
			"pull_closed acme/platform/store refs/pull/1/head by ann fork=false of acme/platform"},
	}
	var want, seen []string
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if err := gl.Settle(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		told := mine.take()
		want, seen = append(want, step.name+": "+step.want), append(seen, step.name+": "+told)
		if of := groups.take(); of != told {
			t.Errorf("%s: the group's webhook tells %q, the project's %q", step.name, of, told)
		}
		byAll := system.take() // without comments, and of the fork as well
		if !strings.HasPrefix(told, "commanded") && !strings.HasSuffix(byAll, told) && !slices.Contains([]string{"four tags at once", "moved"}, step.name) {
			t.Errorf("%s: the system's webhook tells %q, the project's %q", step.name, byAll, told)
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	shop.Remove()
	if err := gl.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := system.take(), "installation_changed acme/platform/store  by "; got != want {
		t.Errorf("removed: the system's webhook tells %q; want %q", got, want)
	}
}
