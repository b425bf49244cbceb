package app

import (
	"context"
	"errors"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

// repositories finds repositories for the API: by name at the forges, by ref
// in the source.
type repositories struct {
	git     *plaingit.Forge
	github  *github.App
	sources *source.Sources
}

// Find looks at our own git remote first, then at GitHub: github:owner/name
// means the latter only.
func (r repositories) Find(ctx context.Context, fullName string) (builder.Repository, error) {
	name, there := strings.CutPrefix(fullName, github.Instance+":")
	if !there {
		repo, err := r.git.Find(ctx, name)
		if !errors.Is(err, builder.ErrNotFound) {
			return repo, err
		}
	}
	return r.github.Find(ctx, name)
}

func (r repositories) Resolve(ctx context.Context, repo builder.Repository, rev string) (string, error) {
	return r.sources.Resolve(ctx, repo, rev)
}
