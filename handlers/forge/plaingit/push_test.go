package plaingit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/registry-build/registry-build/builder"
)

var acmeHello = builder.Repository{Forge: "git", ID: "acme/hello", Owner: "acme", Name: "hello", DefaultBranch: "main"}

// sameEvents compares without what the push or the store numbers.
func sameEvents(t *testing.T, got, want []builder.Event) {
	t.Helper()
	ignore := cmpopts.IgnoreFields(builder.Event{}, "ID", "Seq", "AcceptedAt")
	if diff := cmp.Diff(want, got, ignore, cmpopts.SortSlices(func(a, b builder.Event) bool { return a.Ref < b.Ref })); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	ids := make(map[string]bool)
	for _, e := range got {
		if !strings.HasPrefix(e.ID, "git:") || !strings.HasSuffix(e.ID, ":"+e.Ref) || ids[e.ID] {
			t.Errorf("id %q of %s", e.ID, e.Ref)
		}
		ids[e.ID] = true
	}
}

func TestPushCloneFetch(t *testing.T) {
	s := start(t)
	w := newWork(t)
	first := w.commit("a", "1")
	out := w.git("push", s.remote("writer", "acme/hello.git"), "main")
	if !strings.Contains(out, "remote: registry-build: main: there is no .registry-build.yml") {
		t.Errorf("the pusher was not told the hint:\n%s", out)
	}
	sameEvents(t, s.store.awaitEvents(t, 1), []builder.Event{
		{Kind: builder.BranchPushed, Repository: acmeHello, Ref: "refs/heads/main", Commit: first, Actor: "ann"},
	})

	clone := &work{t, t.TempDir()}
	clone.git("clone", "--quiet", s.remote("reader", "acme/hello"), ".")
	if got := clone.git("rev-parse", "HEAD"); got != first {
		t.Errorf("clone is at %s, want %s", got, first)
	}
	second := w.commit("a", "2")
	w.git("push", s.remote("writer", "acme/hello"), "main")
	for _, version := range []string{"0", "1", "2"} {
		trace := filepath.Join(t.TempDir(), "trace")
		ctx := t.Context()
		cmd := clone.command(ctx, "-c", "protocol.version="+version, "fetch", "origin")
		cmd.Env = append(cmd.Env, "GIT_TRACE_PACKET="+trace)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("fetch with protocol %s: %v\n%s", version, err, out)
		}
		packets, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		if v2 := strings.Contains(string(packets), "fetch< version 2"); v2 != (version == "2") {
			t.Errorf("protocol %s was asked for, version 2 spoken: %t", version, v2)
		}
	}
	if got := clone.git("rev-parse", "origin/main"); got != second {
		t.Errorf("fetched %s, want %s", got, second)
	}
	if at, err := s.Origin(t.Context(), acmeHello); err != nil || at.Dir != filepath.Join(s.root, "acme", "hello.git") {
		t.Errorf("Origin = %s, %v", at.Dir, err)
	}
	if _, err := s.Origin(t.Context(), builder.Repository{ID: "acme/other"}); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("Origin of nothing: %v", err)
	}
}

func TestPushOfSeveralRefs(t *testing.T) {
	s := start(t)
	w := newWork(t)
	remote := s.remote("writer", "acme/hello.git")
	first := w.commit("a", "1")
	second := w.commit("a", "2")
	w.git("tag", "v1", first)
	w.git("tag", "-a", "-m", "two", "v2", second)
	w.git("tag", "-a", "-m", "a tag of a tag", "v2-again", "v2")
	w.git("tag", "tree", second+"^{tree}")
	w.git("branch", "topic/one", first)
	w.git("update-ref", "refs/notes/x", first)
	w.git("push", remote, "--all")
	w.git("push", remote, "--tags", "refs/notes/x")
	event := func(kind builder.EventKind, ref, before, commit string) builder.Event {
		return builder.Event{Kind: kind, Repository: acmeHello, Ref: ref, Before: before, Commit: commit, Actor: "ann"}
	}
	got := s.store.awaitEvents(t, 5)
	sameEvents(t, got, []builder.Event{
		event(builder.BranchPushed, "refs/heads/main", "", second),
		event(builder.BranchPushed, "refs/heads/topic/one", "", first),
		event(builder.TagPushed, "refs/tags/v1", "", first),
		event(builder.TagPushed, "refs/tags/v2", "", second),
		event(builder.TagPushed, "refs/tags/v2-again", "", second),
	})
	w.git("tag", "-f", "-a", "-m", "moved", "v2", first)
	w.git("push", "--force", remote, ":refs/heads/topic/one", ":refs/tags/v1", "v2", first+":refs/heads/main")
	sameEvents(t, s.store.awaitEvents(t, 9)[5:], []builder.Event{
		event(builder.BranchPushed, "refs/heads/main", second, first),
		event(builder.BranchDeleted, "refs/heads/topic/one", first, ""),
		event(builder.TagDeleted, "refs/tags/v1", first, ""),
		event(builder.TagPushed, "refs/tags/v2", second, first),
	})
	// What git refuses makes no event: the default branch cannot be deleted.
	w.refuse("deletion of the current branch prohibited", "push", remote, ":refs/heads/main", second+":refs/heads/next")
	sameEvents(t, s.store.awaitEvents(t, 10)[9:], []builder.Event{
		event(builder.BranchPushed, "refs/heads/next", "", second),
	})
}

