package plaingit

import (
	"context"
	"fmt"

	"github.com/registry-build/registry-build/builder"
)

// Writable returns the address at which the repository is pushed to, and the
// push options to give. It is the one that people push to: a push of ours goes
// through the same hooks, and becomes events and builds like theirs. It is for
// whoever has a token with the rights. builder.ErrNotFound where there is no
// such repository: no push of ours makes one.
func (f *Forge) Writable(_ context.Context, repo builder.Repository) (url string, options []string, err error) {
	r, err := f.repository(repo.ID)
	if err != nil {
		return "", nil, fmt.Errorf("repository %q: %w: %w", repo.ID, builder.ErrNotFound, err)
	}
	if err := r.check(); err != nil {
		return "", nil, fmt.Errorf("repository %s: %w", r.path, err)
	}
	// Or the push would last as long as the builds that it starts.
	return f.opts.URL() + Mount + r.path + ".git", []string{optionDetach}, nil
}
