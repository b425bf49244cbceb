package registry

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// Untag implements builder.Untagger.
func (c *Client) Untag(ctx context.Context, r builder.UntagRequest) ([]builder.UntagOutcome, error) {
	return nil, nil
}
