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
	lines, err := s.advertised(ctx, origin, "--heads", "--tags")
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for _, l := range lines {
		refs[strings.TrimSuffix(l.name, "^{}")] = l.hash // a tag's commit follows the tag
	}
	return refs, nil
}

// advertisement is one line of what an origin says that it has.
type advertisement struct{ name, hash string }

// advertised asks the origin for its refs, in its order.
func (s *Sources) advertised(ctx context.Context, origin builder.Origin, options ...string) ([]advertisement, error) {
	args := append([]string{"ls-remote", "--quiet"}, options...)
	out, err := s.askOrigin(ctx, git{env: s.env}, origin, append(args, "--", origin.URL)...)
	if err != nil {
		return nil, err
	}
	var lines []advertisement
	for line := range strings.Lines(string(out)) {
		hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if ok && objectName.MatchString(hash) {
			lines = append(lines, advertisement{name, hash})
		}
	}
	return lines, nil
}

// fetchNamed fetches a commit of a server that hands out only what its refs
// name: first its branches and tags, with all that is below them, and where
// the commit is not there, whichever other ref stands on it. That is how a
// pull request of a fork is found, by whatever name the forge has for it
// (refs/pull/7/head, refs/merge-requests/7/merge). Those refs are too many to
// fetch them all: an old commit that only a pull request has is gone.
func (c *Commit) fetchNamed(ctx context.Context, name, ref string) error {
	err := c.fetchRefs(ctx, "--prune", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	if err != nil {
		return err
	}
	if obj, _, err := c.objects.read(ctx, name+"^{commit}", largest); err != nil || obj.kind != "" {
		return err
	}
	lines, err := c.sources.advertised(ctx, c.origin)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if l.hash == name && strings.HasPrefix(l.name, "refs/") && !strings.HasSuffix(l.name, "^{}") {
			return c.fetchRefs(ctx, "+"+l.name+":"+ref)
		}
	}
	return nil
}
