package github

import (
	"context"
	"errors"

	"github.com/registry-build/registry-build/builder"
)

// Origin implements forge.Origin.
func (a *App) Origin(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	return builder.Origin{}, errors.ErrUnsupported
}

// Pull implements builder.Forge.
func (a *App) Pull(ctx context.Context, repo builder.Repository, number int) (builder.Pull, error) {
	return builder.Pull{}, errors.ErrUnsupported
}

// Permission implements builder.Forge.
func (a *App) Permission(ctx context.Context, repo builder.Repository, person string) (builder.Permission, error) {
	return 0, errors.ErrUnsupported
}

// Protected implements builder.Forge.
func (a *App) Protected(ctx context.Context, repo builder.Repository, ref string) (bool, error) {
	return false, errors.ErrUnsupported
}
