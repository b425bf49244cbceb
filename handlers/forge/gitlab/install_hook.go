package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// undelivered is the error of a webhook that GitLab cannot deliver.
type undelivered struct{ what, mend string }

func (u *undelivered) Error() string { return u.what + "; " + u.mend }

// hang makes our webhook at a place, or mends the one that is there, and tries
// one that is new or was switched off. did is "" where nothing was wrong. A new
// webhook that cannot be delivered is removed again: the error is an
// *undelivered.
func (in *installing) hang(ctx context.Context, at place, hooks []hook) (h hook, did string, err error) {
	f := in.Forge
	ours := f.ours(hooks)
	defer func() { in.changed = in.changed || did != "" }()
	if len(ours) == 0 {
		return in.hangNew(ctx, at)
	}
	for _, twice := range ours[1:] { // all would come twice
		if err := f.removeHook(ctx, at, twice.ID); err != nil {
			return hook{}, "", err
		}
		did = "the second webhook was removed"
	}
	h = ours[0]
	wrong := f.wrongs(h)
	// Also where nothing is wrong: its token cannot be seen, and may be that of
	// another secret.
	if h, err = f.saveHook(ctx, at, h.ID, false); err != nil {
		return hook{}, "", err
	}
	if len(wrong) > 0 {
		did = "the webhook was mended (it " + strings.Join(wrong, ", ") + ")"
	}
	if !ours[0].off() {
		return h, did, nil
	}
	t, err := in.tried(ctx, at, h.ID)
	switch {
	case err != nil:
		return hook{}, "", err
	case t.OK:
		return h, "the webhook, which GitLab had switched off, was tried and is on again", nil
	case t.Untested != "":
		return h, "GitLab has switched the webhook off, and it could not be tried (" + t.Untested + "); it is tried again by itself, or by Test at " + f.hooksPage(at), nil
	}
	return hook{}, "", &undelivered{"GitLab has switched the webhook of " + at.Path + " off: " + t.what(f.HookURL()), f.mend(t)}
}

func (in *installing) hangNew(ctx context.Context, at place) (h hook, did string, err error) {
	f := in.Forge
	if h, err = f.saveHook(ctx, at, 0, false); err != nil {
		return hook{}, "", f.refusedHook(at, err)
	}
	t, err := in.tried(ctx, at, h.ID)
	switch {
	case err != nil:
		return hook{}, "", err
	case t.OK:
		return h, "webhook made and tried", nil
	case t.Untested != "":
		return h, "webhook made, and not tried: " + t.Untested, nil
	}
	if err := f.removeHook(context.WithoutCancel(ctx), at, h.ID); err != nil {
		return hook{}, "", err
	}
	return hook{}, "", &undelivered{t.what(f.HookURL()) + " (the webhook was removed again)", f.mend(t)}
}

// limitAtMost is the longest that an operator's command waits for a limit.
const limitAtMost = 2 * time.Minute

// patiently does something once more when a limit of GitLab's asks for a short
// wait: of many projects some meet it.
func (in *installing) patiently(ctx context.Context, do func() error) error {
	err := do()
	var later builder.Later
	if !errors.As(err, &later) || later.Wait > limitAtMost {
		return err
	}
	in.Say(fmt.Sprintf("  (GitLab takes no more calls for now; going on in %s)", later.Wait.Round(time.Second)))
	if err := quota.Sleep(ctx, later.Wait); err != nil {
		return err
	}
	return do()
}

// tried tries the webhook, unless GitLab allows no more trials: it takes a few
// a minute.
func (in *installing) tried(ctx context.Context, at place, id int) (t trial, err error) {
	err = in.patiently(ctx, func() error {
		t, err = in.Forge.try(ctx, at, id)
		return err
	})
	if errors.As(err, new(builder.Later)) {
		// The limit may have met the end of the trial, too.
		err = in.patiently(ctx, func() error { return in.Forge.endTrial(ctx, at, id) })
		return trial{Untested: "GitLab allows no more trials for now"}, err
	}
	return t, err
}

// refusedHook says what GitLab has against a new webhook.
func (f *Forge) refusedHook(at place, err error) error {
	status := answeredWith(err)
	if status != http.StatusUnprocessableEntity && status != http.StatusBadRequest {
		return err
	}
	said := words(err)
	if lower := strings.ToLower(said); strings.Contains(lower, "limit") || strings.Contains(lower, "maximum") {
		return fmt.Errorf("GitLab makes no more webhooks for %s (%s); remove some at %s", at.Path, said, f.hooksPage(at))
	}
	return &undelivered{fmt.Sprintf("GitLab takes no webhook to %s: %s", f.HookURL(), said), f.mend(trial{Message: said})}
}
