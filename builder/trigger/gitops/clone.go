package gitops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/registry-build/registry-build/builder/trigger/gitops/manifest"
)

const (
	depth     = "100" // commits of a branch that are known: the order of updates is read from them
	manyPacks = 60    // after so many fetches a clone is made anew: it is only a cache
	manyRefs  = 500   // … or so many commits
	lockPoll  = 20 * time.Millisecond
)

// clone is a bare and shallow repository without files: what a commit holds
// is fetched when it is looked at. One update at a time uses it.
type clone struct {
	git
	unlock func()
}

// openClone takes the clone of a key, for one update.
func (k *Kind) openClone(ctx context.Context, key string, remote Remote) (*clone, error) {
	sum := sha256.Sum256([]byte(key + "\x00" + remote.URL))
	dir := filepath.Join(k.o.Dir, hex.EncodeToString(sum[:16])+".git")
	if err := os.MkdirAll(k.o.Dir, 0o700); err != nil {
		return nil, err
	}
	file := flock.New(strings.TrimSuffix(dir, ".git")+".lock", flock.SetPermissions(0o600))
	if _, err := file.TryLockContext(ctx, lockPoll); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	return &clone{git: git{dir: dir, remote: remote, author: k.o.Author}, unlock: func() { _ = file.Close() }}, nil
}

// refs are what the remote has of what was asked for.
type refs struct {
	head string            // branch that HEAD names
	at   map[string]string // branch -> commit
}

// list asks the remote where branches are.
func (c *clone) list(ctx context.Context, branches ...string) (refs, error) {
	args := []string{"ls-remote", "--quiet", "--symref", "--", c.remote.URL, "HEAD"}
	for _, b := range branches {
		args = append(args, "refs/heads/"+b)
	}
	out, err := git{remote: c.remote, author: c.author}.run(ctx, "", args...)
	if err != nil {
		return refs{}, err
	}
	r := refs{at: map[string]string{}}
	tip := ""
	for line := range strings.Lines(out) {
		what, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		switch ref, symbolic := strings.CutPrefix(what, "ref: refs/heads/"); {
		case symbolic && name == "HEAD":
			r.head = ref
		case name == "HEAD":
			tip = what
		case strings.HasPrefix(name, "refs/heads/"):
			r.at[strings.TrimPrefix(name, "refs/heads/")] = what
		}
	}
	if r.head != "" && r.at[r.head] == "" {
		r.at[r.head] = tip
	}
	return r, nil
}

// prepare makes the clone, where it is not there or has become too large, and
// takes away what a git left that was killed.
func (c *clone) prepare(ctx context.Context, commit string) error {
	packs, _ := filepath.Glob(filepath.Join(c.dir, "objects", "pack", "*.pack"))
	kept, _ := filepath.Glob(filepath.Join(c.dir, "refs", "fetched", "*"))
	_, err := os.Stat(filepath.Join(c.dir, ready))
	if err == nil && len(packs) < manyPacks && len(kept) < manyRefs {
		return filepath.WalkDir(c.dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (strings.HasSuffix(name, ".lock") || strings.HasPrefix(d.Name(), "tmp_")) {
				return os.Remove(name)
			}
			return err
		})
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return err
	}
	format := "sha1"
	if len(commit) == 64 {
		format = "sha256"
	}
	if _, err := c.run(ctx, "", "init", "--quiet", "--bare", "--template=", "--object-format="+format); err != nil {
		return err
	}
	for _, kv := range [][2]string{{"core.repositoryFormatVersion", "1"}, {"extensions.partialClone", origin}} {
		if _, err := c.run(ctx, "", "config", kv[0], kv[1]); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(c.dir, ready), nil, 0o600)
}

// ready is the file that is written last when a clone is made.
const ready = "ready"

// discard lets the next update begin with a new clone.
func (c *clone) discard() { _ = os.Remove(filepath.Join(c.dir, ready)) }

// has reports whether the commit is here, with its history.
func (c *clone) has(ctx context.Context, commit string) bool {
	// rev-list would fetch; the ref shows that it was fetched.
	_, err := c.run(ctx, "", "show-ref", "--verify", "--quiet", "refs/fetched/"+commit)
	return err == nil
}

// fetch brings commits here, by the names that the remote gave.
func (c *clone) fetch(ctx context.Context, commits ...string) error {
	var want []string
	for _, commit := range commits {
		if !c.has(ctx, commit) {
			want = append(want, "+"+commit+":refs/fetched/"+commit)
		}
	}
	if len(want) == 0 {
		return nil
	}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance", "--depth=" + depth}
	_, err := c.run(ctx, "", append(append(args, "--filter=blob:none", origin), want...)...)
	if said(err, "filter") {
		_, err = c.run(ctx, "", append(append(args, "--no-filter", origin), want...)...)
	}
	if said(err, "not our ref", "unadvertised object") {
		return errMoved // since it was listed
	}
	return err
}

