package source

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// Find implements builder.Source.
func (c *Commit) Find(ctx context.Context, limit int, match func(path string) bool) ([]string, error) {
	return nil, nil
}

// Changed implements builder.History.
func (c *Commit) Changed(ctx context.Context, from, to string) ([]string, error) {
	return nil, builder.ErrNotFound
}

// MergeBase implements builder.History.
func (c *Commit) MergeBase(ctx context.Context, a, b string) (string, error) {
	return "", builder.ErrNotFound
}
