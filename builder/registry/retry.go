package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	maxAttempts  = 8        // of one request
	firstBackoff = 250e6    // 250 ms, doubled each time, up to
	maxBackoff   = 5e9      // 5 s
	maxDrain     = 64 << 10 // bytes of a refusal that are read to keep the connection
)

// retrier tries requests again that a registry put off (429, 502, 503, 504)
// or whose connection broke. It obeys Retry-After, which go-containerregistry
// ignores, and otherwise backs off with jitter. When the registry asks for
// more patience than is left of the budget, its answer goes to the caller at
// once.
type retrier struct {
	next   http.RoundTripper
	budget time.Duration // of waiting, for each request
	wait   func(context.Context, time.Duration) error
}

func (t *retrier) RoundTrip(r *http.Request) (*http.Response, error) {
	pause := &backoff.ExponentialBackOff{InitialInterval: firstBackoff, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: maxBackoff}
	left := t.budget
	for attempt := 1; ; attempt++ {
		try, err := again(r, attempt)
		if err != nil {
			return nil, err
		}
		resp, err := t.next.RoundTrip(try)
		if attempt == maxAttempts || !repeatable(r) || !putOff(resp, err) || r.Context().Err() != nil {
			return resp, err
		}
		d := pause.NextBackOff()
		if resp != nil {
			d = max(d, retryAfter(resp.Header, time.Now()))
		}
		deadline, limited := r.Context().Deadline()
		if d > left || limited && time.Now().Add(d).After(deadline) {
			return resp, err
		}
		left -= d
		if resp != nil {
			drain(resp.Body)
		}
		if err := t.wait(r.Context(), d); err != nil {
			return nil, err
		}
	}
}

// again is the request with its body from the start.
func again(r *http.Request, attempt int) (*http.Request, error) {
	if attempt == 1 {
		return r, nil
	}
	try := r.Clone(r.Context())
	if r.GetBody == nil {
		return try, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	try.Body = body
	return try, nil
}

// repeatable: doing it twice comes to the same, and the body can be sent
// twice.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
	}
	return false
}

func putOff(resp *http.Response, err error) bool {
	if err != nil {
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	return retryable(resp.StatusCode)
}

func retryable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0 where
// there is neither.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	// Longer than a day is the same to us as a day, and cannot overflow.
	const most = 24 * time.Hour
	seconds, err := strconv.ParseUint(v, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then it is the largest there is
		return time.Duration(min(seconds, uint64(most/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}

func drain(body io.ReadCloser) {
	// What goes wrong here ends the connection, and the next attempt opens
	// another.
	_, _ = io.CopyN(io.Discard, body, maxDrain)
	_ = body.Close()
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
