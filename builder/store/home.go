package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// mostOtherNames is how many names a repository can take beside its first.
const mostOtherNames = 20

// ClaimHome implements builder.Inbox.
func (s *Store) ClaimHome(ctx context.Context, l *builder.EventLease) (err error) {
	l.Home, err = s.home(ctx, l.Event)
	return err
}

// home returns where the event's repository has its images by default,
// claiming it for one that is seen for the first time.
func (s *Store) home(ctx context.Context, e builder.Event) (builder.Home, error) {
	if e.Withdrawn || e.Kind == builder.ImagePushed || e.Request != nil && e.Request.Dockerfile != "" {
		return builder.Home{}, nil // no repository of anybody's
	}
	repo, name := e.Repository, builder.HomeName(e.Repository)
	r, err := s.run(ctx, s.scripts.home, repo.Key(), name, repo.Forge+"/"+name, mostOtherNames)
	if err != nil {
		return builder.Home{}, fmt.Errorf("home of %s: %w", repo.FullName(), err)
	}
	h := builder.Home{Path: r.text(0), Holder: r.text(1)}
	if others := strings.Fields(r.text(2)); len(others) > 0 {
		h.Others = others
	}
	return h, nil
}
