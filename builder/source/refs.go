package source

import (
	"context"
	"fmt"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// Refs returns where all branches and tags of a repository stand now, by whole
// ref: the commits, also of annotated tags. It is for finding pushes that
// nobody told us about. ErrNotFound when the directory of a repository of
// this machine is gone. Of a remote repository it cannot be told whether a
// tag without a message names a commit or something else.
func (s *Sources) Refs(ctx context.Context, repo builder.Repository) (map[string]string, error) {
	origin, err := s.origins.Origin(ctx, repo)
	if err != nil {
		return nil, fmt.Errorf("find the origin of %s: %w", repo.FullName(), err)
	}
	var refs map[string]string
	if origin.Dir != "" {
		refs, err = s.localRefs(ctx, origin.Dir)
	} else {
		refs, err = s.remoteRefs(ctx, origin)
	}
	if err != nil {
		return nil, fmt.Errorf("refs of %s: %w", repo.FullName(), err)
	}
	return refs, nil
}

func (s *Sources) localRefs(ctx context.Context, dir string) (map[string]string, error) {
	g, err := s.at(dir)
	if err != nil {
		return nil, err
	}
	out, err := g.run(ctx, "", "for-each-ref", "--format=%(objecttype) %(objectname) %(refname)", "--", "refs/heads/", "refs/tags/")
	if err != nil {
		return nil, err
	}
	objects := newObjects(ctx, g)
	defer objects.close()
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		hash, name, _ := strings.Cut(rest, " ")
		if kind == "tag" {
			// A tag may be of another tag: only now it is followed to its end.
			commit, _, err := objects.read(ctx, hash+"^{commit}", largest)
			if err != nil {
				return nil, err
			}
			kind, hash = commit.kind, commit.hash
		}
		if kind == "commit" {
			refs[name] = hash
		}
	}
	return refs, nil
}

func (s *Sources) remoteRefs(ctx context.Context, origin builder.Origin) (map[string]string, error) {
	out, err := s.askOrigin(ctx, git{env: s.env}, origin, "ls-remote", "--quiet", "--heads", "--tags", "--", origin.URL)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if ok && objectName.MatchString(hash) {
			refs[strings.TrimSuffix(name, "^{}")] = hash // a tag's commit follows the tag
		}
	}
	return refs, nil
}
