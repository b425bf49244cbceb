package store

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// Remark implements builder.Told.
func (s *Store) Remark(ctx context.Context, t builder.Thread, remarks ...builder.Remark) (builder.Thread, error) {
	t.Remarks = remarks
	return t, nil
}

// Latest implements builder.Past.
func (s *Store) Latest(ctx context.Context, repoKey, ref string) (builder.Decision, error) {
	return builder.Decision{}, builder.ErrNotFound
}
