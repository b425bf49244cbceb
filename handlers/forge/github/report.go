package github

import (
	"context"
	"errors"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Report implements builder.Reporter: a commit status, a check run or both. A
// repository that is gone, or that we may not go into any more, hears nothing
// and that is no error.
func (a *App) Report(ctx context.Context, r builder.Report) error {
	if r.State == builder.StatusNeutral {
		if !a.Config.Suggest {
			return nil
		}
		if may, err := a.ledger().MaySuggest(ctx, r); err != nil || !may {
			return err
		}
	}
	subject := telling.Subject(r)
	release, err := a.ledger().Hold(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	if telling.Ended(r) {
		ctx = quota.Urgent(ctx)
	}
	return a.ledger().Settle(ctx, r.Repository, subject, a.report(ctx, r))
}

// report shows the result in the ways that are configured. A way that the
// installation does not permit gives room to the other.
func (a *App) report(ctx context.Context, r builder.Report) error {
	checks, statuses := a.Config.Show.Checks(), a.Config.Show.Statuses()
	var errs []error
	if checks {
		err := a.check(ctx, r)
		if lacksPermission(err) {
			statuses, err = true, nil
		}
		errs = append(errs, err)
		if r.State == builder.StatusNeutral {
			statuses = false // a remark is no result
		}
	}
	if statuses && r.Newest {
		err := a.status(ctx, r)
		if lacksPermission(err) && !checks {
			err = a.check(ctx, r)
		}
		if lacksPermission(err) {
			err = nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func lacksPermission(err error) bool {
	var m missingPermission
	return errors.As(err, &m)
}

// website is where people see the repository.
func (a *App) website(repo builder.Repository) string { return a.Config.URL + "/" + repo.FullName() }
