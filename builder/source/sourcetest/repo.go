// Package sourcetest makes real git repositories for tests, without a work
// tree: it hides git fast-import, which takes any name and any mode.
package sourcetest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Files are the contents of a commit by path. Exec, Link, Submodule and Gone
// make other things than plain files.
type Files map[string]string

const (
	execMark      = "\x00exec\x00"
	linkMark      = "\x00link\x00"
	submoduleMark = "\x00submodule\x00"
	goneMark      = "\x00gone\x00"
)

// Exec is an executable file.
func Exec(content string) string { return execMark + content }

// Link is a symbolic link.
func Link(target string) string { return linkMark + target }

// Submodule is a submodule at a commit, 40 hexadecimal digits.
func Submodule(commit string) string { return submoduleMark + commit }

// Gone removes a path that an earlier commit had.
const Gone = goneMark

// Txtar reads Files from a txtar archive.
func Txtar(archive string) Files {
	files := Files{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// Repo is a bare repository in the test's temporary folder.
type Repo struct {
	Dir string
	t   testing.TB
	n   int // commits, for their times
}

// New makes a repository, without a commit if files is empty, else with one
// on refs/heads/main. Options go to git init, such as --object-format=sha256.
func New(t testing.TB, files Files, options ...string) *Repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("git is not installed: apt-get install -y git")
	}
	r := &Repo{Dir: filepath.Join(t.TempDir(), "repo.git"), t: t}
	args := append([]string{"init", "--quiet", "--bare", "--initial-branch=main"}, options...)
	r.run("", append(args, r.Dir)...)
	r.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	if len(files) > 0 {
		r.Commit("refs/heads/main", "first", files)
	}
	return r
}

// Commit puts a commit with changed files on a ref, and returns its hash.
func (r *Repo) Commit(ref, message string, files Files) string {
	r.t.Helper()
	var in bytes.Buffer
	r.n++
	fmt.Fprintf(&in, "commit %s\ncommitter A Person <person@example.com> %d +0200\ndata %d\n%s\n", ref, 1700000000+r.n, len(message), message)
	if parent := r.Hash(ref); parent != "" {
		fmt.Fprintf(&in, "from %s\n", parent)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode, content := "100644", files[name]
		switch {
		case content == Gone:
			fmt.Fprintf(&in, "D %s\n", quote(name))
			continue
		case strings.HasPrefix(content, submoduleMark):
			fmt.Fprintf(&in, "M 160000 %s %s\n", strings.TrimPrefix(content, submoduleMark), quote(name))
			continue
		case strings.HasPrefix(content, execMark):
			mode, content = "100755", strings.TrimPrefix(content, execMark)
		case strings.HasPrefix(content, linkMark):
			mode, content = "120000", strings.TrimPrefix(content, linkMark)
		}
		fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, quote(name), len(content), content)
	}
	r.run(in.String(), "--git-dir="+r.Dir, "fast-import", "--quiet", "--force")
	return r.Hash(ref)
}

// Hash returns what a ref or expression names, "" if nothing.
func (r *Repo) Hash(rev string) string {
	r.t.Helper()
	cmd := command("--git-dir="+r.Dir, "rev-parse", "--verify", "--quiet", rev)
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
}

// Git runs git in the repository and returns its output without the last
// line feed.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.run("", append([]string{"--git-dir=" + r.Dir}, args...)...)
}

func (r *Repo) run(stdin string, args ...string) string {
	r.t.Helper()
	cmd := command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSuffix(stdout.String(), "\n")
}

// command is git without the configuration of whoever runs the tests.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A Person", "GIT_AUTHOR_EMAIL=person@example.com",
		"GIT_COMMITTER_NAME=A Person", "GIT_COMMITTER_EMAIL=person@example.com")
	return cmd
}

// quote writes a path as fast-import reads it, whatever its bytes.
func quote(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(name) {
		fmt.Fprintf(&b, `\%03o`, c)
	}
	b.WriteByte('"')
	return b.String()
}

// Bomb puts a commit on a ref whose tree has ten files to the power of levels,
// though the repository holds one file and a tree for each level only.
func (r *Repo) Bomb(ref string, levels int) string {
	r.t.Helper()
	object := r.run("boom\n", "--git-dir="+r.Dir, "hash-object", "-w", "--stdin")
	entry := "100644 blob"
	for range levels {
		var tree strings.Builder
		for i := range 10 {
			fmt.Fprintf(&tree, "%s %s\t%d\n", entry, object, i)
		}
		object = r.run(tree.String(), "--git-dir="+r.Dir, "mktree")
		entry = "040000 tree"
	}
	r.Git("update-ref", ref, r.Git("commit-tree", "-m", "bomb", object))
	return r.Hash(ref)
}
