package gitlab

import "time"

// window counts what was sent within the last span. It slides exactly: a
// token bucket that is full lets twice its size through within one span.
type window struct {
	span          time.Duration
	most, reserve int
	sent          []time.Time // oldest first
}

// wait is how long there is no room for one more; 0: there is.
func (w *window) wait(now time.Time, urgent bool) time.Duration {
	for len(w.sent) > 0 && now.Sub(w.sent[0]) >= w.span+windowSlack {
		w.sent = w.sent[1:]
	}
	over := len(w.sent) + 1 - w.most
	if !urgent {
		over += w.reserve
	}
	if over <= 0 {
		return 0
	}
	return w.sent[min(over, len(w.sent))-1].Add(w.span + windowSlack).Sub(now)
}

func (w *window) add(now time.Time) { w.sent = append(w.sent, now) }
