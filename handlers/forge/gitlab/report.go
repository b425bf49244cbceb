package gitlab

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// Report implements builder.Reporter.
func (f *Forge) Report(ctx context.Context, r builder.Report) error { return errLater }