// entry is one line of a tree.
type entry struct{ mode, kind, object, name string }

func (c *clone) tree(ctx context.Context, tree string) ([]entry, error) {
	out, err := c.run(ctx, "", "ls-tree", "-z", tree)
	if err != nil {
		return nil, err
	}
	var list []entry
	for line := range strings.SplitSeq(out, "\x00") {
		meta, name, ok := strings.Cut(line, "\t")
		parts := strings.Fields(meta)
		if ok && len(parts) == 3 {
			list = append(list, entry{parts[0], parts[1], parts[2], name})
		}
	}
	return list, nil
}

// file is a file of a commit.
type file struct {
	mode string
	text []byte
}

// errNoFile is a path that is no file of the commit; its text ends a sentence.
type errNoFile struct{ is string }

func (e errNoFile) Error() string { return e.is }

// read returns a file of a commit or tree. errNoFile.
func (c *clone) read(ctx context.Context, commit, path string) (file, error) {
	tree := commit
	parts := strings.Split(path, "/")
	for i, part := range parts {
		list, err := c.tree(ctx, tree)
		if err != nil {
			return file{}, err
		}
		var found entry
		for _, e := range list {
			if e.name == part {
				found = e
			}
		}
		switch last := i == len(parts)-1; {
		case found.name == "":
			return file{}, errNoFile{"is not there"}
		case !last && found.kind == "tree":
			tree = found.object
		case found.kind == "commit":
			return file{}, errNoFile{"is in a submodule; name the repository that it belongs to"}
		case found.mode == "120000":
			return file{}, errNoFile{"is a symbolic link; name the file that it leads to"}
		case !last:
			return file{}, errNoFile{"is not there"}
		case found.kind == "tree":
			return file{}, errNoFile{"is a folder"}
		default:
			text, err := c.run(ctx, "", "cat-file", "blob", found.object)
			if len(text) > manifest.MaxFile {
				return file{}, errNoFile{fmt.Sprintf("is larger than %d KiB", manifest.MaxFile>>10)}
			}
			return file{found.mode, []byte(text)}, err
		}
	}
	return file{}, errNoFile{"is not there"}
}

// write makes a tree with the file in place of the one that is there.
func (c *clone) write(ctx context.Context, tree, path string, f file) (string, error) {
	object, err := c.line(ctx, string(f.text), "hash-object", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	return c.replace(ctx, tree, strings.Split(path, "/"), entry{mode: f.mode, kind: "blob", object: object})
}

// replace makes the tree anew with another entry at the path. Only the trees
// on the way are looked at, however large the repository is.
func (c *clone) replace(ctx context.Context, tree string, path []string, with entry) (string, error) {
	list, err := c.tree(ctx, tree)
	if err != nil {
		return "", err
	}
	var lines strings.Builder
	done := false
	for _, e := range list {
		if e.name == path[0] {
			if len(path) > 1 {
				if e.object, err = c.replace(ctx, e.object, path[1:], with); err != nil {
					return "", err
				}
			} else {
				e.mode, e.kind, e.object = with.mode, with.kind, with.object
			}
			done = true
		}
		fmt.Fprintf(&lines, "%s %s %s\t%s\x00", e.mode, e.kind, e.object, e.name)
	}
	if !done {
		return "", errors.New("the file is gone")
	}
	return c.line(ctx, lines.String(), "mktree", "-z", "--missing")
}

// commit makes a commit of a tree over a parent.
func (c *clone) commit(ctx context.Context, tree, parent, message string) (string, error) {
	return c.line(ctx, message, "commit-tree", tree, "-p", parent)
}

// errMoved says that the branch is not where it was: nothing was pushed.
var errMoved = errors.New("the branch has moved")

// push lets a branch name the commit, "" for none, if it still is where it
// was; "" for a branch that is not there. errMoved.
func (c *clone) push(ctx context.Context, branch, old, commit string) error {
	ref := "refs/heads/" + branch
	args := []string{"push", "--porcelain", "--no-verify", "--no-signed", "--force-with-lease=" + ref + ":" + old}
	for _, o := range c.remote.PushOptions {
		args = append(args, "--push-option="+o)
	}
	_, err := c.run(ctx, "", append(args, origin, commit+":"+ref)...)
	if said(err, "stale info", "fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref", "incorrect old value", "reference already exists", "but expected") {
		return errMoved
	}
	if err == nil && commit != "" {
		_, err = c.run(ctx, "", "update-ref", "refs/fetched/"+commit, commit)
		if err != nil { // the push stands all the same
			c.discard()
			err = nil
		}
	}
	return err
}
