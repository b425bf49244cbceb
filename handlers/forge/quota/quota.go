// Package quota is what adapters count their own calls by, so that they keep
// within a forge's limits instead of running into them. Which limits a forge
// has, and what its answers say about them, is each adapter's own.
package quota

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Slack is how much longer than a limit's span we wait: a request arrives later
// than it was counted.
const Slack = time.Second

// Window counts what was spent within the last Span. It slides exactly: a token
// bucket that is full lets twice its size through within one span. It is not
// safe for concurrent use.
type Window struct {
	Span    time.Duration
	Most    int // within Span
	Reserve int // of Most, that callers may keep for what is urgent

	spent []expense // oldest first
	sum   int
}

type expense struct {
	at   time.Time
	cost int
}

// Wait is how long there is no room for cost beside what is kept; 0: there is.
func (w *Window) Wait(now time.Time, cost, keep int) time.Duration {
	for len(w.spent) > 0 && now.Sub(w.spent[0].at) >= w.Span+Slack {
		w.sum -= w.spent[0].cost
		w.spent = w.spent[1:]
	}
	over := w.sum + cost - w.Most + keep
	if over <= 0 {
		return 0
	}
	for _, e := range w.spent {
		if over -= e.cost; over <= 0 {
			return e.at.Add(w.Span + Slack).Sub(now)
		}
	}
	return w.Span // more than there ever is
}

// Spend counts what is sent now.
func (w *Window) Spend(now time.Time, cost int) {
	w.spent = append(w.spent, expense{now, cost})
	w.sum += cost
}

// RetryAfter reads the header Retry-After in both of its forms (RFC 9110,
// 10.2.3). It is a day at most, so that nothing overflows.
func RetryAfter(h http.Header, now time.Time) (wait time.Duration, known bool) {
	const most = 24 * time.Hour
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int(most/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), most), true
	}
	return 0, false
}

// Sleep waits, or returns ctx's error when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a limit: %w", ctx.Err())
	}
}
