package plaingit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// defaultBranch is what HEAD names in a new repository.
const defaultBranch = "main"

// segment is an owner or a name: what stays one path component, never looks
// like an option and needs no escaping in a URL.
var segment = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

// repository is one bare repository, there or not yet.
type repository struct {
	path        string // owner/name: the id
	owner, name string
	dir         string
}

// repository checks an id from outside. The error is a sentence for the person
// who wrote it.
func (f *Forge) repository(id string) (repository, error) {
	owner, name, ok := strings.Cut(id, "/")
	if !ok || strings.Contains(name, "/") {
		return repository{}, fmt.Errorf("the path is /git/OWNER/NAME.git, not %q", id)
	}
	for _, s := range []string{owner, name} {
		if err := checkSegment(s); err != nil {
			return repository{}, err
		}
	}
	return repository{
		path: id, owner: owner, name: name,
		dir: filepath.Join(f.opts.Root, owner, name+".git"),
	}, nil
}

func checkSegment(s string) error {
	switch lower := strings.ToLower(s); {
	case !segment.MatchString(s):
		return fmt.Errorf("%q cannot be an owner or a name: write up to 100 letters, digits, '-', '_' and '.', a letter or digit first", s)
	case strings.Contains(s, ".."), strings.HasSuffix(s, "."):
		return fmt.Errorf("%q cannot be an owner or a name: no two dots in a row and none at the end", s)
	case strings.HasSuffix(lower, ".git"), strings.HasSuffix(lower, ".lock"):
		return fmt.Errorf("%q cannot be an owner or a name: .git and .lock at the end belong to git", s)
	}
	return nil
}

// domain is the repository as the rest of the house knows it.
func (r repository) domain(branch string) builder.Repository {
	return builder.Repository{Forge: Instance, ID: r.path, Owner: r.owner, Name: r.name, DefaultBranch: branch}
}

func (r repository) key() string { return r.domain("").Key() }

// check reports builder.ErrNotFound when the repository is not there, and
// refuses what only somebody with access to the folder can have put there and
// what would lead out of it.
func (r repository) check() error {
	for _, dir := range []string{filepath.Dir(r.dir), r.dir} {
		info, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return builder.ErrNotFound
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is no folder: links are not followed", dir)
		}
	}
	if _, err := os.Lstat(filepath.Join(r.dir, "objects", "info", "alternates")); err == nil {
		return errors.New("objects/info/alternates: borrowed objects are not served")
	}
	return nil
}

// head returns the branch that HEAD names, "" where it names none.
func (r repository) head() (string, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, "HEAD"))
	if err != nil {
		return "", err
	}
	branch, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "ref: refs/heads/")
	if !ok {
		return "", nil
	}
	return branch, nil
}

// setHead lets HEAD name another branch, which exists.
func (f *Forge) setHead(ctx context.Context, r repository, branch string) error {
	_, err := f.output(ctx, r, "symbolic-ref", "HEAD", "refs/heads/"+branch)
	return err
}

// chooseHead returns the default branch of a repository whose HEAD names
// current: another one only where current is not there and branches are.
func chooseHead(current string, branches []string) string {
	for _, b := range []string{current, defaultBranch, "master"} {
		if slices.Contains(branches, b) {
			return b
		}
	}
	if len(branches) == 0 {
		return current
	}
	return slices.Min(branches)
}

// create makes the repository if it is not there, in one step. The error is a
// sentence where it is a *refusal.
func (f *Forge) create(ctx context.Context, r repository) (created bool, err error) {
	f.creating.Lock()
	defer f.creating.Unlock()
	if err := r.check(); !errors.Is(err, builder.ErrNotFound) {
		return false, err
	}
	if err := f.spelling(r); err != nil {
		return false, err
	}
	next, err := os.MkdirTemp(f.opts.Root, ".new-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(next)
	if err := f.initBare(ctx, next); err != nil {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(r.dir), 0o700); err != nil {
		return false, err
	}
	return true, os.Rename(next, r.dir)
}

// spelling refuses a repository that differs from one that is there only in
// case: image names are lower-cased, and the two would share one.
func (f *Forge) spelling(r repository) error {
	for _, path := range []string{filepath.Dir(r.dir), r.dir} {
		name := filepath.Base(path)
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if e.Name() != name && strings.EqualFold(e.Name(), name) {
				there := strings.TrimSuffix(e.Name(), ".git")
				return &refusal{fmt.Sprintf("%s is there already as %q: write it like that", r.path, there)}
			}
		}
	}
	return nil
}

// takeBack removes a repository that a push has just made and left empty. The
// caller makes sure that no other push is at work in it.
func (f *Forge) takeBack(ctx context.Context, r repository) error {
	refs, err := f.output(ctx, r, "for-each-ref", "--count=1")
	if err != nil || refs != "" {
		return err
	}
	gone, err := os.MkdirTemp(f.opts.Root, ".old-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(gone)
	if err := os.Rename(r.dir, filepath.Join(gone, "git")); err != nil {
		return err
	}
	// The owner's folder goes with its last repository.
	if err := os.Remove(filepath.Dir(r.dir)); err != nil {
		f.log.Debug("owner keeps repositories", "owner", r.owner)
	}
	return nil
}

// repositories lists what is in the folder, with unusual names left out.
func (f *Forge) repositories() ([]repository, error) {
	dirs, err := filepath.Glob(filepath.Join(f.opts.Root, "*", "*.git"))
	if err != nil {
		return nil, err
	}
	var found []repository
	for _, dir := range dirs {
		owner := filepath.Base(filepath.Dir(dir))
		name := strings.TrimSuffix(filepath.Base(dir), ".git")
		if r, err := f.repository(owner + "/" + name); err == nil && r.check() == nil {
			found = append(found, r)
		}
	}
	return found, nil
}

// refusal is a push that we do not take, with the sentence for the pusher.
type refusal struct{ sentence string }

func (r *refusal) Error() string { return r.sentence }
