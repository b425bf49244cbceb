package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const (
	// keepMarks is how long we know what we made at GitHub: as long as builds
	// are kept by default.
	keepMarks = 90 * 24 * time.Hour
	// holdAtMost is longer than a report may take.
	holdAtMost = 40 * time.Second
	// holdAgain is when a report that found another of the same commit and
	// context under way is made again.
	holdAgain = 300 * time.Millisecond
	// patience is for what GitHub does not know yet: commits and repositories
	// that it has just told us of.
	patience      = 2 * time.Minute
	patienceAgain = 10 * time.Second
)

// Report implements builder.Reporter: a commit status, a check run or both. A
// repository that is gone, or that we may not go into any more, hears nothing
// and that is no error.
func (a *App) Report(ctx context.Context, r builder.Report) error {
	if r.State == builder.StatusNeutral {
		if may, err := a.maySuggest(ctx, r); err != nil || !may {
			return err
		}
	}
	subject := subjectOf(r)
	release, err := a.hold(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	if ended(r) {
		ctx = a.urgent(ctx)
	}
	return a.settle(ctx, r.Repository, subject, a.report(ctx, r))
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

// ended reports whether the report is a result, which people wait for.
func ended(r builder.Report) bool {
	if r.Record != nil {
		return r.Record.State.Terminal()
	}
	return r.State != builder.StatusPending
}

// subjectOf names what reports must not overtake each other about.
func subjectOf(r builder.Report) string {
	return r.Repository.Key() + "/" + r.Commit + "/" + r.Context
}

// hold lets one report of a subject through at a time, in all processes: the
// newer of two must not be followed by the older.
func (a *App) hold(ctx context.Context, subject string) (release func(), err error) {
	key := "github:busy/" + subject
	free, err := a.Memory.Claim(ctx, key, a.Now().UTC().Format(time.RFC3339), holdAtMost)
	if err != nil {
		return nil, err
	}
	if !free {
		return nil, builder.Later{Wait: holdAgain, Reason: "another report of the same is under way"}
	}
	return func() {
		if err := a.Memory.Remember(context.WithoutCancel(ctx), key, "", time.Millisecond); err != nil {
			a.Log.Debug("release report", "err", err) // it ends by itself
		}
	}, nil
}

// settle decides what an error of GitHub's means. What GitHub refuses is not
// asked for ever: a commit that it does not know yet has some time to arrive.
func (a *App) settle(ctx context.Context, repo builder.Repository, subject string, err error) error {
	if err == nil {
		return nil
	}
	var later builder.Later
	log := a.Log.With("repo", repo.FullName(), "about", subject)
	switch code := answeredWith(err); {
	case errors.As(err, &later):
		return err
	case errors.Is(err, builder.ErrNotFound):
		log.Debug("report dropped: the repository is gone, or not open to us", "err", err)
		return nil
	case code < http.StatusBadRequest || code >= http.StatusInternalServerError:
		return err
	case code == http.StatusUnauthorized || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		return err
	}
	key := "github:refused/" + subject
	since, recallErr := a.Memory.Recall(ctx, key)
	if recallErr != nil {
		return recallErr
	}
	first, readErr := time.Parse(time.RFC3339, since)
	if readErr != nil {
		first = a.Now()
		if err := a.Memory.Remember(ctx, key, first.UTC().Format(time.RFC3339), time.Hour); err != nil {
			return err
		}
	}
	if a.Now().Sub(first) < patience {
		return builder.Later{Wait: patienceAgain, Reason: err.Error()}
	}
	log.Warn("GitHub refuses a report", "err", err)
	return nil
}

// maySuggest lets one commit of a repository tell that there is no build file.
func (a *App) maySuggest(ctx context.Context, r builder.Report) (bool, error) {
	if !a.Config.Suggest {
		return false, nil
	}
	const year = 365 * 24 * time.Hour
	key := "github:suggest/" + r.Repository.Key()
	first, err := a.Memory.Claim(ctx, key, r.Commit, year)
	if err != nil || first {
		return first, err
	}
	commit, err := a.Memory.Recall(ctx, key)
	return commit == r.Commit, err // it is being told again, not another time
}

// recall reads what was remembered as JSON; known is false when nothing was.
func (a *App) recall(ctx context.Context, key string, into any) (known bool, err error) {
	text, err := a.Memory.Recall(ctx, key)
	if err != nil || text == "" {
		return false, err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return false, fmt.Errorf("memory of %s: %w", key, err)
	}
	return true, nil
}

func (a *App) remember(ctx context.Context, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return a.Memory.Remember(ctx, key, string(text), keepMarks)
}

// website is where people see the repository.
func (a *App) website(repo builder.Repository) string { return a.Config.URL + "/" + repo.FullName() }

func attemptOf(r builder.Record) string { return strconv.Itoa(max(r.Attempt, 1)) }
