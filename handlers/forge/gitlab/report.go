package gitlab

import (
	"context"
	"errors"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Report implements builder.Reporter: a commit status, a thread at the line
// that a build fails at, and the table in the merge request's note. A project
// that is gone, or that we may not go into any more, hears nothing and that is
// no error. What one of the three is refused holds up none of the others.
func (f *Forge) Report(ctx context.Context, r builder.Report) error {
	if r.State == builder.StatusNeutral {
		if !f.Config.Onboard {
			return nil
		}
		return f.onboard(ctx, r)
	}
	if telling.Ended(r) {
		ctx = quota.Urgent(ctx)
	}
	return errors.Join(f.reportStatus(ctx, r), f.reportLines(ctx, r), f.noteBuild(ctx, r))
}

// reportStatus tells the commit, one report of a context at a time. A status
// is of the newest build of its context; the others have none to tell.
func (f *Forge) reportStatus(ctx context.Context, r builder.Report) error {
	if !r.Newest {
		return nil
	}
	subject := telling.Subject(r)
	release, err := f.ledger.Hold(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	refused := subject
	if telling.Ended(r) {
		refused += "/end" // it has a patience of its own: nothing else says how it ended
	}
	return f.settle(ctx, r.Repository, refused, f.status(ctx, r))
}
