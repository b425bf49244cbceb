package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

const (
	missedEvery  = 5 * time.Minute
	activeFor    = 30 * 24 * time.Hour // since a project's last event
	wakeEvery    = 30 * time.Minute    // tries to switch a webhook on again
	shutFor      = time.Hour           // webhooks that we may not see are not asked for again
	saidFor      = 30 * 24 * time.Hour // one lack is not mentioned again
	resendTimes  = 3                   // for one event
	resendKept   = 8 * 24 * time.Hour  // longer than GitLab keeps deliveries
	logPages     = 50                  // of logPage; what is older is left to the comparison of heads
	logLags      = time.Minute         // until all deliveries before one are in the log
	soonest      = 10 * time.Second    // between two looks
	resendable   = 7 * 24 * time.Hour  // GitLab lists no older deliveries
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
		if sleep(ctx, wait) != nil {
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

// resendMissed looks through a webhook's deliveries since the last look.
// Servers before 17.3 keep no log that could be read.
func (f *Forge) resendMissed(ctx context.Context, p place, h hook) error {
	mark := f.ledger.Key(fmt.Sprintf("deliveries/%s-%d/%d", p.Kind, p.ID, h.ID))
	noLog := f.ledger.Key("nolog")
	none, err := f.Memory.Recall(ctx, noLog)
	if err != nil || none != "" {
		return err
	}
	seen, err := f.Memory.Recall(ctx, mark)
	if err != nil {
		return err
	}
	since, _ := strconv.ParseInt(seen, 10, 64) // nothing known: from the beginning
	list, newest, err := f.logSince(ctx, p, h.ID, since)
	if answeredWith(err) == http.StatusNotFound {
		return f.Memory.Remember(ctx, noLog, "yes", shutFor)
	}
	if err != nil {
		return err
	}
	missed, asked := missedOf(list), 0
	for _, d := range missed {
		did, err := f.resend(ctx, p, h.ID, d)
		if err != nil {
			return err // the next look begins where this one did
		}
		if did {
			asked++
		}
	}
	if asked > 0 {
		f.Log.Info("deliveries of GitLab that had failed", "place", p.Path, "events", len(missed), "asked_again", asked)
	}
	if newest > since {
		return f.Memory.Remember(ctx, mark, strconv.FormatInt(newest, 10), resendKept)
	}
	return nil
}

// logSince reads a log back to the delivery that was the newest before.
func (f *Forge) logSince(ctx context.Context, p place, id int, since int64) (list []logged, newest int64, err error) {
	for page, n := 1, 0; page > 0 && n < logPages; n++ {
		items, next, err := f.log(ctx, p, id, page)
		if err != nil {
			return nil, 0, err
		}
		for _, d := range items {
			if d.ID <= since || d.CreatedAt != nil && f.Now().Sub(*d.CreatedAt) > resendable {
				return list, newest, nil
			}
			list = append(list, d)
			if d.CreatedAt == nil || f.Now().Sub(*d.CreatedAt) > logLags { // others from before it may still come
				newest = max(newest, d.ID)
			}
		}
		page = next
	}
	return list, newest, nil
}

// missedOf returns the last attempt of each event that no attempt delivered,
// oldest first.
func missedOf(list []logged) []logged {
	arrived := map[string]bool{}
	for _, d := range list {
		arrived[d.event()] = arrived[d.event()] || d.ok()
	}
	var missed []logged
	for _, d := range list { // newest first
		if !arrived[d.event()] {
			arrived[d.event()] = true
			missed = append(missed, d)
		}
	}
	slices.Reverse(missed)
	return missed
}

// resend asks for one more attempt, once for each that failed, whichever
// process finds it, and a few times for the same event. GitLab takes five such
// calls a minute for a project.
// https://docs.gitlab.com/api/project_webhooks/#resend-a-project-webhook-event
func (f *Forge) resend(ctx context.Context, p place, hook int, d logged) (asked bool, err error) {
	counter := f.ledger.Key("resent/" + d.event())
	text, err := f.Memory.Recall(ctx, counter)
	if err != nil {
		return false, err
	}
	times, _ := strconv.Atoi(text)
	claim := f.resending(d)
	first, err := f.Memory.Claim(ctx, claim, d.event(), resendKept)
	if !first || err != nil {
		return false, err
	}
	if times >= resendTimes {
		f.Log.Warn("an event that GitLab cannot deliver to us", "place", p.Path, "delivery", d.event(), "event", d.Trigger, "answer", d.status())
		return false, nil
	}
	err = f.call(once(ctx), http.MethodPost, fmt.Sprintf("%s/hooks/%d/events/%d/resend", p.api(), hook, d.ID), nil, nil)
	switch status := answeredWith(err); {
	case status == http.StatusNotFound:
		return false, nil // before 17.4, or too old by now
	case status == http.StatusUnprocessableEntity:
		// It did not arrive again, which the next look finds in the log; or the
		// webhook has another address now.
	case err != nil:
		err = fmt.Errorf("deliver %s of %s again: %w", d.event(), p.Path, err)
		// Let the next look try. One that is cut off here loses the attempt,
		// not the event: the heads of refs are compared as well.
		return false, errors.Join(err, f.Memory.Remember(context.WithoutCancel(ctx), claim, "", time.Millisecond))
	}
	return true, f.Memory.Remember(ctx, counter, strconv.Itoa(times+1), resendKept)
}

// resending is where it is noted that an attempt needs, or may have, no other.
func (f *Forge) resending(d logged) string {
	return f.ledger.Key("resend/" + strconv.FormatInt(d.ID, 10))
}
