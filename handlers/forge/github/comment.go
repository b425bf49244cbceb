package github

import (
	"context"
	"errors"

	"github.com/registry-build/registry-build/builder"
)

// Show implements builder.Commenter.
func (a *App) Show(ctx context.Context, t builder.Thread) error { return errors.ErrUnsupported }

// React implements builder.Commenter.
func (a *App) React(ctx context.Context, repo builder.Repository, c builder.Command, refused bool) error {
	return errors.ErrUnsupported
}
