package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

func fetching(t *testing.T, r *sourcetest.Repo) *Sources {
	return New(Options{Dir: t.TempDir(), Origins: origins{URL: "file://" + r.Dir}})
}

// mirrorOf is the only mirror of s.
func mirrorOf(t *testing.T, s *Sources) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.dir, "*.git"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("mirrors %q, %v", dirs, err)
	}
	return dirs[0]
}

func TestMirrorFetches(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	s := fetching(t, r)
	first := r.Hash("main")
	openIn(t, s, first)
	second := r.Commit("refs/heads/main", "second", sourcetest.Files{"a": "2"})
	c := openIn(t, s, second)
	if got, err := c.ReadFile(t.Context(), "a", 10); err != nil || string(got) != "2" {
		t.Errorf("read %q, %v", got, err)
	}
	if ok, err := c.Descends(t.Context(), first, second); err != nil || !ok {
		t.Errorf("Descends = %v, %v", ok, err)
	}
	// A commit that only the origin has is fetched for the question.
	third := r.Commit("refs/heads/main", "third", sourcetest.Files{"a": "3"})
	if ok, err := c.Descends(t.Context(), second, third); err != nil || !ok {
		t.Errorf("Descends of a commit at the origin = %v, %v", ok, err)
	}
	if ok, err := c.Descends(t.Context(), strings.Repeat("1", 40), third); err != nil || ok {
		t.Errorf("Descends of a commit that is gone = %v, %v", ok, err)
	}
	// Force-pushed away, but fetched before: still there.
	r.Git("update-ref", "-d", "refs/heads/main")
	r.Git("reflog", "expire", "--expire=now", "--all")
	r.Git("gc", "--quiet", "--prune=now")
	if c := openIn(t, s, first); c.Hash() != first {
		t.Error("a fetched commit is lost")
	}
	_, err := s.Open(t.Context(), hello, strings.Repeat("2", 40))
	wantFailure(t, err, "222222 is not in acme/hello")
}

func TestMirrorOfServerThatRefusesHashes(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	r.Git("config", "uploadpack.allowAnySHA1InWant", "false")
	r.Git("config", "protocol.version", "0")
	first := r.Hash("main")
	r.Commit("refs/heads/main", "second", sourcetest.Files{"a": "2"})
	s := fetching(t, r)
	s.env = environment(os.Environ(), [2]string{"protocol.version", "0"})
	if got, err := openIn(t, s, first).ReadFile(t.Context(), "a", 10); err != nil || string(got) != "1" {
		t.Errorf("read %q, %v", got, err)
	}
	// Branches that take each other's place as folder and file.
	r.Git("update-ref", "refs/heads/x/y", "main")
	r.Commit("refs/heads/main", "third", sourcetest.Files{"a": "3"})
	openIn(t, s, r.Hash("main~1"))
	r.Git("update-ref", "-d", "refs/heads/x/y")
	r.Git("update-ref", "refs/heads/x", "main")
	fourth := r.Commit("refs/heads/main", "fourth", sourcetest.Files{"a": "4"})
	r.Commit("refs/heads/main", "fifth", sourcetest.Files{"a": "5"})
	openIn(t, s, fourth)
}

