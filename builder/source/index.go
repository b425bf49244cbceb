package source

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// index is a folder of a commit with all that is below it. It does not change
// once it is made, and is shared by contexts.
type index struct {
	entries []entry // in the order of compare
	hash    string
}

// entry is a file, folder, link or submodule.
type entry struct {
	path string // relative to the indexed folder
	mode fs.FileMode
	kind kind
	hash string // of the git object
	size int64  // bytes; of a link, its target's
	link string // the target
}

// compare orders paths as BuildKit's receiver demands: a slash sorts before
// everything else, so a folder's files follow it at once ("a/b" before
// "a.b"). Git's own order is another: to git "a.b" comes before "a/b".
func compare(a, b entry) int { return fsutil.ComparePath(a.path, b.path) }

// epoch is the whole seconds of every modification time, the start of 2000.
// A constant: the receiver takes files of equal size and time for equal, so
// the time of the commit would make it ask for every file at every commit.
const epoch = 946684800

// stat is an entry as BuildKit's session sends it. The nanoseconds come from
// the content, so that a change that keeps the size is seen; layers have whole
// seconds only and do not show them.
func (e *entry) stat() *types.Stat {
	s := &types.Stat{Path: e.path, Mode: uint32(e.mode), Size: e.size, Linkname: e.link, ModTime: epoch * 1e9}
	if e.kind == file || e.kind == link {
		s.ModTime += nanoseconds(e.hash)
	}
	return s
}

// nanoseconds spreads object names over a second.
func nanoseconds(hash string) int64 {
	raw, err := hex.DecodeString(hash[:16])
	if err != nil {
		return 0 // parse lets no such name in
	}
	return int64(binary.BigEndian.Uint64(raw) % 1e9)
}

// maxListing is how many bytes git may write about a folder and all that is
// below it: more than a million files. Trees that hold one another many times
// over make a commit of a few kilobytes that no memory can hold when listed.
const maxListing = 128 << 20

// capped keeps what git writes, up to a limit.
type capped struct {
	text  strings.Builder
	limit int
	full  bool
}

func (l *capped) Write(p []byte) (int, error) {
	if l.full = l.text.Len()+len(p) > l.limit; l.full {
		return 0, errTooLarge
	}
	return l.text.Write(p)
}

// list reads a folder of the repository with all that is below it. The error
// is errTooLarge where that takes more than limit bytes to tell.
func (g git) list(ctx context.Context, tree string, limit int) (*index, error) {
	out := &capped{limit: limit}
	err := g.runInto(ctx, out, "", "ls-tree", "-r", "-t", "-l", "-z", "--full-tree", tree)
	if out.full {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, err
	}
	text := out.text.String()
	x := &index{entries: make([]entry, 0, strings.Count(text, "\x00"))}
	for text != "" {
		var record string
		record, text, _ = strings.Cut(text, "\x00")
		e, err := parse(record)
		if err != nil {
			return nil, err
		}
		x.entries = append(x.entries, e)
	}
	slices.SortFunc(x.entries, compare)
	for i := 1; i < len(x.entries); i++ {
		if x.entries[i].path == x.entries[i-1].path {
			return nil, failure("the commit has two files named %s: no build can hold both", display(x.entries[i].path))
		}
	}
	return x, nil
}

// parse reads a record of ls-tree: <mode> SP <type> SP <object> SP+ <size> TAB <path>.
func parse(record string) (entry, error) {
	head, name, _ := strings.Cut(record, "\t")
	f := strings.Fields(head)
	if len(f) != 4 || !objectName.MatchString(f[2]) {
		return entry{}, fmt.Errorf("git ls-tree answered %q", record)
	}
	k, executable, ok := kindOf(f[0])
	if !ok {
		return entry{}, failure("%s has the mode %s, which is no file, folder or link", display(name), f[0])
	}
	// Git refuses such names in a checkout, but its object format holds them.
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return entry{}, failure("the commit has a file named %s, which is no path", display(name))
		}
	}
	e := entry{path: name, kind: k, hash: f[2]}
	switch k {
	case folder, submodule:
		e.mode = fs.ModeDir | 0o755
		return e, nil
	case link:
		e.mode = fs.ModeSymlink | 0o777
	case file:
		e.mode = 0o644
		if executable {
			e.mode = 0o755
		}
	}
	size, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil {
		return entry{}, fmt.Errorf("git ls-tree answered %q: %w", record, err)
	}
	e.size = size
	return e, nil
}

// find returns the place of a path and whether it is there.
func (x *index) find(name string) (int, bool) {
	return slices.BinarySearchFunc(x.entries, name, func(e entry, name string) int {
		return fsutil.ComparePath(e.path, name)
	})
}

// walk calls fn for target and everything below it, as fs.WalkDir would, but
// never for the root itself.
func (x *index) walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = path.Clean("/" + target)[1:]
	first := 0
	if target != "" {
		var ok bool
		if first, ok = x.find(target); !ok {
			return silent(fn(target, nil, &fs.PathError{Op: "lstat", Path: target, Err: fs.ErrNotExist}))
		}
	}
	skip := "" // with its slash
	for i := first; i < len(x.entries); i++ {
		e := &x.entries[i]
		if target != "" && i > first && !strings.HasPrefix(e.path, target+"/") {
			break
		}
		if skip != "" && strings.HasPrefix(e.path, skip) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := fn(e.path, &fsutil.DirEntryInfo{Stat: e.stat()}, nil); {
		case err == fs.SkipAll:
			return nil
		case err == fs.SkipDir && e.mode.IsDir():
			skip = e.path + "/"
		case err == fs.SkipDir:
			if skip = path.Dir(e.path) + "/"; skip == "./" || e.path == target {
				return nil
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// silent takes a missing target for an empty one, as fsutil's own file system
// does: BuildKit asks for paths that may not be there.
func silent(err error) error {
	if err == fs.SkipDir || err == fs.SkipAll || isNotExist(err) {
		return nil
	}
	return err
}

// sum makes the hash of an index: everything that reaches the build. The
// object's name stands for its content.
func (x *index) sum() {
	h := sha256.New()
	h.Write([]byte("registry-build context 1\x00"))
	for _, e := range x.entries {
		content := e.hash
		if e.kind == folder {
			content = "" // its files follow, less those that were left out
		}
		fmt.Fprintf(h, "%o %s\x00%s\x00", uint32(e.mode), content, e.path)
	}
	x.hash = "sha256:" + hex.EncodeToString(h.Sum(nil))
}
