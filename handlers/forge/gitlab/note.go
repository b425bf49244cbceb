package gitlab

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// Show implements builder.Commenter.
func (f *Forge) Show(ctx context.Context, t builder.Thread) error { return errLater }

// React implements builder.Commenter.
func (f *Forge) React(ctx context.Context, repo builder.Repository, c builder.Command, refused bool) error {
	return errLater
}
