package gitlab

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// Writable returns where the project is fetched from and pushed to.
// builder.ErrDenied where the operator does not let us, builder.ErrNotFound as
// Origin.
func (f *Forge) Writable(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	return builder.Origin{}, errLater
}

// OpenPull makes the one open merge request from a branch of the project into
// another say title and body, and returns its address.
func (f *Forge) OpenPull(ctx context.Context, repo builder.Repository, head, base, title, body string) (string, error) {
	return "", errLater
}

// onboard offers a build file to a project that has a Dockerfile and none, by
// a merge request, once.
func (f *Forge) onboard(ctx context.Context, r builder.Report) error { return errLater }
