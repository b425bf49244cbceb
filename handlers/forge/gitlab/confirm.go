package gitlab

import (
	"context"
	"errors"
	"fmt"

	"github.com/registry-build/registry-build/builder"
)

var _ builder.Confirmer = (*Forge)(nil)

// Confirm implements builder.Confirmer: the project under its path of now.
// Deliveries are not signed, and whoever maintains a project may write what its
// webhook tells: under another's path he would be taken for one of that group.
// https://docs.gitlab.com/user/project/integrations/webhooks/#create-a-custom-webhook-template
func (f *Forge) Confirm(ctx context.Context, e builder.Event) (builder.Repository, error) {
	repo := e.Repository
	id, err := projectID(repo)
	if err != nil {
		return repo, err
	}
	if e.Withdrawn && e.Via != "" {
		return repo, f.gone(ctx, id)
	}
	now, err := f.known(ctx, id, repo.FullName(), repo.DefaultBranch)
	if err != nil {
		return repo, fmt.Errorf("project %d, told of as %s: %w", id, repo.FullName(), err)
	}
	repo.Owner, repo.Name = splitPath(now.path)
	repo.DefaultBranch = now.branch
	return repo, nil
}

// gone confirms that a project is: builder.ErrDenied for one that is there.
func (f *Forge) gone(ctx context.Context, id int) error {
	switch _, err := f.project(once(ctx), id); {
	case err == nil:
		return fmt.Errorf("project %d is told to be gone, and is there: %w", id, builder.ErrDenied)
	case errors.Is(err, builder.ErrNotFound) || errors.Is(err, builder.ErrDenied):
		return nil
	default:
		return fmt.Errorf("whether project %d is gone: %w", id, err)
	}
}
