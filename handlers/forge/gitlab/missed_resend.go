package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	resendTimes = 3                  // for one event
	resendKept  = 8 * 24 * time.Hour // longer than GitLab keeps deliveries
	logPages    = 50                 // of logPage; what is older is left to the comparison of heads
	logLags     = time.Minute        // until all deliveries before one are in the log
	resendable  = 7 * 24 * time.Hour // GitLab lists no older deliveries
)

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
