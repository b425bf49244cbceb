package plaingit_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

func TestAccess(t *testing.T) {
	s := start(t)
	w := newWork(t)
	w.commit("a", "1")
	w.git("push", s.remote("acme", "acme/hello"), "main")
	w.git("push", s.remote("writer", "other/hello"), "main")
	bare := s.url + "/git/acme/hello.git"
	for _, tt := range []struct {
		name, remote, want string
		args               []string
	}{
		{"no token", bare, "could not read Username", []string{"ls-remote"}},
		{"wrong token", s.remote("guess", "acme/hello"), "Authentication failed", []string{"ls-remote"}},
		{"token that may only read", s.remote("reader", "acme/hello"), "it may only read", []string{"push"}},
		{"token of another repository", s.remote("acme", "other/hello"), "it is for acme/*", []string{"push"}},
		{"reading another repository", s.remote("acme", "other/hello"), "it is for acme/*", []string{"ls-remote"}},
		{"reading what is not there", s.remote("reader", "acme/none"), "there is no repository acme/none", []string{"ls-remote"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			w.refuse(tt.want, append(tt.args, tt.remote, "main")...)
		})
	}
	if n := len(s.store.accepted()); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	// Each step asks, not only the first.
	resp, err := http.Post(bare+"/git-receive-pack", "application/x-git-receive-pack-request", strings.NewReader("0000"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("POST without a token: %s, %q", resp.Status, resp.Header.Get("WWW-Authenticate"))
	}
}

func TestNoCreation(t *testing.T) {
	s := startIn(t, newFolders(t), newMemory(), func(o *plaingit.Options) { o.Create = false })
	w := newWork(t)
	w.commit("a", "1")
	w.refuse("lets no push make one", "push", s.remote("writer", "acme/hello"), "main")
}

func TestEvilPaths(t *testing.T) {
	s := start(t)
	for _, path := range []string{
		"--upload-pack=x/y", "x/--upload-pack=x", "../../x", "..%2f..%2fx/y", "%2e%2e/outside", "../outside",
		"a/..git", "a/.git", "a/..", "a/x.git.git", "a/x..y", "a/x.lock", "a/b/c", "a", "", "/a/b", "a//b",
		"a/b%00", "a/b%0a", "a/%62", "a/" + strings.Repeat("n", 101), ".empty", "./.empty", "a/é", `a\b/c`,
	} {
		for _, suffix := range []string{"/info/refs?service=git-receive-pack", "/git-receive-pack"} {
			method := http.MethodGet
			if strings.HasPrefix(suffix, "/git") {
				method = http.MethodPost
			}
			// As it comes over the wire, without a client's or a mux's tidying.
			wire := method + " /git/" + path + suffix + " HTTP/1.1\r\nHost: git\r\n\r\n"
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			req.SetBasicAuth("x", "writer")
			req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
			rec := httptest.NewRecorder()
			s.Handler().ServeHTTP(rec, req)
			if rec.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", method, req.URL, rec.Code, rec.Body)
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(s.root, "[^.]*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("folders were made: %v", left)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	s := start(t)
	w := newWork(t)
	w.commit("a", "1")
	w.git("push", s.remote("writer", "acme/hello"), "main")
	if err := os.Symlink(filepath.Join(s.root, "acme"), filepath.Join(s.root, "link")); err != nil {
		t.Fatal(err)
	}
	w.refuse("500", "ls-remote", s.remote("reader", "link/hello"))
	alternates := filepath.Join(s.root, "acme", "hello.git", "objects", "info", "alternates")
	if err := os.MkdirAll(filepath.Dir(alternates), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alternates, []byte("/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.refuse("500", "ls-remote", s.remote("reader", "acme/hello"))
}

func TestSpelling(t *testing.T) {
	s := start(t)
	w := newWork(t)
	w.commit("a", "1")
	w.git("push", s.remote("writer", "acme/hello"), "main")
	w.refuse(`acme/Hello is there already as "hello": write it like that`, "push", s.remote("writer", "acme/Hello"), "main")
	w.refuse(`is there already as "acme"`, "push", s.remote("writer", "ACME/other"), "main")
}

func TestEvilRefs(t *testing.T) {
	s := start(t)
	w := newWork(t)
	w.commit("a", "1")
	remote := s.remote("writer", "acme/hello")
	w.git("push", remote, "main")
	before := w.git("ls-remote", remote)
	w.refuse("refs/heads/-x: a name that begins with '-' would be taken for an option", "push", remote, "main:refs/heads/-x", "main:refs/heads/good")
	w.refuse("refs/tags/--upload-pack=x: a name", "push", remote, "main:refs/tags/--upload-pack=x")
	w.refuse("is not UTF-8", "push", remote, "main:refs/heads/\xff")
	if after := w.git("ls-remote", remote); after != before {
		t.Errorf("refs moved:\n%s\nbefore:\n%s", after, before)
	}
	// A name that a shell would take apart is only a name.
	const odd = "refs/heads/$(reboot);é'\"|"
	w.git("push", remote, "main:"+odd)
	if got := s.store.awaitEvents(t, 2)[1]; got.Ref != odd {
		t.Errorf("ref %q, want %q", got.Ref, odd)
	}
}

// A tag is built at the commit that its own object names, whatever
// replacement somebody pushes for that object.
func TestReplacementsAreNotFollowed(t *testing.T) {
	s := start(t)
	w := newWork(t)
	first := w.commit("a", "1")
	w.git("tag", "-a", "-m", "one", "one")
	w.commit("a", "2")
	w.git("tag", "-a", "-m", "two", "two")
	w.git("update-ref", "refs/replace/"+w.git("rev-parse", "one"), w.git("rev-parse", "two"))
	w.git("push", s.remote("writer", "acme/hello"), "main", "refs/replace/*:refs/replace/*")
	w.git("push", s.remote("writer", "acme/hello"), "one")
	events := s.store.awaitEvents(t, 2)
	if e := events[len(events)-1]; e.Ref != "refs/tags/one" || e.Commit != first {
		t.Errorf("%s stands at %s, want %s", e.Ref, e.Commit, first)
	}
}

func TestBadRequests(t *testing.T) {
	s := start(t)
	w := newWork(t)
	w.commit("a", "1")
	w.git("push", s.remote("writer", "acme/hello"), "main")
	const pack = "application/x-git-upload-pack-request"
	for _, tt := range []struct {
		name, method, path, contentType, encoding string
		status                                    int
		want                                      string
	}{
		{"browser", "GET", "", "", "", 404, "this is a git remote: git clone"},
		{"dumb protocol", "GET", "/info/refs", "", "", 403, "smart protocol"},
		{"unknown service", "GET", "/info/refs?service=git-upload-archive", "", "", 403, "smart protocol"},
		{"a file of the repository", "GET", "/HEAD", "", "", 404, "this is a git remote"},
		{"wrong method", "GET", "/git-upload-pack", "", "", 405, "answers POST"},
		{"a form", "POST", "/git-upload-pack", "text/plain", "", 415, "content type must be " + pack},
		{"not gzip", "POST", "/git-upload-pack", pack, "gzip", 400, "not gzip"},
		{"another encoding", "POST", "/git-upload-pack", pack, "br", 415, "gzip or none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, s.remote("reader", "acme/hello")+tt.path, strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			req.Header.Set("Content-Encoding", tt.encoding)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("%d %q, want %d and %q", resp.StatusCode, body, tt.status, tt.want)
			}
		})
	}
}

func TestSocketPath(t *testing.T) {
	in := newFolders(t)
	_, err := plaingit.New(plaingit.Options{Root: in.root, RunDir: filepath.Join(in.runDir, strings.Repeat("d", 100)), HookBinary: "x"})
	if err == nil || !strings.Contains(err.Error(), "choose a shorter data folder") {
		t.Errorf("New with a long path: %v", err)
	}
}
