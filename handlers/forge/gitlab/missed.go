package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

const (
	missedEvery  = 5 * time.Minute
	activeFor    = 30 * 24 * time.Hour // since a project's last event
	wakeEvery    = 30 * time.Minute    // tries to switch a webhook on again
	shutFor      = time.Hour           // webhooks that we may not see are not asked for again
	saidFor      = 30 * 24 * time.Hour // one lack is not mentioned again
	soonest      = 10 * time.Second    // between two looks
	lookAtMost   = 4 * time.Minute     // one look; the next begins where it ended
	placesAtMost = 5000                // projects and groups of one look
)

// Projects are those that we are let into.
type Projects interface {
	// ActiveRepositories returns the repositories that had an event since then.
	ActiveRepositories(ctx context.Context, since time.Time) ([]builder.Repository, error)
}

// Run asks the server, at once and then every Options.Every, to deliver again
// what did not reach us, and switches on webhooks of ours that it has switched
// off. It returns when ctx ends. Where events are asked for there is nothing to
// do. Several processes may run it.
func (f *Forge) Run(ctx context.Context, projects Projects) error {
	if f.Config.Events == config.ByPoll {
		<-ctx.Done()
		return nil
	}
	for {
		wait, err := f.look(ctx, projects)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			f.Log.Warn("webhooks of GitLab", "err", err)
		}
		if quota.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// look looks once at the webhooks of all active projects, and returns when to
// look again: early where a limit cut this look short.
func (f *Forge) look(ctx context.Context, projects Projects) (wait time.Duration, err error) {
	began := f.Now()
	ctx, done := context.WithTimeout(ctx, lookAtMost)
	defer done()
	list, err := projects.ActiveRepositories(ctx, began.Add(-activeFor))
	if err != nil {
		return f.Every, err
	}
	wait = f.Every
	var errs []error
	for _, p := range f.places(list) {
		err := f.lookAt(ctx, p)
		var later builder.Later
		switch {
		case errors.As(err, &later):
			wait = min(wait, max(later.Wait, soonest)) // others may have room
		case errors.Is(err, builder.ErrUnavailable) || ctx.Err() != nil:
			return wait, err // all others would fare the same
		case err != nil:
			errs = append(errs, err)
		}
	}
	if len(errs) > 3 {
		errs = append(errs[:3], fmt.Errorf("and %d more", len(errs)-3))
	}
	return wait, errors.Join(errs...)
}

// places are the projects of this server and the groups above them.
func (f *Forge) places(list []builder.Repository) []place {
	var all []place
	seen := map[string]bool{}
	for _, repo := range list {
		id, err := projectID(repo)
		if repo.Forge != f.Config.Name || err != nil || len(all) >= placesAtMost {
			continue
		}
		all = append(all, place{scopeProject, id, repo.FullName()})
		for path := range ancestors(repo.FullName()) {
			if !seen[path] {
				seen[path] = true
				all = append(all, place{Kind: scopeGroup, Path: path})
			}
		}
	}
	return all
}

// lookAt looks at our webhooks of one place.
func (f *Forge) lookAt(ctx context.Context, p place) error {
	shutKey := f.ledger.Key("shut/" + p.inPath())
	known, err := f.Memory.Recall(ctx, shutKey)
	if err != nil || known != "" {
		return err
	}
	hooks, err := f.hooksAt(ctx, p)
	if shut(err) {
		if p.Kind == scopeProject {
			f.once(ctx, "shut/"+p.inPath(), slog.LevelInfo, "webhooks of a project are not ours to see; what they fail to tell is found by comparing refs",
				"project", p.Path, "mend", "give the token's user the role Maintainer")
		}
		return f.Memory.Remember(ctx, shutKey, "yes", shutFor)
	}
	if err != nil {
		return err
	}
	for _, h := range f.ours(hooks) {
		if p.ID == 0 {
			p.ID = h.GroupID
		}
		err := f.repair(ctx, p, h)
		on := false
		if err == nil {
			on, err = f.wake(ctx, p, h)
		}
		if err == nil && on { // GitLab resends nothing by one that is off
			err = f.resendMissed(ctx, p, h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// once tells the operator something once, whichever process finds it.
func (f *Forge) once(ctx context.Context, about string, level slog.Level, message string, args ...any) {
	first, err := f.Memory.Claim(ctx, f.ledger.Key("said/"+about), f.Now().UTC().Format(time.RFC3339), saidFor)
	if err == nil && first {
		f.Log.Log(ctx, level, message, args...)
	}
}

// repair gives a webhook its token that a crash left with that of a trial, so
// that nothing it told was taken.
func (f *Forge) repair(ctx context.Context, p place, h hook) error {
	mark := f.probing(p, h.ID)
	since, err := f.Memory.Recall(ctx, mark)
	if err != nil || since == "" {
		return err
	}
	if at, err := time.Parse(time.RFC3339, since); err == nil && f.Now().Sub(at) < probeLasts {
		return nil // somebody tries it now
	}
	if err := f.endTrial(ctx, p, h.ID); err != nil {
		return err
	}
	f.Log.Warn("a webhook was left as it was tried, and told nothing; it does now", "place", p.Path)
	return nil
}

// wake tries a webhook that GitLab has switched off, which switches it on, and
// reports whether it is on. Those that fail for good are off until somebody
// does.
func (f *Forge) wake(ctx context.Context, p place, h hook) (on bool, err error) {
	if !h.off() {
		return true, nil
	}
	claim := f.ledger.Key(fmt.Sprintf("wake/%s-%d/%d", p.Kind, p.ID, h.ID))
	first, err := f.Memory.Claim(ctx, claim, f.Now().UTC().Format(time.RFC3339), wakeEvery)
	if err != nil || !first {
		return false, err
	}
	t, err := f.try(ctx, p, h.ID)
	about := fmt.Sprintf("off/%s-%d/%d", p.Kind, p.ID, h.ID)
	switch {
	case err != nil:
		return false, err
	case t.OK:
		f.Log.Info("a webhook that GitLab had switched off is on again", "place", p.Path)
		return true, f.Memory.Remember(ctx, f.ledger.Key("said/"+about), "", time.Millisecond) // the next time is news
	case t.Untested != "":
		f.once(ctx, about, slog.LevelWarn, "GitLab has switched a webhook off", "place", p.Path, "untested", t.Untested, "mend", "press Test at "+f.hooksPage(p))
	default:
		f.once(ctx, about, slog.LevelWarn, "GitLab has switched a webhook off", "place", p.Path, "why", t.what(f.HookURL()), "mend", f.mend(t))
	}
	return false, nil
}
