package app

import (
	"context"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

// repositories finds repositories for the API: by name at the forge, by ref
// in the source.
type repositories struct {
	git     *plaingit.Forge
	sources *source.Sources
}

func (r repositories) Find(ctx context.Context, fullName string) (builder.Repository, error) {
	return r.git.Find(ctx, fullName)
}

func (r repositories) Resolve(ctx context.Context, repo builder.Repository, rev string) (string, error) {
	return r.sources.Resolve(ctx, repo, rev)
}
