package github

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

// GitHub's secondary limits for one installation, a little below what is
// documented because its clock does not tick with ours, and what of them is
// kept back for urgent calls.
// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
const (
	pointsAMinute  = 880 // of 900; a read costs 1, a write 5
	pointsReserve  = 100
	writesAMinute  = 76 // of 80
	minuteReserve  = 20
	writesAnHour   = 490 // of 500
	hourReserve    = 100
	atOnce         = 90 // of 100
	writeCost      = 5
	primaryReserve = 50 // 1/50 of the hour's requests is for urgent writes

	// Half of every minute and a quarter of the hour are no background call's.
	backgroundPoints  = pointsAMinute / 2
	backgroundPrimary = 4

	blockAtMost   = time.Second // a longer wait is the caller's: builder.Later
	penalty       = time.Minute // after a secondary limit that names no time
	penaltyAtMost = 16 * time.Minute
)

// limits is what GitHub lets one sender do, an installation or the app
// itself: what its answers told, and what our own requests have used up.
type limits struct {
	now   func() time.Time
	slots chan struct{}

	mu      sync.Mutex
	until   time.Time // nothing is sent before
	why     string
	strikes uint // secondary limits in a row that named no time
	rates   map[string]rate
	flying  int
	points  quota.Window
	minute  *quota.Window // nil: the sender creates no content
	hour    *quota.Window
}

// rate is the primary limit of one resource.
type rate struct {
	limit, remaining int
	reset            time.Time
}

func newLimits(now func() time.Time, content bool) *limits {
	l := &limits{
		now: now, slots: make(chan struct{}, atOnce), rates: map[string]rate{},
		points: quota.Window{Span: time.Minute, Most: pointsAMinute, Reserve: pointsReserve},
	}
	if content {
		l.minute = &quota.Window{Span: time.Minute, Most: writesAMinute, Reserve: minuteReserve}
		l.hour = &quota.Window{Span: time.Hour, Most: writesAnHour, Reserve: hourReserve}
	}
	return l
}

// enter books a request and returns the function that ends it. It waits a
// moment where that is enough; otherwise the error is a builder.Later.
func (l *limits) enter(ctx context.Context, method, resource string) (leave func(), err error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		wait, why := l.book(reads(method), resource, quota.RankOf(ctx))
		if wait <= 0 {
			return l.leave, nil
		}
		if wait > blockAtMost {
			<-l.slots
			return nil, builder.Later{Wait: wait, Reason: why}
		}
		if err := quota.Sleep(ctx, wait); err != nil {
			<-l.slots
			return nil, err
		}
	}
}

// keeps is what a call leaves to those above it.
func keeps(r quota.Rank, reserve int) int {
	if r == quota.IsUrgent {
		return 0
	}
	return reserve
}

func (l *limits) leave() {
	l.mu.Lock()
	l.flying--
	l.mu.Unlock()
	<-l.slots
}

// book takes the request's share of every budget, or of none and returns how
// long there is no room.
func (l *limits) book(read bool, resource string, rank quota.Rank) (wait time.Duration, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if wait := l.until.Sub(now); wait > 0 {
		return wait, l.why
	}
	r := l.rates[resource]
	if left := r.reset.Sub(now); left > 0 {
		if r.remaining <= 0 {
			return left + quota.Slack, "GitHub's hourly limit is used up"
		}
		if rank == quota.Background && r.remaining <= r.limit/backgroundPrimary {
			return left + quota.Slack, "what is left of GitHub's hourly limit is kept for builds"
		}
		if !read && rank != quota.IsUrgent && r.remaining <= r.limit/primaryReserve {
			return left + quota.Slack, "what is left of GitHub's hourly limit is kept for results"
		}
	}
	cost := 1
	if !read {
		cost = writeCost
	}
	points := l.points.Reserve
	if rank == quota.Background {
		points = backgroundPoints
	}
	if wait := l.points.Wait(now, cost, keeps(rank, points)); wait > 0 {
		return wait, "GitHub's limit of points in a minute"
	}
	if !read && l.minute != nil {
		if wait := l.minute.Wait(now, 1, keeps(rank, l.minute.Reserve)); wait > 0 {
			return wait, "GitHub's limit of writes in a minute"
		}
		if wait := l.hour.Wait(now, 1, keeps(rank, l.hour.Reserve)); wait > 0 {
			return wait, "GitHub's limit of writes in an hour"
		}
		l.minute.Spend(now, 1)
		l.hour.Spend(now, 1)
	}
	l.points.Spend(now, cost)
	l.flying++
	if r.remaining > 0 {
		r.remaining--
		l.rates[resource] = r
	}
	return 0, ""
}

// note remembers what an answer tells about the limits. An answer that is
// itself a limit's comes back as the builder.Later that it means.
func (l *limits) note(resp *http.Response, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	h := resp.Header
	left, err := strconv.Atoi(h.Get("X-Ratelimit-Remaining"))
	resource := h.Get("X-Ratelimit-Resource")
	if resource == "" {
		resource = coreResource
	}
	if err == nil {
		limit, _ := strconv.Atoi(h.Get("X-Ratelimit-Limit"))
		// The others in flight may not be counted in it yet.
		l.rates[resource] = rate{limit: limit, remaining: max(left-max(l.flying-1, 0), 0), reset: unixTime(h.Get("X-Ratelimit-Reset"))}
	}
	if !isLimit(resp, body) {
		if resp.StatusCode < http.StatusBadRequest {
			l.strikes = 0
		}
		return nil
	}
	var until time.Time
	why := "GitHub's secondary limit"
	switch wait, known := quota.RetryAfter(h, now); {
	case known:
		until = now.Add(wait)
	case err == nil && left == 0 && l.rates[resource].reset.After(now):
		until, why = l.rates[resource].reset.Add(quota.Slack), "GitHub's hourly limit is used up"
	default:
		until = now.Add(min(penalty<<min(l.strikes, 10), penaltyAtMost))
		l.strikes++
	}
	if until.After(l.until) {
		l.until, l.why = until, why
	}
	return builder.Later{Wait: max(until.Sub(now), time.Millisecond), Reason: why}
}

// isLimit tells the answers that mean "not now" from those that mean "never".
func isLimit(resp *http.Response, body []byte) bool {
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return resp.Header.Get("Retry-After") != ""
	case http.StatusForbidden:
		said := strings.ToLower(messageOf(body))
		if strings.Contains(said, notAccessible) {
			return false
		}
		return resp.Header.Get("Retry-After") != "" || resp.Header.Get("X-Ratelimit-Remaining") == "0" ||
			strings.Contains(said, "rate limit") || strings.Contains(said, "abuse detection")
	}
	return false
}

func unixTime(text string) time.Time {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

const coreResource = "core"

// resourceOf names the primary limit that a path counts against, as
// X-RateLimit-Resource does.
func resourceOf(path string) string {
	if strings.Contains(path, "/search/") {
		return "search"
	}
	return coreResource
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }
