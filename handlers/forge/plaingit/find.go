package plaingit

import (
	"context"
	"fmt"

	"github.com/registry-build/registry-build/builder"
)

// Find returns the repository that people call owner/name.
// builder.ErrNotFound when there is none, also for what cannot be a name.
func (f *Forge) Find(_ context.Context, fullName string) (builder.Repository, error) {
	r, err := f.repository(fullName)
	if err != nil {
		return builder.Repository{}, fmt.Errorf("%w: %w", builder.ErrNotFound, err)
	}
	if err := r.check(); err != nil {
		return builder.Repository{}, fmt.Errorf("repository %s: %w", fullName, err)
	}
	branch, err := r.head()
	if err != nil {
		return builder.Repository{}, err
	}
	return r.domain(branch), nil
}
