package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

// overHTTP serves a repository as a forge does, for whoever has the token.
func overHTTP(t *testing.T, r *sourcetest.Repo) origins {
	t.Helper()
	server := httptest.NewServer(served(t, r))
	t.Cleanup(server.Close)
	return at(server, r)
}

// at is where a server has the repository.
func at(server *httptest.Server, r *sourcetest.Repo) origins {
	return origins{URL: server.URL + "/" + filepath.Base(r.Dir), Header: "Authorization: Basic eC1hY2Nlc3MtdG9rZW46c2VjcmV0"}
}

func served(t *testing.T, r *sourcetest.Repo) http.Handler {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal("git is not installed: apt-get install -y git")
	}
	backend := &cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Dir: r.Dir, Stderr: t.Output(),
		Env: []string{
			"GIT_PROJECT_ROOT=" + filepath.Dir(r.Dir), "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, token, ok := req.BasicAuth(); !ok || user != "x-access-token" || token != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		if r.Git("config", "--default", "2", "protocol.version") == "0" {
			req.Header.Del("Git-Protocol") // as a server that never heard of it
		}
		backend.ServeHTTP(w, req)
	})
}

func TestFind(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{
		"Dockerfile": "1", "api.Dockerfile": "2", "services/api/Dockerfile": "3", "services/web/Dockerfile": sourcetest.Exec("4"),
		"services-old/Dockerfile": "5", "link/Dockerfile": sourcetest.Link("../Dockerfile"),
		"module/Dockerfile": sourcetest.Submodule(strings.Repeat("1", 40)), "folder/Dockerfile/x": "6", "ü \"\n/Dockerfile": "7",
	})
	named := func(p string) bool { return path.Base(p) == "Dockerfile" || strings.HasSuffix(p, ".Dockerfile") }
	all := []string{
		"Dockerfile", "api.Dockerfile", "services-old/Dockerfile", "services/api/Dockerfile", "services/web/Dockerfile", "ü \"\n/Dockerfile",
	}
	for _, tt := range []struct {
		name  string
		limit int
		match func(string) bool
		want  []string
	}{
		{"all", 100, named, all},
		{"as many as there are", len(all), named, all},
		{"the first two", 2, named, all[:2]},
		{"none wanted", 0, named, nil},
		{"none matches", 10, func(string) bool { return false }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := open(t, r, "main").Find(t.Context(), tt.limit, tt.match)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	c := open(t, r, "main")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Find(ctx, 10, named); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
}

// A commit of ten small objects that has more files than anybody can list.
func TestFindInBomb(t *testing.T) {
	r := sourcetest.New(t, nil)
	r.Bomb("refs/heads/bomb", 9)
	c := open(t, r, "refs/heads/bomb")
	got, err := c.Find(t.Context(), 10, func(p string) bool { return strings.HasSuffix(p, "Dockerfile") })
	if err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	first, err := c.Find(t.Context(), 1, func(string) bool { return true })
	if err != nil || len(first) != 1 {
		t.Errorf("%q, %v", first, err)
	}
	r.Commit("refs/heads/small", "small", sourcetest.Files{"a": "1"})
	if _, err := c.Changed(t.Context(), r.Hash("refs/heads/small"), c.Hash()); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("compared with a bomb: %v", err)
	}
}

func TestRecords(t *testing.T) {
	for _, size := range []int{1, 2, 3, 100} {
		var got []string
		w := &records{limit: 100, fn: func(s string) bool { got = append(got, s); return len(got) < 3 }}
		text := "a\x00\x00bcd\x00e\x00"
		for text != "" && !w.stopped {
			n := min(size, len(text))
			_, _ = w.Write([]byte(text[:n]))
			text = text[n:]
		}
		if diff := cmp.Diff([]string{"a", "", "bcd"}, got); diff != "" {
			t.Errorf("%d bytes at a time: %s", size, diff)
		}
	}
}

