package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// origins asks each forge where its repositories are.
type origins map[string]forge.Origin

func (o origins) Origin(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	f, ok := o[repo.Forge]
	if !ok {
		return builder.Origin{}, fmt.Errorf("no forge %q is configured", repo.Forge)
	}
	origin, err := f.Origin(ctx, repo)
	if errors.Is(err, builder.ErrNotFound) {
		err = &builder.Failure{Stage: builder.StageSource, Err: err, Message: fmt.Sprintf("repository %s does not exist any more", repo.FullName())}
	}
	return origin, err
}