func TestDefaultBranch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pushed []string
		want   string
	}{
		{"main", []string{"main", "dev"}, "main"},
		{"only another", []string{"trunk"}, "trunk"},
		{"master among others", []string{"dev", "master"}, "master"},
		{"the first of others", []string{"dev", "b"}, "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			w := newWork(t)
			commit := w.commit("a", "1")
			args := []string{"push", s.remote("writer", "acme/hello.git")}
			for _, b := range tt.pushed {
				args = append(args, commit+":refs/heads/"+b)
			}
			w.git(args...)
			for _, e := range s.store.awaitEvents(t, len(tt.pushed)) {
				if e.Repository.DefaultBranch != tt.want {
					t.Errorf("default branch of %s: %q, want %q", e.Ref, e.Repository.DefaultBranch, tt.want)
				}
			}
			head := w.git("ls-remote", "--symref", s.remote("reader", "acme/hello"), "HEAD")
			if want := "ref: refs/heads/" + tt.want + "\tHEAD"; !strings.HasPrefix(head, want) {
				t.Errorf("HEAD is %q, want %q", head, want)
			}
		})
	}
}

// TestLargePush sends more than git's post buffer of 1 MiB, so chunked, and
// what does not compress.
func TestLargePush(t *testing.T) {
	for _, files := range []int{1, 250} {
		t.Run(fmt.Sprintf("%d MiB", 2*files), func(t *testing.T) {
			s := start(t)
			w := newWork(t)
			w.git("config", "core.compression", "0")
			w.git("config", "pack.window", "0") // the client would try to find deltas for a minute
			noise := rand.NewChaCha8([32]byte{})
			content := make([]byte, 2<<20)
			for i := range files {
				noise.Read(content) // never fails
				if err := os.WriteFile(filepath.Join(w.dir, fmt.Sprint(i)), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			w.git("add", ".")
			want := w.commit("last", "")
			w.git("push", s.remote("writer", "acme/big"), "main")
			if got := s.store.awaitEvents(t, 1)[0].Commit; got != want {
				t.Errorf("event for %s, want %s", got, want)
			}
			bare := &work{t, filepath.Join(s.root, "acme", "big.git")}
			if got := len(strings.Split(bare.git("ls-tree", want), "\n")); got != files+1 {
				t.Errorf("%d files arrived, want %d", got, files+1)
			}
			if files > 1 {
				return
			}
			clone := &work{t, t.TempDir()}
			clone.git("clone", "--quiet", s.remote("reader", "acme/big"), ".")
			if got := clone.git("rev-parse", "HEAD"); got != want {
				t.Errorf("clone is at %s, want %s", got, want)
			}
		})
	}
}

// TestGzipBody fetches with so many haves that git compresses its request.
func TestGzipBody(t *testing.T) {
	s := start(t)
	w := newWork(t)
	for i := range 40 {
		w.commit("a", fmt.Sprint(i))
	}
	w.git("push", s.remote("writer", "acme/hello"), "main")
	clone := newWork(t)
	for i := range 40 {
		clone.commit("b", fmt.Sprint(i))
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := clone.command(t.Context(), "fetch", s.remote("reader", "acme/hello"), "main")
	cmd.Env = append(cmd.Env, "GIT_TRACE_CURL="+trace)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("fetch: %v\n%s", err, out)
	}
	sent, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(sent), "Content-Encoding: gzip") {
		t.Error("git did not compress: the test proves nothing")
	}
}

func TestStoreDown(t *testing.T) {
	s := start(t)
	w := newWork(t)
	remote := s.remote("writer", "acme/hello.git")
	first := w.commit("a", "1")
	w.git("push", remote, "main")
	before := w.git("ls-remote", remote)
	s.store.fail(fmt.Errorf("dial: %w", builder.ErrUnavailable), "Intend")
	w.commit("a", "2")
	const sentence = "remote: registry-build: the queue is not available (Redis is down); nothing was pushed, try again in a minute"
	w.refuse(sentence, "push", remote, "main", "main:other")
	if after := w.git("ls-remote", remote); after != before {
		t.Errorf("refs moved:\n%s\nbefore:\n%s", after, before)
	}
	w.refuse(sentence, "push", s.remote("writer", "fresh/one"), "main")
	if _, err := os.Stat(filepath.Join(s.root, "fresh")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the refused push left an empty repository: %v", err)
	}
	s.store.fail(nil, "Intend")
	w.git("push", remote, "main")
	if got := s.store.awaitEvents(t, 2); len(got) != 2 || got[1].Before != first {
		t.Errorf("events %v", got)
	}
}
