package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/registry-build/registry-build/builder"
)

// Two commits may differ in more than anybody can list: small trees that hold
// one another many times over. Beyond these it is not known what changed.
const (
	maxChanged      = 100_000 // paths
	maxChangedTrees = 100_000 // that are read for it
)

var errTooDifferent = fmt.Errorf("they differ in too much: %w", builder.ErrNotFound)

// Changed implements builder.History, in the order of the paths' bytes. A file
// that was renamed is there under both names. The error is ErrNotFound, too,
// for commits that differ in more than 100,000 paths: then it is not known
// what changed. Git's own diff-tree keeps all of them in memory before it says
// the first, so trees are compared here; those that are equal are not read.
func (c *Commit) Changed(ctx context.Context, from, to string) ([]string, error) {
	paths, err := c.changed(ctx, from, to)
	if err != nil {
		return nil, fmt.Errorf("compare %s with %s: %w", short(from), short(to), err)
	}
	return paths, nil
}

func (c *Commit) changed(ctx context.Context, from, to string) ([]string, error) {
	if err := c.both(ctx, from, to); err != nil {
		return nil, err
	}
	d := &difference{commit: c}
	todo := []pair{{old: from + "^{tree}", new: to + "^{tree}"}}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		folders, err := d.compare(ctx, next)
		if err != nil {
			return nil, err
		}
		todo = append(todo[:len(todo)-1], folders...)
	}
	slices.Sort(d.paths)
	// What was a folder and is a file now is there once for each.
	return slices.Compact(d.paths), nil
}

// pair is a folder before and after; "" where there is none.
type pair struct{ path, old, new string }

type difference struct {
	commit *Commit
	paths  []string
	trees  int
}

// compare notes the files that differ in one folder, and returns the folders
// in it that do.
func (d *difference) compare(ctx context.Context, p pair) ([]pair, error) {
	before, err := d.read(ctx, p.old)
	if err != nil {
		return nil, err
	}
	after, err := d.read(ctx, p.new)
	if err != nil {
		return nil, err
	}
	prefix := p.path
	if prefix != "" {
		prefix += "/"
	}
	var folders []pair
	note := func(name string, old, new leaf) error {
		at := prefix + name
		if len(at) > maxTarget { // longer than any path can be
			return errTooDifferent
		}
		f := pair{path: at}
		if old.isFolder() {
			f.old, old = old.hash, leaf{}
		}
		if new.isFolder() {
			f.new, new = new.hash, leaf{}
		}
		if f.old != f.new {
			folders = append(folders, f)
		}
		if old.mode != new.mode || old.hash != new.hash {
			d.paths = append(d.paths, at)
		}
		if len(d.paths) > maxChanged || len(folders) > maxChangedTrees {
			return errTooDifferent
		}
		return nil
	}
	for _, e := range after {
		if err := note(e.name, before[e.name], e); err != nil {
			return nil, err
		}
	}
	for _, e := range before {
		if _, both := after[e.name]; !both {
			if err := note(e.name, e, leaf{}); err != nil {
				return nil, err
			}
		}
	}
	return folders, nil
}

// read returns the entries of a tree by name.
func (d *difference) read(ctx context.Context, tree string) (map[string]leaf, error) {
	if tree == "" {
		return nil, nil
	}
	if d.trees++; d.trees > maxChangedTrees {
		return nil, errTooDifferent
	}
	obj, data, err := d.commit.objects.read(ctx, tree, largest)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, errTooDifferent
	case err != nil:
		return nil, err
	case obj.kind != "tree":
		return nil, fmt.Errorf("tree %s is missing from the repository", tree)
	}
	entries := map[string]leaf{}
	err = d.commit.entries(data, func(e leaf) bool {
		entries[e.name] = e
		return true
	})
	return entries, err
}

func (l leaf) isFolder() bool { return l.mode == "40000" || l.mode == "040000" }
