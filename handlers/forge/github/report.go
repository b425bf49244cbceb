package github

import (
	"context"
	"errors"

	"github.com/registry-build/registry-build/builder"
)

// Report implements builder.Reporter.
func (a *App) Report(ctx context.Context, r builder.Report) error { return errors.ErrUnsupported }
