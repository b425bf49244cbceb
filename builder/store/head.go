package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/registry-build/registry-build/builder"
)

var _ builder.Positions = (*Store)(nil)

// Head implements builder.Positions.
func (s *Store) Head(ctx context.Context, repoKey, ref string) (*builder.Position, error) {
	text, err := s.client.HGet(ctx, headsKey(repoKey), ref).Result()
	if err = classify(ctx, err); errors.Is(err, builder.ErrNotFound) {
		return nil, nil
	}
	var head builder.Position
	if err == nil {
		err = decode(text, &head)
	}
	if err != nil {
		return nil, fmt.Errorf("head of %s in %s: %w", ref, repoKey, err)
	}
	return &head, nil
}
