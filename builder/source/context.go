package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/tonistiigi/fsutil"

	"github.com/registry-build/registry-build/builder"
)

// tree is a build context over git objects.
type tree struct {
	*index
	dir     string // in the repository
	objects *objects
}

var (
	_ builder.Context = (*tree)(nil)
	_ fsutil.FS       = (*tree)(nil)
)

// Context implements builder.Source. dir and dockerfile are relative to the
// root of the repository; dir may be a link inside the repository.
//
// What the .dockerignore leaves out is not in the context at all: walking,
// opening and hashing see the same files. The ignore file that counts is
// <dockerfile>.dockerignore if there is one, else .dockerignore in dir;
// BuildKit must not apply another one on top.
//
// Links are kept as they are, wherever they point: copied into an image they
// may be right. Only following one that leads out of the context is an error.
func (c *Commit) Context(ctx context.Context, dir, dockerfile string) (builder.Context, error) {
	at, err := c.resolve(ctx, dir)
	switch {
	case isNotExist(err):
		return nil, failure("the context %s is not there at commit %s: context names a folder, relative to the root of the repository", display(dir), short(c.hash))
	case err != nil:
		return nil, err
	case at.kind == submodule:
		return nil, failure("the context %s is a submodule, and submodules are not fetched yet", display(dir))
	case at.kind != folder:
		return nil, failure("the context %s is a file, not a folder", display(dir))
	}
	ignore, err := c.ignore(ctx, dir, dockerfile)
	if err != nil {
		return nil, err
	}
	x, err := c.index(ctx, at, ignore)
	if err != nil {
		var f *builder.Failure
		if errors.As(err, &f) {
			return nil, f
		}
		return nil, fmt.Errorf("read the context %s at commit %s: %w", display(dir), short(c.hash), err)
	}
	return &tree{index: x, dir: at.path, objects: c.objects}, nil
}

// index makes the index of a folder without what is ignored, or finds it
// among those that were made.
func (c *Commit) index(ctx context.Context, at place, ignore *ignoreFile) (*index, error) {
	key := strings.Join(append([]string{c.git.dir, at.hash}, ignore.patterns...), "\x00")
	if x, ok := c.sources.indexes.Get(key); ok {
		return x, nil
	}
	all, err := c.git.list(ctx, at.hash, maxListing)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, failure("the context %s holds too many files: listing them takes more than %d MiB; choose a folder with fewer files", display(cmp.Or(at.path, ".")), maxListing>>20)
	case err != nil:
		return nil, err
	}
	x, err := all.without(ctx, ignore)
	if err != nil {
		return nil, err
	}
	if err := c.complete(ctx, at.path, x); err != nil {
		return nil, err
	}
	x.sum()
	if len(x.entries) <= keptIndexFiles {
		c.sources.indexes.Add(key, x)
	}
	return x, nil
}

// without leaves out what is ignored, by the very code that BuildKit's client
// uses.
func (x *index) without(ctx context.Context, ignore *ignoreFile) (*index, error) {
	if len(ignore.patterns) == 0 {
		return x, nil
	}
	filtered, err := fsutil.NewFilterFS(&tree{index: x}, &fsutil.FilterOpt{ExcludePatterns: ignore.patterns})
	if err != nil {
		return nil, ignore.failure(err)
	}
	rest := &index{entries: make([]entry, 0, len(x.entries))}
	err = filtered.Walk(ctx, "/", func(name string, _ fs.DirEntry, err error) error {
		if i, ok := x.find(name); err == nil && ok {
			rest.entries = append(rest.entries, x.entries[i])
		}
		return err
	})
	return rest, err
}

// complete reads the targets of links and refuses what a build would take for
// something else: submodules and LFS pointers. Nothing else is read.
func (c *Commit) complete(ctx context.Context, dir string, x *index) error {
	var ask []int
	var hashes []string
	targets := int64(0)
	for i, e := range x.entries {
		switch {
		case e.kind == submodule:
			return failure("the context holds the submodule %s, and submodules are not fetched yet: name it in .dockerignore if the build does not need it, else move its files into this repository", display(path.Join(dir, e.path)))
		case e.kind == link && e.size > maxTarget:
			return failure("the symbolic link %s is too long: %d bytes", display(path.Join(dir, e.path)), e.size)
		case e.kind == link, e.kind == file && pointerSized(e.size):
			ask = append(ask, i)
			hashes = append(hashes, e.hash)
		}
		if e.kind == link {
			targets += e.size
		}
	}
	if targets > maxTargets {
		return failure("the targets of the context's symbolic links have %d bytes; at most %d are taken", targets, int64(maxTargets))
	}
	// The index is not shared yet, so its entries may still change.
	pointers := []string{}
	err := c.objects.readEach(ctx, hashes, func(i int, data []byte) {
		e := &x.entries[ask[i]]
		if e.kind == link {
			e.link = string(data)
		} else if isPointer(data) {
			pointers = append(pointers, path.Join(dir, e.path))
		}
	})
	if err == nil && len(pointers) > 0 {
		return pointerFailure(pointers...)
	}
	return err
}

// Walk implements builder.Context. BuildKit walks a link by its own path only
// to follow it, so that is where one that leads out is refused.
func (t *tree) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	if i, ok := t.find(path.Clean("/" + target)[1:]); ok {
		if err := t.followed(t.entries[i]); err != nil {
			return err
		}
	}
	return t.walk(ctx, target, fn)
}

// followed refuses a link that leads out of the context, unless BuildKit,
// which takes the context for the root of everything, finds its target.
func (t *tree) followed(e entry) error {
	if e.kind != link {
		return nil
	}
	to := path.Join(path.Dir(e.path), e.link)
	if !path.IsAbs(e.link) && to != ".." && !strings.HasPrefix(to, "../") {
		return nil
	}
	if path.IsAbs(e.link) {
		to = e.link
	}
	to = path.Clean("/" + to)[1:]
	if to == "" {
		return nil
	}
	for p := to; p != "."; p = path.Dir(p) {
		if i, ok := t.find(p); ok && (p == to || t.entries[i].kind == link) {
			return nil // there, or leading on: BuildKit will see
		}
	}
	return failure("the symbolic link %s points to %s, outside of the context, and COPY cannot follow it: copy the file itself into the context, or choose a context that holds both", display(path.Join(t.dir, e.path)), display(e.link))
}

// Open implements builder.Context. A blob is asked for when it is first read,
// and all errors but that of a path that is no file come from Read: BuildKit's
// sender takes a file that does not open for an empty one.
func (t *tree) Open(name string) (io.ReadCloser, error) {
	i, ok := t.find(path.Clean("/" + name)[1:])
	if !ok {
		return nil, notThere(name)
	}
	e := t.entries[i]
	if e.kind != file {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return t.objects.open(e.hash, e.size), nil
}

// Hash implements builder.Context: "sha256:" and 64 digits.
func (t *tree) Hash() string { return t.hash }

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
