package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

const (
	missedEvery    = 5 * time.Minute
	lookForApp     = 10 * time.Second // until there is one
	redeliverable  = 72 * time.Hour   // GitHub forgets older deliveries
	redeliverTimes = 5                // for one event
	redeliverKept  = 4 * 24 * time.Hour
	deliveryPages  = 200         // of 100; what is older is left to the comparison of heads
	settled        = time.Minute // after a delivery, until all before it are listed
)

// Delivery is one attempt of GitHub's to tell us of an event.
type Delivery struct {
	ID         int64
	GUID       string // of the event: the same for every attempt
	Event      string // "push"
	Action     string
	At         time.Time
	Code       int    // our answer's status; 0: there was none
	Status     string // "OK", else what went wrong, in GitHub's words
	Redelivery bool
}

// OK reports whether we took it.
func (d Delivery) OK() bool { return d.Code >= 200 && d.Code < 300 }

// Run asks GitHub, at once and then every Options.Every, to deliver again what
// did not reach us: GitHub does not do so by itself. It returns when ctx ends.
// Without an app it waits for one. Several processes may run it.
func (a *App) Run(ctx context.Context) error {
	for {
		wait := a.Every
		switch err := a.redeliverMissed(ctx); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, builder.ErrNotFound):
			wait = min(wait, lookForApp)
		case err != nil:
			a.Log.Warn("failed deliveries of GitHub", "err", err)
		}
		if quota.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// Deliveries returns the app's last deliveries, newest first, at most n and
// 100. builder.ErrNotFound while there is no app.
func (a *App) Deliveries(ctx context.Context, n int) ([]Delivery, error) {
	gh, err := a.appClient(ctx)
	if err != nil {
		return nil, err
	}
	page, _, err := deliveryPage(ctx, gh, "", min(max(n, 1), 100))
	return page, err
}

// deliveryPage reads one page, newest first.
// https://docs.github.com/rest/apps/webhooks#list-deliveries-for-an-app-webhook
func deliveryPage(ctx context.Context, gh *github.Client, cursor string, size int) (page []Delivery, next string, err error) {
	found, resp, err := gh.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: size, Cursor: cursor})
	if err != nil {
		return nil, "", fmt.Errorf("deliveries of the GitHub App: %w", err)
	}
	for _, d := range found {
		page = append(page, Delivery{ID: d.GetID(), GUID: d.GetGUID(), Event: d.GetEvent(), Action: d.GetAction(),
			At: d.GetDeliveredAt().Time, Code: d.GetStatusCode(), Status: d.GetStatus(), Redelivery: d.GetRedelivery()})
	}
	return page, resp.Cursor, nil
}

// redeliverMissed looks through the deliveries since the last look.
func (a *App) redeliverMissed(ctx context.Context) error {
	x, err := a.access(ctx)
	if err != nil {
		return err
	}
	mark := fmt.Sprintf("github:deliveries:%d", x.identity.ID)
	seen, err := a.Memory.Recall(ctx, mark)
	if err != nil {
		return err
	}
	since, _ := strconv.ParseInt(seen, 10, 64) // nothing known: from the beginning
	list, newest, err := a.deliveriesSince(ctx, x.client, since)
	if err != nil {
		return err
	}
	missed := missedOf(list)
	asked, errs := 0, []error(nil)
	for _, d := range missed {
		did, err := a.redeliver(ctx, x, d)
		if did {
			asked++
		}
		if err != nil {
			errs = append(errs, err)
		}
		var later builder.Later
		if errors.As(err, &later) || ctx.Err() != nil {
			break
		}
	}
	if len(missed) > 0 {
		a.Log.Info("deliveries of GitHub that had failed", "events", len(missed), "asked_again", asked, "errors", len(errs))
	}
	if len(errs) > 0 {
		return errors.Join(errs...) // the next look begins where this one did
	}
	if newest > since {
		return a.Memory.Remember(ctx, mark, strconv.FormatInt(newest, 10), redeliverKept)
	}
	return nil
}

// deliveriesSince reads back to the delivery that was the newest before, or
// as far as GitHub can deliver again.
func (a *App) deliveriesSince(ctx context.Context, gh *github.Client, since int64) (list []Delivery, newest int64, err error) {
	oldest := a.Now().Add(-redeliverable)
	cursor := ""
	for range deliveryPages {
		page, next, err := deliveryPage(ctx, gh, cursor, 100)
		if err != nil {
			return nil, 0, err
		}
		for _, d := range page {
			if d.ID <= since || d.At.Before(oldest) {
				return list, newest, nil
			}
			list = append(list, d)
			if a.Now().Sub(d.At) > settled { // others from before it may still come
				newest = max(newest, d.ID)
			}
		}
		if next == "" {
			return list, newest, nil
		}
		cursor = next
	}
	a.Log.Warn("more deliveries of GitHub than are looked through", "looked_through", len(list))
	return list, newest, nil
}

// missedOf returns the last attempt of each event that no attempt delivered,
// oldest first.
func missedOf(list []Delivery) []Delivery {
	arrived := map[string]bool{}
	for _, d := range list {
		arrived[d.GUID] = arrived[d.GUID] || d.OK()
	}
	var missed []Delivery
	for _, d := range list { // newest first
		if !arrived[d.GUID] {
			arrived[d.GUID] = true
			missed = append(missed, d)
		}
	}
	slices.SortFunc(missed, func(a, b Delivery) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return missed
}

// redeliver asks for one more attempt, once for each that failed, whichever
// process finds it, and a few times for the same event.
// https://docs.github.com/rest/apps/webhooks#redeliver-a-delivery-for-an-app-webhook
func (a *App) redeliver(ctx context.Context, x *access, d Delivery) (asked bool, err error) {
	counter := "github:redelivered:" + d.GUID
	text, err := a.Memory.Recall(ctx, counter)
	if err != nil {
		return false, err
	}
	times, _ := strconv.Atoi(text)
	claim := fmt.Sprintf("github:redeliver:%d", d.ID)
	first, err := a.Memory.Claim(ctx, claim, d.GUID, redeliverKept)
	if !first || err != nil {
		return false, err
	}
	if times >= redeliverTimes {
		a.Log.Warn("an event that GitHub cannot deliver to us", "delivery", d.GUID, "event", d.Event, "action", d.Action, "answer", d.Status)
		return false, nil
	}
	_, _, err = x.client.Apps.RedeliverHookDelivery(ctx, d.ID)
	var accepted *github.AcceptedError // 202 is what it answers
	switch {
	case err == nil || errors.As(err, &accepted):
	case answeredWith(err) == http.StatusNotFound || answeredWith(err) == http.StatusUnprocessableEntity:
		return false, nil // too old by now
	default:
		err = fmt.Errorf("deliver %s again: %w", d.GUID, err)
		// Let the next look try. One that is cut off here loses the attempt,
		// not the event: the heads of refs are compared as well.
		return false, errors.Join(err, a.Memory.Remember(context.WithoutCancel(ctx), claim, d.GUID, a.Every/2))
	}
	return true, a.Memory.Remember(ctx, counter, strconv.Itoa(times+1), redeliverKept)
}
