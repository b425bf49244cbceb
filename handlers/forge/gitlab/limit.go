package gitlab

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

const (
	requestsAtOnce = 8 // a small server has about as many workers
	urgentAtOnce   = 2 // beside, so that results do not wait behind what hangs

	blockAtMost  = time.Second      // a longer wait is the caller's: builder.Later
	penalty      = time.Minute      // after a limit that names no time: nearly all of GitLab's are a minute's
	waitAtMost   = 15 * time.Minute // whatever a server says; then it is asked again
	reserveShare = 20               // of what a server tells to be left, 1/20 is for urgent calls
	lookShare    = 2                // and 1/2 for all but background calls
)

// budget is what we let ourselves send, in a minute. 0: what the server lets
// us, because only its operator knows what that is.
type budget struct {
	calls, callsReserve int
	notes, notesReserve int
}

// budgetOf returns gitlab.com's documented limits, a little below them because
// its clock does not tick with ours, and nothing for others.
// https://docs.gitlab.com/user/gitlab_com/#rate-limits-on-gitlabcom
func budgetOf(server *url.URL) budget {
	if !strings.EqualFold(server.Hostname(), "gitlab.com") {
		return budget{}
	}
	return budget{
		calls: 1900, callsReserve: 200, // of 2,000 requests with a token
		notes: 56, notesReserve: 16, // of 60 notes
	}
}

// limits is what one server lets our token do: what its answers told, and
// what our own requests have used up.
type limits struct {
	now          func() time.Time
	slots, aside chan struct{} // aside: for urgent calls only

	mu       sync.Mutex
	until    time.Time // nothing is sent before
	why      string
	left     rate
	flying   int
	refusals map[string]refusal // by endpoint: some have limits of their own
	calls    *quota.Window      // nil: not counted
	notes    *quota.Window
}

// rate is what the server tells of its limit.
type rate struct {
	limit, remaining int
	reset            time.Time
}

// refusal is an endpoint's own limit that we have met.
type refusal struct {
	until   time.Time
	strikes uint // in a row
}

func newLimits(now func() time.Time, b budget) *limits {
	l := &limits{
		now: now, slots: make(chan struct{}, requestsAtOnce), aside: make(chan struct{}, urgentAtOnce),
		refusals: map[string]refusal{},
	}
	if b.calls > 0 {
		l.calls = &quota.Window{Span: time.Minute, Most: b.calls, Reserve: b.callsReserve}
	}
	if b.notes > 0 {
		l.notes = &quota.Window{Span: time.Minute, Most: b.notes, Reserve: b.notesReserve}
	}
	return l
}

// enter books a request and returns the function that ends it. It waits a
// moment where that is enough; otherwise the error is a builder.Later.
func (l *limits) enter(ctx context.Context, endpoint string) (leave func(), err error) {
	rank := quota.RankOf(ctx)
	slot, aside := l.slots, chan struct{}(nil)
	if rank == quota.IsUrgent {
		aside = l.aside
	}
	select {
	case l.slots <- struct{}{}:
	case aside <- struct{}{}:
		slot = aside
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		wait, why := l.book(endpoint, rank)
		if wait <= 0 {
			return func() { l.leave(slot) }, nil
		}
		if wait > blockAtMost {
			<-slot
			return nil, builder.Later{Wait: wait, Reason: why}
		}
		if err := quota.Sleep(ctx, wait); err != nil {
			<-slot
			return nil, err
		}
	}
}

// keeps is what a call leaves of all to those above it.
func keeps(r quota.Rank, all, reserve int) int {
	switch r {
	case quota.IsUrgent:
		return 0
	case quota.Background:
		return max(all/lookShare, reserve)
	}
	return reserve
}

func (l *limits) leave(slot chan struct{}) {
	l.mu.Lock()
	l.flying--
	l.mu.Unlock()
	<-slot
}

// book takes the request's share of every budget, or of none and returns how
// long there is no room.
func (l *limits) book(endpoint string, rank quota.Rank) (wait time.Duration, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if wait := l.until.Sub(now); wait > 0 {
		return wait, l.why
	}
	if wait := l.refusals[endpoint].until.Sub(now); wait > 0 {
		return wait, "GitLab's limit of " + endpoint
	}
	if wait := l.left.reset.Sub(now); wait > 0 {
		if l.left.remaining <= 0 {
			return wait + quota.Slack, "GitLab's limit is used up"
		}
		if rank != quota.IsUrgent && l.left.remaining <= keeps(rank, l.left.limit, l.left.limit/reserveShare) {
			return wait + quota.Slack, "what is left of GitLab's limit is kept for what cannot wait"
		}
	}
	if l.calls != nil {
		if wait := l.calls.Wait(now, 1, keeps(rank, l.calls.Most, l.calls.Reserve)); wait > 0 {
			return wait, "GitLab's limit of requests in a minute"
		}
	}
	if l.notes != nil && writesNote(endpoint) {
		if wait := l.notes.Wait(now, 1, keeps(rank, l.notes.Most, l.notes.Reserve)); wait > 0 {
			return wait, "GitLab's limit of notes in a minute"
		}
		l.notes.Spend(now, 1)
	}
	if l.calls != nil {
		l.calls.Spend(now, 1)
	}
	l.flying++
	if l.left.remaining > 0 {
		l.left.remaining--
	}
	return 0, ""
}

