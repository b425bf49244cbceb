package gitserver_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

func text(s string) *string { return &s }

func repository(t *testing.T) (gitserver.Repo, string) {
	t.Helper()
	r := gitserver.Repo(filepath.Join(t.TempDir(), "r.git"))
	if err := r.Init("main", "refs/pull"); err != nil {
		t.Fatal(err)
	}
	sha, err := r.Commit("", "First\n\nof many", map[string]*string{"a": text("a"), "d/b": text("b")}, gitserver.Who("Ada", "ada@example.com", 1000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run("update-ref", "refs/heads/main", sha); err != nil {
		t.Fatal(err)
	}
	return r, sha
}

func TestRepo(t *testing.T) {
	r, first := repository(t)
	before, err := r.Refs("refs/heads")
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Commit(first, "Second", map[string]*string{"a": text("A"), "d/b": nil, "c": text("c")}, gitserver.Who("Bob", "bob@example.com", 2000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run("update-ref", "refs/heads/main", second); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run("update-ref", "refs/tags/v1", first); err != nil {
		t.Fatal(err)
	}
	after, err := r.Refs("refs/heads", "refs/tags")
	if err != nil {
		t.Fatal(err)
	}
	want := []gitserver.Move{{Ref: "refs/heads/main", Before: first, After: second}, {Ref: "refs/tags/v1", Before: gitserver.ZeroSHA, After: first}}
	moves := gitserver.Compare(before, after)
	if diff := cmp.Diff(want, moves); diff != "" {
		t.Error(diff)
	}
	if got := []any{moves[0].Branch(), moves[0].Tag(), moves[1].Branch(), moves[1].Tag(), moves[1].Created(), moves[1].Deleted()}; !cmp.Equal(got, []any{"main", "", "", "v1", true, false}) {
		t.Errorf("%v", got)
	}
	added, modified, removed, err := r.Changed(second)
	if diff := cmp.Diff([][]string{{"c"}, {"a"}, {"d/b"}}, [][]string{added, modified, removed}); diff != "" || err != nil {
		t.Error(diff, err)
	}
	c, err := r.Read(first)
	if err != nil || c.Message != "First\n\nof many" || c.Author.Name != "Ada" || c.Committer.At.Unix() != 1000 || c.Parents != nil {
		t.Errorf("%+v %v", c, err)
	}
	for name, want := range map[string]string{"main": second, "v1": first, "refs/heads/main": second, first: first, "nowhere": "", "--help": "", "": ""} {
		if got := r.Resolve(name); got != want {
			t.Errorf("%q is %q, not %q", name, got, want)
		}
	}
}

// TestServe is a clone and a push; the push is seen from both sides, and
// cannot move the forge's own refs.
func TestServe(t *testing.T) {
	r, first := repository(t)
	var pushed []gitserver.Move
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		call, ok := gitserver.Parse(req)
		if !ok || call.Path != "/x/r.git" {
			http.NotFound(w, req)
			return
		}
		call.Serve(w, req, r, slog.New(slog.DiscardHandler), func(run func()) error {
			before, _ := r.Refs()
			run()
			after, err := r.Refs()
			pushed = gitserver.Compare(before, after)
			return err
		})
	}))
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "work")
	git := func(ok bool, args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
		if out, err := cmd.CombinedOutput(); (err == nil) != ok {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	git(true, "clone", "-q", server.URL+"/x/r.git", dir)
	git(true, "-C", dir, "push", "-q", "origin", "HEAD:refs/heads/topic")
	if diff := cmp.Diff([]gitserver.Move{{Ref: "refs/heads/topic", Before: gitserver.ZeroSHA, After: first}}, pushed); diff != "" {
		t.Error(diff)
	}
	git(false, "-C", dir, "push", "-q", "origin", "HEAD:refs/pull/1/head")
	git(false, "ls-remote", server.URL+"/y/r.git")
	for _, address := range []string{"/x/r.git/info/refs", "/x/r.git/info/refs?service=git-archive", "/x/r.git/HEAD"} {
		req := httptest.NewRequest(http.MethodGet, address, nil)
		if _, ok := gitserver.Parse(req); ok {
			t.Errorf("%s is a call of git's", address)
		}
	}
}
