package buildkit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// mtime of files that are made here; see epoch.
const mtime = 946684800 * 1e9

// memory is a small file system in memory, in the form that a session sends.
type memory struct {
	entries []*fstypes.Stat // in the order of a walk
	data    map[string][]byte
}

// memoryOf holds the files and the directories above them. Of names that are
// equal the last one counts.
func memoryOf(files map[string][]byte) *memory {
	m := &memory{data: files}
	dirs := map[string]bool{}
	for name, data := range files {
		m.entries = append(m.entries, &fstypes.Stat{Path: name, Mode: 0o644, Size: int64(len(data)), ModTime: mtime})
		for dir := path.Dir(name); dir != "." && !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
			m.entries = append(m.entries, &fstypes.Stat{Path: dir, Mode: uint32(os.ModeDir | 0o755), ModTime: mtime})
		}
	}
	// A directory's content follows it before anything else does.
	slices.SortFunc(m.entries, func(a, b *fstypes.Stat) int {
		return slices.CompareFunc(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"), cmp.Compare)
	})
	return m
}

// Walk implements fsutil.FS.
func (m *memory) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = strings.Trim(path.Clean("/"+target), "/")
	var skipped string // below this directory
	for _, e := range m.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !within(target, e.Path) || skipped != "" && within(skipped, e.Path) {
			continue
		}
		err := fn(e.Path, &fsutil.DirEntryInfo{Stat: e.Clone()}, nil)
		switch {
		case err == nil:
		case errors.Is(err, fs.SkipAll):
			return nil
		case errors.Is(err, fs.SkipDir) && e.IsDir():
			skipped = e.Path
		case errors.Is(err, fs.SkipDir):
			if skipped = path.Dir(e.Path); skipped == "." {
				return nil
			}
		default:
			return err
		}
	}
	return nil
}

// within reports whether name is dir or below it; "" is the root.
func within(dir, name string) bool {
	rest, ok := strings.CutPrefix(name, dir)
	return ok && (dir == "" || rest == "" || rest[0] == '/')
}

// Open implements fsutil.FS.
func (m *memory) Open(name string) (io.ReadCloser, error) {
	data, ok := m.data[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}
