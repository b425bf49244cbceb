package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const secondaryMessage = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."

// Secondary limits, for each installation:
// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
const (
	pointsPerMinute = 900
	writesPerMinute = 80
	writesPerHour   = 500
)

// limiter counts requests for each installation; whoever comes without one
// shares a bucket, with the same limit.
type limiter struct {
	now func() time.Time

	mu        sync.Mutex
	limit     int
	secondary bool
	buckets   map[int64]*bucket
}

type bucket struct {
	used   int
	reset  time.Time
	points []spent
	writes []time.Time
}

type spent struct {
	at     time.Time
	points int
}

func newLimiter(limit int, secondary bool, now func() time.Time) *limiter {
	return &limiter{limit: limit, secondary: secondary, now: now, buckets: map[int64]*bucket{}}
}

// SetRateLimit changes how many requests an installation has an hour, from now on.
func (s *Server) SetRateLimit(limit int) {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.limit.limit = limit
}

// SetSecondaryLimits switches the secondary limits.
func (s *Server) SetSecondaryLimits(on bool) {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.limit.secondary = on
}

// take counts a request and answers the headers that say how it stands.
func (l *limiter) take(t *token, r *http.Request) (http.Header, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.bucket(installationOf(t), now)
	if b.used >= l.limit {
		return l.header(b), &apiError{
			status:  http.StatusForbidden,
			message: fmt.Sprintf("API rate limit exceeded for installation ID %d.", installationOf(t)),
		}
	}
	if r.URL.Path == "/rate_limit" {
		return l.header(b), nil
	}
	b.used++
	if !l.secondary || t.inst == nil {
		return l.header(b), nil
	}
	if wait := b.spend(now, r.Method); wait > 0 {
		h := l.header(b)
		h.Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
		return h, &apiError{status: http.StatusForbidden, message: secondaryMessage}
	}
	return l.header(b), nil
}

// spend books a request under the secondary limits, or says how long to wait,
// in whole seconds.
func (b *bucket) spend(now time.Time, method string) time.Duration {
	b.points = slices.DeleteFunc(b.points, func(p spent) bool { return now.Sub(p.at) >= time.Minute })
	b.writes = slices.DeleteFunc(b.writes, func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	write := method != http.MethodGet && method != http.MethodHead
	cost, sum, minute := 1, 0, 0
	if write {
		cost = 5
	}
	for _, p := range b.points {
		sum += p.points
	}
	for _, at := range b.writes {
		if now.Sub(at) < time.Minute {
			minute++
		}
	}
	switch {
	case sum+cost > pointsPerMinute:
		return b.points[0].at.Add(time.Minute + time.Second).Sub(now).Truncate(time.Second)
	case write && minute >= writesPerMinute:
		return b.writes[len(b.writes)-minute].Add(time.Minute + time.Second).Sub(now).Truncate(time.Second)
	case write && len(b.writes) >= writesPerHour:
		return b.writes[0].Add(time.Hour + time.Second).Sub(now).Truncate(time.Second)
	}
	b.points = append(b.points, spent{now, cost})
	if write {
		b.writes = append(b.writes, now)
	}
	return 0
}

// refund gives a request back: an answer of 304 costs nothing.
func (l *limiter) refund(installation int64, h http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(installation, l.now())
	b.used = max(0, b.used-1)
	for k, v := range l.header(b) {
		h[k] = v
	}
}

func (l *limiter) bucket(installation int64, now time.Time) *bucket {
	b := l.buckets[installation]
	if b == nil {
		b = &bucket{}
		l.buckets[installation] = b
	}
	if !now.Before(b.reset) {
		b.used, b.reset = 0, now.Add(time.Hour).Truncate(time.Second)
	}
	return b
}

func (l *limiter) header(b *bucket) http.Header {
	h := http.Header{}
	h.Set("X-Ratelimit-Limit", strconv.Itoa(l.limit))
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(max(0, l.limit-b.used)))
	h.Set("X-Ratelimit-Used", strconv.Itoa(b.used))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(b.reset.Unix(), 10))
	h.Set("X-Ratelimit-Resource", "core")
	return h
}

func installationOf(t *token) int64 {
	if t.inst == nil {
		return 0
	}
	return t.inst.ID
}

func (s *Server) getRateLimit(c *call) (answer, error) {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	b := s.limit.bucket(installationOf(c.tok), s.limit.now())
	rate := object{"limit": s.limit.limit, "used": b.used, "remaining": max(0, s.limit.limit-b.used), "reset": b.reset.Unix(), "resource": "core"}
	return ok(object{"rate": rate, "resources": object{"core": rate, "search": rate}})
}
