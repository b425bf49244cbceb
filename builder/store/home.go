package store

import (
	"context"
	"fmt"

	"github.com/registry-build/registry-build/builder"
)

// home returns where the event's repository has its images by default,
// claiming it for one that is seen for the first time.
func (s *Store) home(ctx context.Context, e builder.Event) (builder.Home, error) {
	if e.Withdrawn || e.Request != nil && e.Request.Dockerfile != "" {
		return builder.Home{}, nil // no repository of anybody's
	}
	repo, name := e.Repository, builder.HomeName(e.Repository)
	r, err := s.run(ctx, s.scripts.home, repo.Key(), name, repo.Forge+"/"+name)
	if err != nil {
		return builder.Home{}, fmt.Errorf("home of %s: %w", repo.FullName(), err)
	}
	return builder.Home{Path: r.text(0), Holder: r.text(1)}, nil
}