// note remembers what an answer tells about the limits. An answer that is
// itself a limit's comes back as the builder.Later that it means.
// https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers
func (l *limits) note(resp *http.Response, endpoint string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, h := l.now(), resp.Header
	reset, known := resetOf(h, now)
	remaining, err := strconv.Atoi(h.Get("RateLimit-Remaining"))
	told := err == nil && known
	if told {
		limit, _ := strconv.Atoi(h.Get("RateLimit-Limit"))
		// The others in flight may not be counted in it yet.
		l.left = rate{limit: limit, remaining: max(remaining-max(l.flying-1, 0), 0), reset: now.Add(min(reset, waitAtMost))}
	}
	if !isLimit(resp) {
		// An answer that was on its way when the limit was met ends nothing.
		if resp.StatusCode < http.StatusBadRequest && !l.refusals[endpoint].until.After(now) {
			delete(l.refusals, endpoint)
		}
		return nil
	}
	wait, known := quota.RetryAfter(h, now)
	if !known && told && remaining == 0 {
		wait, known = reset+quota.Slack, true
	}
	// A limit of this one endpoint (notes, test deliveries) is met apart: it
	// leaves the others alone, and mostly names no time.
	if !known || !told && strings.Contains(messageOf(resp), "endpoint") {
		r := l.refusals[endpoint]
		if !known {
			wait = penalty << min(r.strikes, 10)
		}
		wait = max(min(wait, waitAtMost), time.Millisecond)
		l.refusals[endpoint] = refusal{until: now.Add(wait), strikes: r.strikes + 1}
		return builder.Later{Wait: wait, Reason: "GitLab's limit of " + endpoint}
	}
	wait = max(min(wait, waitAtMost), time.Millisecond)
	if until := now.Add(wait); until.After(l.until) {
		l.until, l.why = until, "GitLab's limit is used up"
	}
	return builder.Later{Wait: wait, Reason: "GitLab's limit is used up"}
}

// isLimit tells the answers that mean "not now" from those that mean "never".
// What stands before gitlab.com has been seen to refuse by 403; GitLab's own
// comes with a message.
func isLimit(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return resp.Header.Get("Retry-After") != "" // maintenance, too
	case http.StatusForbidden:
		return resp.Header.Get("Retry-After") != "" || resp.Header.Get("RateLimit-Remaining") == "0" && messageOf(resp) == ""
	}
	return false
}

// resetOf is how long the server's limit still counts, by the server's own
// clock where it tells that.
func resetOf(h http.Header, now time.Time) (wait time.Duration, known bool) {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		now = at
	}
	if seconds, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64); err == nil && seconds > 0 {
		return max(time.Unix(seconds, 0).Sub(now), 0), true
	}
	if at, err := http.ParseTime(h.Get("RateLimit-ResetTime")); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// endpointWords are the parts of a path that do not name somebody's thing.
var endpointWords = map[string]bool{
	"projects": true, "groups": true, "users": true, "user": true, "members": true, "all": true,
	"personal_access_tokens": true, "self": true, "version": true, "metadata": true,
	"repository": true, "branches": true, "commits": true, "comments": true, "files": true, "raw": true,
	"statuses": true, "merge_requests": true, "notes": true, "discussions": true, "award_emoji": true,
	"hooks": true, "events": true, "test": true,
}

// endpointOf names a kind of call: "POST projects/*/merge_requests/*/notes".
func endpointOf(method, path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		if !endpointWords[part] {
			parts[i] = "*"
		}
	}
	return method + " " + strings.Join(parts, "/")
}

// writesNote reports whether the endpoint makes what GitLab counts as a note.
func writesNote(endpoint string) bool {
	return strings.HasPrefix(endpoint, http.MethodPost+" ") &&
		(strings.HasSuffix(endpoint, "/notes") || strings.HasSuffix(endpoint, "/discussions") || strings.HasSuffix(endpoint, "/comments"))
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }
