package gitlabtest

import (
	"net/http"
	"strconv"
	"time"
)

// limiter counts what each caller asks, in windows of a minute.
// https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/
type limiter struct {
	requests, notes int // a minute; 0: no limit
	now             func() time.Time
	windows         map[string]*window
}

type window struct {
	used  int
	reset time.Time
}

func newLimiter(requests, notes int, now func() time.Time) *limiter {
	if notes == 0 {
		notes = 60 // https://docs.gitlab.com/user/gitlab_com/#rate-limits-on-gitlabcom
	}
	return &limiter{requests: requests, notes: max(0, notes), now: now, windows: map[string]*window{}}
}

// take counts one in a window; false if it is full.
func (l *limiter) take(key string, limit int) (w *window, free bool) {
	w = l.windows[key]
	now := l.now()
	if w == nil || !now.Before(w.reset) {
		w = &window{reset: now.Truncate(time.Minute).Add(time.Minute)}
		l.windows[key] = w
	}
	w.used++
	return w, w.used <= limit
}

// limited takes a request from the budget of its token and answers what every
// response's header says of it; called under the lock, once who asks is known.
// A refused one is answered in plain text: "Retry later".
// https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers
func (s *Server) limited(c *call) (http.Header, error) {
	l := s.review.limit
	if l.requests == 0 {
		return nil, nil
	}
	key, name := "nobody", "throttle_unauthenticated_api"
	if c.tok != nil {
		key, name = c.tok.Value, "throttle_authenticated_api"
	}
	w, free := l.take("requests "+key, l.requests)
	h := http.Header{}
	h.Set("Ratelimit-Limit", strconv.Itoa(l.requests))
	h.Set("Ratelimit-Name", name)
	h.Set("Ratelimit-Observed", strconv.Itoa(w.used))
	h.Set("Ratelimit-Remaining", strconv.Itoa(max(0, l.requests-w.used)))
	h.Set("Ratelimit-Reset", strconv.FormatInt(w.reset.Unix(), 10))
	if free {
		return h, nil
	}
	h.Set("Ratelimit-Resettime", w.reset.UTC().Format(http.TimeFormat))
	h.Set("Retry-After", strconv.Itoa(int(w.reset.Sub(l.now())/time.Second)+1))
	return nil, &apiError{status: http.StatusTooManyRequests, body: "Retry later\n", header: h}
}

// limitNotes refuses who writes too many notes. This limit is the
// application's own: its answer is JSON and says nothing of when to come
// again. https://docs.gitlab.com/administration/settings/rate_limit_on_notes_creation/
func (s *Server) limitNotes(c *call) error {
	l := s.review.limit
	if l.notes == 0 {
		return nil
	}
	if _, free := l.take("notes "+c.user.username, l.notes); free {
		return nil
	}
	return refuse(http.StatusTooManyRequests, object{"error": "This endpoint has been requested too many times. Try again later."})
}

// SetRateLimit changes Options.RateLimit; 0 ends the limit.
func (s *Server) SetRateLimit(requests int) {
	s.mu.Lock()
	defer s.unlock()
	s.review.limit.requests = requests
	clear(s.review.limit.windows)
}

// SpendRequests uses up a token's requests of this minute but for so many.
func (s *Server) SpendRequests(token string, left int) {
	s.mu.Lock()
	defer s.unlock()
	l := s.review.limit
	w, _ := l.take("requests "+token, l.requests)
	w.used = max(0, l.requests-left)
}
