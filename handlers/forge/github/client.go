package github

import (
	"context"
	"errors"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
)

// need names the permissions of a call as GitHub does: {"checks": "write"}.
type need map[string]string

// client speaks to GitHub for one repository, with a token for it and the
// permissions that are named. builder.ErrNotFound when we are not let in.
func (a *App) client(ctx context.Context, repo builder.Repository, n need) (*github.Client, error) {
	return nil, errors.ErrUnsupported
}

// appClient speaks to GitHub as the app itself.
func (a *App) appClient(ctx context.Context) (*github.Client, error) {
	return nil, errors.ErrUnsupported
}
