package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// What Resolve takes for a commit's first characters.
var commitPrefix = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// Resolve implements builder.Sources. An annotated tag comes to its commit. A
// prefix that fits several commits is a *Failure. Of a remote repository,
// prefixes are known of what was fetched before and of what a ref names.
func (s *Sources) Resolve(ctx context.Context, repo builder.Repository, rev string) (string, error) {
	isRef := strings.HasPrefix(rev, "refs/") && plainRef(rev)
	if !isRef && !commitPrefix.MatchString(rev) {
		return "", failure("%s names no commit of %s: give a whole ref such as refs/heads/main, or at least 7 characters of a commit's hash", display(rev), repo.FullName())
	}
	origin, err := s.origins.Origin(ctx, repo)
	if err != nil {
		return "", fmt.Errorf("find the origin of %s: %w", repo.FullName(), err)
	}
	var hash string
	switch {
	case origin.Dir != "" && isRef:
		hash, err = s.localRef(ctx, origin.Dir, rev)
	case origin.Dir != "":
		hash, err = s.localPrefix(ctx, origin.Dir, rev)
	case isRef:
		hash, err = s.remoteRef(ctx, origin, func(name, _ string) bool { return name == rev }, rev, rev+"^{}")
	default:
		hash, err = s.remotePrefix(ctx, repo, origin, rev)
	}
	if err != nil {
		return "", fmt.Errorf("resolve %s of %s: %w", clip(rev), repo.FullName(), err)
	}
	return hash, nil
}

// plainRef reports whether the name is a ref's and no expression of git's
// revision language, nor a pattern.
// https://git-scm.com/docs/git-check-ref-format
func plainRef(name string) bool {
	return !strings.ContainsAny(name, " ~^:?*[\\\x7f") && !strings.Contains(name, "..") && !strings.Contains(name, "@{") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
}

// at is git on a directory that somebody named; ErrNotFound if it is not there.
func (s *Sources) at(dir string) (git, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		_, err = os.Stat(dir)
	}
	if isNotExist(err) {
		err = fmt.Errorf("%w: %w", builder.ErrNotFound, err)
	}
	return git{dir: dir, env: s.env}, err
}

func isNotFound(err error) bool { return errors.Is(err, builder.ErrNotFound) }

func (s *Sources) localRef(ctx context.Context, dir, ref string) (string, error) {
	g, err := s.at(dir)
	if err != nil {
		return "", err
	}
	// The pattern also fits what is below the ref, as in a folder.
	out, err := g.run(ctx, "", "for-each-ref", "--format=%(objectname) %(refname)", "--", ref)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		hash, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if name != ref {
			continue
		}
		commits, err := g.commits(ctx, hash)
		if err != nil {
			return "", err
		}
		if len(commits) == 1 {
			return commits[0], nil
		}
	}
	return "", builder.ErrNotFound
}

func (s *Sources) localPrefix(ctx context.Context, dir, prefix string) (string, error) {
	g, err := s.at(dir)
	if err != nil {
		return "", err
	}
	// Git repeats a full hash without looking; commits looks.
	out, err := g.run(ctx, "", "rev-parse", "--disambiguate="+prefix)
	if err != nil {
		return "", err
	}
	commits, err := g.commits(ctx, strings.Fields(string(out))...)
	if err != nil {
		return "", err
	}
	return only(commits, prefix)
}

// only returns the commit if there is just one.
func only(commits []string, prefix string) (string, error) {
	switch len(commits) {
	case 0:
		return "", builder.ErrNotFound
	case 1:
		return commits[0], nil
	}
	return "", failure("%s is the beginning of %d commits: give more of its characters", prefix, len(commits))
}

// commits returns the commits that objects are or, being tags, stand for.
func (g git) commits(ctx context.Context, names ...string) ([]string, error) {
	o := newObjects(ctx, g)
	defer o.close()
	var commits []string
	seen := map[string]bool{}
	for _, n := range names {
		obj, _, err := o.read(ctx, n+"^{commit}", largest)
		if err != nil {
			return nil, err
		}
		if obj.kind != "" && !seen[obj.hash] {
			seen[obj.hash] = true
			commits = append(commits, obj.hash)
		}
	}
	return commits, nil
}

// remoteRef asks the origin for its refs; of a tag's object and its commit it
// takes the commit.
func (s *Sources) remoteRef(ctx context.Context, origin builder.Origin, fits func(name, hash string) bool, patterns ...string) (string, error) {
	out, err := s.askOrigin(ctx, git{env: s.env}, origin,
		append([]string{"ls-remote", "--quiet", "--", origin.URL}, patterns...)...)
	if err != nil {
		return "", err
	}
	found := map[string]string{} // ref -> hash
	for line := range strings.Lines(string(out)) {
		hash, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		name, peeled := strings.CutSuffix(name, "^{}")
		if _, again := found[name]; peeled && again || fits(name, hash) {
			found[name] = hash
		}
	}
	var commits []string
	seen := map[string]bool{}
	for _, hash := range found {
		if !seen[hash] {
			seen[hash] = true
			commits = append(commits, hash)
		}
	}
	return only(commits, strings.TrimSuffix(strings.Join(patterns[:min(1, len(patterns))], ""), "^{}"))
}

func (s *Sources) remotePrefix(ctx context.Context, repo builder.Repository, origin builder.Origin, prefix string) (string, error) {
	// A full hash is opened as such, which fetches it.
	if objectName.MatchString(prefix) {
		c, err := s.Open(ctx, repo, prefix)
		if gone := new(builder.Failure); errors.As(err, &gone) {
			return "", builder.ErrNotFound
		}
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.(*Commit).Hash(), nil
	}
	m, err := s.useMirror(ctx, repo, 0)
	if err != nil {
		return "", err
	}
	defer m.release()
	if hash, err := s.localPrefix(ctx, m.dir, prefix); err == nil || !isNotFound(err) {
		return hash, err
	}
	return s.remoteRef(ctx, origin, func(_, hash string) bool { return strings.HasPrefix(hash, prefix) })
}
