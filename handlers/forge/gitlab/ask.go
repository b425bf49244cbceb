package gitlab

import (
	"context"
	"errors"
	"time"

	"github.com/registry-build/registry-build/builder"
)

var errLater = errors.New("not built yet")

// Origin implements forge.Origin.
func (f *Forge) Origin(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	return builder.Origin{}, errLater
}

// Find returns the project that people call group/subgroup/name.
// builder.ErrNotFound.
func (f *Forge) Find(ctx context.Context, fullName string) (builder.Repository, error) {
	return builder.Repository{}, errLater
}

// Pull implements builder.Forge.
func (f *Forge) Pull(ctx context.Context, repo builder.Repository, number int) (builder.Pull, error) {
	return builder.Pull{}, errLater
}

// Permission implements builder.Forge.
func (f *Forge) Permission(ctx context.Context, repo builder.Repository, person string) (builder.Permission, error) {
	return 0, errLater
}

// Protected implements builder.Forge.
func (f *Forge) Protected(ctx context.Context, repo builder.Repository, ref string) (bool, error) {
	return false, errLater
}

// OpenPulls implements builder.Watcher.
func (f *Forge) OpenPulls(ctx context.Context, repo builder.Repository) ([]builder.Pull, error) {
	return nil, errLater
}

// Comments implements builder.Watcher.
func (f *Forge) Comments(ctx context.Context, repo builder.Repository, since time.Time) ([]builder.Event, error) {
	return nil, errLater
}
