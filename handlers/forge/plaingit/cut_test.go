package plaingit_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

// cut makes the named hook die before it speaks, until mend is called.
func cut(t *testing.T, in string, hook string) (mend func()) {
	t.Helper()
	path := filepath.Join(in, "kill-"+hook)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() { os.Remove(path) }
}

// interrupt kills git and the process that speaks HTTP for it, as ^C does.
func interrupt(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
}

// TestPusherKilled kills the pusher while the push is being recorded: refs
// move, and the event comes.
func TestPusherKilled(t *testing.T) {
	s := start(t)
	w := newWork(t)
	commit := w.commit("a", "1")
	open := s.store.block("Intend")
	defer open()
	cmd := w.command(t.Context(), "push", s.remote("writer", "acme/hello"), "main")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the push being recorded", func() bool { return s.store.waiting("Intend") })
	interrupt(cmd)
	open()
	sameEvents(t, s.store.awaitEvents(t, 1), []builder.Event{
		{Kind: builder.BranchPushed, Repository: acmeHello, Ref: "refs/heads/main", Commit: commit, Actor: "ann"},
	})
	eventually(t, "the ref", func() bool {
		return strings.HasPrefix(w.git("ls-remote", s.remote("reader", "acme/hello"), "main"), commit)
	})
}

// TestFollowerKilled kills a pusher who watches a build: the push ends, and so
// does its follower; the build is left alone.
func TestFollowerKilled(t *testing.T) {
	s := start(t)
	s.store.decide = building("api")
	w := newWork(t)
	w.commit("a", "1")
	cmd := w.command(t.Context(), "push", s.remote("writer", "acme/hello"), "main")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log being read", func() bool { return s.store.waiting("log BAPI") })
	interrupt(cmd)
	eventually(t, "the follower to end", func() bool { return !s.store.waiting("log BAPI") })
	if n := len(s.store.accepted()); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// TestPostReceiveKilled: refs have moved, nobody told the server.
func TestPostReceiveKilled(t *testing.T) {
	in := newFolders(t)
	s := startIn(t, in, newMemory(), nil)
	w := newWork(t)
	commit := w.commit("a", "1")
	mend := cut(t, in.runDir, "post-receive")
	w.git("push", s.remote("writer", "acme/hello"), "main:trunk")
	want := acmeHello
	want.DefaultBranch = "trunk"
	got := s.store.awaitEvents(t, 1)
	sameEvents(t, got, []builder.Event{
		{Kind: builder.BranchPushed, Repository: want, Ref: "refs/heads/trunk", Commit: commit, Actor: "ann"},
	})
	if strings.Contains(got[0].ID, "reconcile") {
		t.Errorf("event %s is not the intended one", got[0].ID)
	}
	mend()
	// A push later there is still one event for it.
	w.commit("a", "2")
	w.git("push", s.remote("writer", "acme/hello"), "main:trunk")
	if got := s.store.awaitEvents(t, 2); len(got) != 2 {
		t.Errorf("events %v, want 2", got)
	}
}

// TestPreReceiveKilled: git refuses the push, and the intent leads nowhere.
func TestPreReceiveKilled(t *testing.T) {
	in := newFolders(t)
	s := startIn(t, in, newMemory(), nil)
	w := newWork(t)
	w.commit("a", "1")
	defer cut(t, in.runDir, "pre-receive")()
	w.refuse("pre-receive hook declined", "push", s.remote("writer", "acme/hello"), "main")
	if got := s.store.awaitEvents(t, 0); len(got) != 0 {
		t.Errorf("events %v, want none", got)
	}
}

// TestRedisLostBetweenHooks: the intent was written, the event cannot be.
// A later start of the server finds it.
func TestRedisLostBetweenHooks(t *testing.T) {
	in, store := newFolders(t), newMemory()
	s := startIn(t, in, store, nil)
	w := newWork(t)
	commit := w.commit("a", "1")
	store.fail(fmt.Errorf("dial: %w", builder.ErrUnavailable), "Append")
	out := w.git("push", s.remote("writer", "acme/hello"), "main")
	if want := "pushed, but the queue is not available (Redis is down); the build starts by itself"; !strings.Contains(out, want) {
		t.Errorf("%q was not shown:\n%s", want, out)
	}
	s.stop()
	store.fail(nil, "Append")
	startIn(t, in, store, nil)
	got := store.awaitEvents(t, 1)
	sameEvents(t, got, []builder.Event{
		{Kind: builder.BranchPushed, Repository: acmeHello, Ref: "refs/heads/main", Commit: commit, Actor: "ann"},
	})
	if strings.Contains(got[0].ID, "reconcile") {
		t.Errorf("event %s is not the intended one", got[0].ID)
	}
}

// TestMovedByHand: somebody works in the folder, back and forth.
func TestMovedByHand(t *testing.T) {
	in, store := newFolders(t), newMemory()
	// A folder that is no repository does not keep the others from being seen.
	if err := os.MkdirAll(filepath.Join(in.root, "aaa", "broken.git"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, in, store, func(o *plaingit.Options) { o.Every = 20 * time.Millisecond })
	w := newWork(t)
	first := w.commit("a", "1")
	second := w.commit("a", "2")
	w.git("push", s.remote("writer", "acme/hello"), "main", first+":refs/heads/dev")
	store.awaitEvents(t, 2)
	bare := &work{t, filepath.Join(in.root, "acme", "hello.git")}
	n := 2
	for _, commit := range []string{second, first, second, first, "", first} {
		if commit == "" {
			bare.git("update-ref", "-d", "refs/heads/dev")
		} else {
			bare.git("update-ref", "refs/heads/dev", commit)
		}
		n++
		if got := store.awaitEvents(t, n)[n-1]; got.Commit != commit || got.Ref != "refs/heads/dev" {
			t.Fatalf("event %d: %+v, want dev at %s", n, got, commit)
		}
	}
}

// TestReconcileDuringPush: reconciliation runs all the time while a push is
// between its hooks, with its ref moved and its event not appended.
func TestReconcileDuringPush(t *testing.T) {
	in, store := newFolders(t), newMemory()
	s := startIn(t, in, store, func(o *plaingit.Options) { o.Every = time.Millisecond })
	w := newWork(t)
	remote := s.remote("writer", "acme/hello")
	var wg sync.WaitGroup
	for i := range 8 {
		commit := w.commit("a", fmt.Sprint(i))
		branch := fmt.Sprintf("%s:refs/heads/b%d", commit, i)
		wg.Go(func() {
			if out, err := w.try("push", remote, branch); err != nil {
				t.Errorf("push %s: %v\n%s", branch, err, out)
			}
		})
	}
	wg.Wait()
	got := store.awaitEvents(t, 8)
	if len(got) != 8 {
		t.Errorf("%d events, want 8", len(got))
	}
	for _, e := range got {
		if strings.Contains(e.ID, "reconcile") {
			t.Errorf("a push in progress was taken for a lost one: %s", e.ID)
		}
	}
}

// TestKilledServer: what a server that died left behind is no obstacle.
func TestKilledServer(t *testing.T) {
	in, store := newFolders(t), newMemory()
	if err := os.MkdirAll(in.runDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(in.runDir, "hook.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(in.root, ".new-1")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, in, store, nil)
	eventually(t, "the sweep", func() bool { _, err := os.Stat(old); return errors.Is(err, os.ErrNotExist) })
	w := newWork(t)
	w.commit("a", "1")
	w.git("push", s.remote("writer", "acme/hello"), "main")
	store.awaitEvents(t, 1)
}
