package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
)

var _ builder.Looks = (*Store)(nil)

// Looked implements builder.Looks.
func (s *Store) Looked(ctx context.Context, repoKey string) (time.Time, error) {
	text, err := s.client.HGet(ctx, looksKey(), repoKey).Result()
	err = classify(ctx, err)
	if err != nil && !errors.Is(err, builder.ErrNotFound) {
		return time.Time{}, fmt.Errorf("last look at comments of %s: %w", repoKey, err)
	}
	return parseMillis(text), nil
}

// SetLooked implements builder.Looks.
func (s *Store) SetLooked(ctx context.Context, repoKey string, at time.Time) error {
	if err := s.client.HSet(ctx, looksKey(), repoKey, at.UnixMilli()).Err(); err != nil {
		return fmt.Errorf("look at comments of %s: %w", repoKey, classify(ctx, err))
	}
	return nil
}