func TestChangedAndMergeBase(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a/x": "1", "a/y": "1", "b": "1", "link": sourcetest.Link("b"), "old": "same"})
	first := r.Hash("main")
	second := r.Commit("refs/heads/main", "second", sourcetest.Files{"a/x": "2", "b": sourcetest.Exec("1"), "link": sourcetest.Link("a"), "ä \"\n": "new"})
	third := r.Commit("refs/heads/main", "third", sourcetest.Files{"old": sourcetest.Gone, "new": "same", "a/x": "1"})
	r.Git("branch", "topic", first)
	topic := r.Commit("refs/heads/topic", "topic", sourcetest.Files{"c": "1"})
	apart := r.Commit("refs/heads/apart", "apart", sourcetest.Files{"z": "1"})
	r.Git("tag", "-a", "-m", "one", "v1", first)
	gone := strings.Repeat("1", 40)

	for name, o := range map[string]origins{"directory": {Dir: r.Dir}, "http": overHTTP(t, r)} {
		t.Run(name, func(t *testing.T) {
			s := New(Options{Dir: t.TempDir(), Origins: o})
			c := openIn(t, s, first) // the others are fetched where they are asked for
			for _, tt := range []struct {
				name, from, to string
				want           []string
				missing        bool
			}{
				{"contents, modes and links", first, second, []string{"a/x", "b", "link", "ä \"\n"}, false},
				{"a rename is two names", second, third, []string{"a/x", "new", "old"}, false},
				{"backwards", third, second, []string{"a/x", "new", "old"}, false},
				{"over a commit that was undone", first, third, []string{"b", "link", "new", "old", "ä \"\n"}, false},
				{"the same", first, first, nil, false},
				{"without history in common", topic, apart, []string{"a/x", "a/y", "b", "c", "link", "old", "z"}, false},
				{"a tag stands for its commit", r.Hash("v1"), topic, []string{"c"}, false},
				{"from one that is gone", gone, first, nil, true},
				{"to one that is gone", first, gone, nil, true},
				{"from nothing: the ref is new", strings.Repeat("0", 40), first, nil, true},
				{"no commit at all", "main", first, nil, true},
				{"an option", "--output=/tmp/x", first, nil, true},
				{"a name of the other format", strings.Repeat("1", 64), first, nil, true},
			} {
				t.Run(tt.name, func(t *testing.T) {
					got, err := c.Changed(t.Context(), tt.from, tt.to)
					if tt.missing != errors.Is(err, builder.ErrNotFound) || !tt.missing && err != nil {
						t.Fatalf("error %v", err)
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Error(diff)
					}
				})
			}
			for _, tt := range []struct{ name, a, b, want string }{
				{"a line", first, third, first},
				{"a fork in the road", third, topic, first},
				{"itself", second, second, second},
				{"nothing in common", topic, apart, ""},
				{"gone", topic, gone, ""},
				{"no commit", "topic", first, ""},
			} {
				t.Run("merge base, "+tt.name, func(t *testing.T) {
					got, err := c.MergeBase(t.Context(), tt.a, tt.b)
					if got != tt.want || (tt.want == "") != errors.Is(err, builder.ErrNotFound) {
						t.Errorf("%q, %v; want %q", got, err, tt.want)
					}
				})
			}
		})
	}
}

// What cannot be asked is an error that is worth another try, and not
// "not found".
func TestChangedWithoutAnswer(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	s := fetching(t, r)
	c := openIn(t, s, r.Hash("main"))
	next := r.Commit("refs/heads/main", "next", sourcetest.Files{"a": "2"})
	away := r.Dir + ".away"
	if err := os.Rename(r.Dir, away); err != nil {
		t.Fatal(err)
	}
	_, err := c.Changed(t.Context(), c.Hash(), next)
	if f := new(builder.Failure); err == nil || errors.Is(err, builder.ErrNotFound) || errors.As(err, &f) {
		t.Errorf("error %v", err)
	}
}

// Refs: see refs.go. Both kinds of origin tell the same.
func TestRefs(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "1"})
	first := r.Hash("main")
	second := r.Commit("refs/heads/feature/x", "second", sourcetest.Files{"a": "2"})
	r.Git("tag", "light", second)
	r.Git("tag", "-a", "-m", "one", "v1", first)
	r.Git("tag", "-a", "-m", "of a tag", "v1-again", "v1")
	r.Git("update-ref", "refs/pull/7/head", second)
	r.Git("update-ref", "refs/notes/x", second)
	want := map[string]string{
		"refs/heads/main": first, "refs/heads/feature/x": second,
		"refs/tags/light": second, "refs/tags/v1": first, "refs/tags/v1-again": first,
	}
	empty := sourcetest.New(t, nil)
	for name, o := range map[string][2]origins{
		"directory": {{Dir: r.Dir}, {Dir: empty.Dir}},
		"http":      {overHTTP(t, r), overHTTP(t, empty)},
	} {
		t.Run(name, func(t *testing.T) {
			for i, want := range []map[string]string{want, {}} {
				got, err := New(Options{Dir: t.TempDir(), Origins: o[i]}).Refs(t.Context(), hello)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	if _, err := New(Options{Origins: origins{Dir: r.Dir + ".gone"}}).Refs(t.Context(), hello); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("of a directory that is gone: %v", err)
	}
	o := overHTTP(t, r)
	o.Header = "Authorization: Basic d3Jvbmc6d3Jvbmc="
	if _, err := New(Options{Origins: o}).Refs(t.Context(), hello); err == nil || strings.Contains(err.Error(), "d3Jvbmc") {
		t.Errorf("without a right: %v", err)
	}
}

// A pull request of a fork: its commits are in no branch of the repository.
func TestFetchForksCommit(t *testing.T) {
	for _, ref := range []string{"refs/pull/7/head", "refs/merge-requests/3/head"} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, old server %v", ref, old), func(t *testing.T) {
				r := sourcetest.New(t, sourcetest.Files{"a": "1"})
				r.Git("config", "uploadpack.allowAnySHA1InWant", "false")
				if old {
					r.Git("config", "protocol.version", "0")
				}
				r.Git("update-ref", ref, "main")
				before := r.Commit(ref, "of a fork", sourcetest.Files{"a": "fork"})
				head := r.Commit(ref, "of a fork, again", sourcetest.Files{"b": "fork"})
				s := New(Options{Dir: t.TempDir(), Origins: overHTTP(t, r)})
				c := openIn(t, s, before) // which is no head any more
				if got, err := c.ReadFile(t.Context(), "a", 10); err != nil || string(got) != "fork" {
					t.Errorf("read %q, %v", got, err)
				}
				changed, err := c.Changed(t.Context(), before, head)
				if diff := cmp.Diff([]string{"b"}, changed); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
				_, err = s.Open(t.Context(), hello, strings.Repeat("1", 40))
				wantFailure(t, err, "111111 is not in acme/hello")
			})
		}
	}
}