func TestMirrorConcurrently(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "0"})
	dir := t.TempDir()
	var fetched atomic.Int32
	log := counting(&fetched)
	first := New(Options{Dir: dir, Origins: origins{URL: "file://" + r.Dir}})
	openIn(t, first, r.Hash("main")).Close()
	var commits []string
	for i := range 4 {
		commits = append(commits, r.Commit("refs/heads/main", "next", sourcetest.Files{"a": fmt.Sprint(i + 1)}))
	}
	// Nobody may fetch until all have found their commit missing.
	gate := flock.New(strings.TrimSuffix(mirrorOf(t, first), ".git") + ".lock")
	if err := gate.Lock(); err != nil {
		t.Fatal(err)
	}
	before := children(t)
	var wg sync.WaitGroup
	const openers = 16
	s := New(Options{Dir: dir, Origins: origins{URL: "file://" + r.Dir}, Log: log})
	for i := range openers {
		if i == openers/2 { // the rest as another process has it
			s = New(Options{Dir: dir, Origins: origins{URL: "file://" + r.Dir}, Log: log})
		}
		s := s
		wg.Go(func() {
			c, err := s.Open(t.Context(), hello, commits[i%4])
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if got, err := c.ReadFile(t.Context(), "a", 10); err != nil || string(got) != fmt.Sprint(i%4+1) {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
	for children(t)-before < openers {
		runtime.Gosched()
	}
	gate.Unlock()
	wg.Wait()
	if n := fetched.Load(); n == 0 || n > 4 {
		t.Errorf("%d fetches for 4 commits", n)
	}
}

func TestMirrorLockedByAnotherProcess(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	s := fetching(t, r)
	openIn(t, s, r.Hash("main")).Close()
	other := flock.New(strings.TrimSuffix(mirrorOf(t, s), ".git") + ".lock")
	if err := other.Lock(); err != nil {
		t.Fatal(err)
	}
	next := r.Commit("refs/heads/main", "next", sourcetest.Files{"a": "2"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Open(ctx, hello, next); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("fetched beside another: %v", err)
	}
	other.Unlock()
	openIn(t, s, next)
}

func TestInterruptedFetch(t *testing.T) {
	big := make([]byte, 8<<20)
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	s := fetching(t, r)
	openIn(t, s, r.Hash("main")).Close()
	next := r.Commit("refs/heads/main", "next", sourcetest.Files{"big": string(big)})
	for _, wait := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		if c, err := s.Open(ctx, hello, next); err == nil {
			c.Close()
		} else if ctx.Err() == nil {
			t.Errorf("error before the end of ctx: %v", err)
		}
		cancel()
	}
	if got, err := openIn(t, s, next).ReadFile(t.Context(), "big", 1<<30); err != nil || len(got) != len(big) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func TestHalfMadeMirror(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	s := fetching(t, r)
	openIn(t, s, r.Hash("main")).Close()
	dir := mirrorOf(t, s)
	for _, name := range []string{stamp, "HEAD", "config"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	openIn(t, New(Options{Dir: s.dir, Origins: s.origins}), r.Hash("main"))
}

func TestFetchAfterKilledGit(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	s := fetching(t, r)
	openIn(t, s, r.Hash("main")).Close()
	next := r.Commit("refs/heads/main", "next", sourcetest.Files{"a": "2"})
	for _, name := range []string{"objects/pack/tmp_pack_AbCdEf", "refs/fetched/" + next + ".lock", "packed-refs.lock", "config.lock"} {
		if err := os.WriteFile(filepath.Join(mirrorOf(t, s), name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openIn(t, s, next)
	if left, _ := filepath.Glob(filepath.Join(mirrorOf(t, s), "objects", "pack", "tmp_*")); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func TestTidyLosesNothing(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "0"})
	s := fetching(t, r)
	lost := r.Commit("refs/heads/lost", "apart", sourcetest.Files{"b": "b"})
	openIn(t, s, lost).Close()
	r.Git("update-ref", "-d", "refs/heads/lost")
	r.Git("gc", "--quiet", "--prune=now")
	reader := openIn(t, s, r.Hash("main")) // its processes know the old packs
	x := mustContext(t, reader, "", "")
	content(t, x, "a")
	var all []string
	for i := range manyPacks + 1 {
		all = append(all, r.Commit("refs/heads/main", "next", sourcetest.Files{"a": fmt.Sprint(i + 1)}))
		openIn(t, s, all[i]).Close()
	}
	packs, err := filepath.Glob(filepath.Join(mirrorOf(t, s), "objects", "pack", "*.pack"))
	if err != nil || len(packs) >= manyPacks {
		t.Errorf("%d packs, %v", len(packs), err)
	}
	if got := content(t, x, "a"); got != "0" {
		t.Errorf("a reader from before has %q", got)
	}
	openIn(t, s, lost)
	for _, commit := range all {
		openIn(t, s, commit).Close()
	}
}

func TestHeader(t *testing.T) {
	const secret = "Authorization: Basic c2VjcmV0OnNlY3JldA=="
	var got atomic.Value
	got.Store("")
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		t.Errorf("followed the redirect with %q", req.Header.Get("Authorization"))
	}))
	defer away.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got.Store(req.Header.Get("Authorization"))
		if strings.HasPrefix(req.URL.Path, "/moved/") {
			http.Redirect(w, req, away.URL+req.URL.Path, http.StatusMovedPermanently)
			return
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer server.Close()
	for _, path := range []string{"/acme/hello.git", "/moved/hello.git"} {
		s := New(Options{Dir: t.TempDir(), Origins: origins{URL: server.URL + path, Header: secret}})
		_, err := s.Open(t.Context(), hello, strings.Repeat("1", 40))
		if f := new(builder.Failure); err == nil || errors.As(err, &f) {
			t.Fatalf("error %v", err)
		}
		if got.Load() != "Basic c2VjcmV0OnNlY3JldA==" {
			t.Errorf("the server got %q", got.Load())
		}
		if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("the error tells the secret: %v", err)
		}
		filepath.WalkDir(s.dir, func(p string, d os.DirEntry, err error) error {
			if data, err := os.ReadFile(p); err == nil && strings.Contains(string(data), "c2VjcmV0") {
				t.Errorf("the secret is in %s", p)
			}
			return err
		})
	}
}

func TestPrune(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	s := fetching(t, r)
	c := openIn(t, s, r.Hash("main"))
	dir := mirrorOf(t, s)
	month := 30 * 24 * time.Hour
	prune := func(want int) {
		t.Helper()
		if n, err := s.Prune(t.Context(), month); err != nil || n != want {
			t.Errorf("pruned %d, %v; want %d", n, err, want)
		}
	}
	prune(0)
	old := time.Now().Add(-month - time.Hour)
	age := func() {
		t.Helper()
		if err := os.Chtimes(filepath.Join(dir, stamp), old, old); err != nil {
			t.Fatal(err)
		}
	}
	age()
	prune(0) // in use
	c.Close()
	prune(1)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mirror is still there: %v", err)
	}
	openIn(t, s, r.Hash("main")).Close() // made anew
	age()
	openIn(t, s, r.Hash("main")).Close() // touched
	prune(0)
}
