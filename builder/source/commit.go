package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/registry-build/registry-build/builder"
)

// Commit is one commit of a repository. Its methods may be called
// concurrently until Close.
type Commit struct {
	sources *Sources
	repo    builder.Repository
	origin  builder.Origin
	mirror  *mirror // nil where the origin is a directory
	git     git
	objects *objects

	hash string // of the commit
	tree string // of its root folder

	closing sync.Once
}

var _ builder.Source = (*Commit)(nil)

// load finds the commit, fetching it where it is not here yet.
func (c *Commit) load(ctx context.Context, name string) error {
	obj, data, err := c.objects.read(ctx, name+"^{commit}", largest)
	if err != nil {
		return fmt.Errorf("open %s at %s: %w", c.repo.FullName(), short(name), err)
	}
	if obj.kind == "" && c.mirror != nil {
		if err := c.fetch(ctx, name); err != nil {
			return err
		}
		if obj, data, err = c.objects.read(ctx, name+"^{commit}", largest); err != nil {
			return fmt.Errorf("open %s at %s: %w", c.repo.FullName(), short(name), err)
		}
	}
	if obj.kind == "" {
		return failure("the commit %s is not in %s any more: it was deleted or replaced by a force push; push again", short(name), c.repo.FullName())
	}
	tree, ok := strings.CutPrefix(string(data), "tree ")
	tree, _, _ = strings.Cut(tree, "\n")
	if !ok || !objectName.MatchString(tree) {
		return fmt.Errorf("open %s: commit %s has no tree", c.repo.FullName(), short(name))
	}
	c.hash, c.tree = obj.hash, tree
	return nil
}

// Hash is the commit's own hash, also where a tag's object was opened.
func (c *Commit) Hash() string { return c.hash }

// Close ends the processes behind the source and waits for them. Contexts of
// the source cannot be read after it.
func (c *Commit) Close() error {
	c.closing.Do(func() {
		c.objects.close()
		if c.mirror != nil {
			c.mirror.release()
		}
	})
	return nil
}

// ReadFile implements builder.Source. Symbolic links inside the repository
// are followed.
func (c *Commit) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	at, err := c.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	switch at.kind {
	case folder:
		return nil, failure("%s is a folder, not a file", display(name))
	case submodule:
		return nil, failure("%s is a submodule, not a file", display(name))
	}
	obj, data, err := c.objects.read(ctx, at.hash, limit)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, failure("%s has %d bytes; at most %d are read", display(name), obj.size, limit)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", display(name), err)
	case obj.kind != "blob":
		return nil, fmt.Errorf("read %s: blob %s is missing from the repository", display(name), at.hash)
	case isPointer(data):
		return nil, pointerFailure(name)
	}
	return data, nil
}

// Descends implements builder.Source. A commit that is not here is asked of
// the origin; one that is gone there too descends from nothing, and nothing
// from it.
func (c *Commit) Descends(ctx context.Context, ancestor, commit string) (bool, error) {
	for _, name := range []string{ancestor, commit} {
		if !objectName.MatchString(name) {
			return false, nil
		}
	}
	if ancestor == commit {
		return true, nil
	}
	for _, name := range []string{ancestor, commit} {
		here, err := c.has(ctx, name)
		if err != nil || !here {
			return false, err
		}
	}
	_, err := c.git.run(ctx, "", "merge-base", "--is-ancestor", ancestor, commit)
	var answer *gitError
	if errors.As(err, &answer) && answer.code == 1 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare %s with %s: %w", short(ancestor), short(commit), err)
	}
	return true, nil
}

// has reports whether the commit is here, or could be fetched.
func (c *Commit) has(ctx context.Context, name string) (bool, error) {
	obj, _, err := c.objects.read(ctx, name+"^{commit}", largest)
	if err != nil || obj.kind != "" || c.mirror == nil || len(name) != len(c.hash) || strings.Trim(name, "0") == "" {
		return err == nil && obj.kind != "", err
	}
	if err := c.fetch(ctx, name); err != nil {
		if gone := new(builder.Failure); errors.As(err, &gone) {
			return false, nil
		}
		return false, err
	}
	return true, nil
}

// notThere is the error for a path that the commit does not have.
func notThere(name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
