package githubtest

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Failure is one way for github.com to fail; the functions below make them.
type Failure struct {
	status     int
	message    string
	retryAfter time.Duration
	delay      time.Duration
	drop       bool
	after      bool // the request was carried out, only its answer is lost
}

// BadGateway is a 502 with a page of HTML, as github.com has in bad minutes.
func BadGateway() Failure { return Failure{status: http.StatusBadGateway, message: "Bad Gateway"} }

// SecondaryLimit is a 403 with Retry-After in whole seconds.
func SecondaryLimit(retryAfter time.Duration) Failure {
	return Failure{status: http.StatusForbidden, retryAfter: retryAfter, message: secondaryMessage}
}

// TooManyRequests is a 429 with Retry-After.
func TooManyRequests(retryAfter time.Duration) Failure {
	return Failure{status: http.StatusTooManyRequests, retryAfter: retryAfter, message: secondaryMessage}
}

// Lag is a 404 for what an event named a moment ago.
func Lag() Failure { return Failure{status: http.StatusNotFound, message: "Not Found"} }

// Dropped closes the connection before anything was done.
func Dropped() Failure { return Failure{drop: true} }

// LostAnswer does what was asked and closes the connection instead of
// answering, so that who asks again does it twice.
func LostAnswer() Failure { return Failure{drop: true, after: true} }

// Slow answers as usual after a delay.
func Slow(delay time.Duration) Failure { return Failure{delay: delay} }

var errDropped = errors.New("connection dropped on demand")

// FailNext lets the next requests of the API that fit the pattern fail, so
// many times. Patterns are "METHOD PATH" as in "POST /repos/acme/*/check-runs"
// or "* /repos/acme/shop/**"; path as in path.Match, without /api/v3.
func (s *Server) FailNext(pattern string, times int, f Failure) {
	s.failures.Add(pattern, times, f)
}

// Recover forgets failures that have not come yet.
func (s *Server) Recover() { s.failures.Forget() }

// failure takes the failure that is meant for a request. A slow answer is
// waited for here and is no failure.
func (s *Server) failure(r *http.Request) (f Failure, fails bool) {
	f, fails = s.failures.Take(r)
	if !fails || f.delay == 0 {
		return f, fails
	}
	timer := time.NewTimer(f.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	return f, false
}

func (f Failure) answer() (answer, error) {
	if f.drop {
		return answer{}, errDropped
	}
	header := http.Header{}
	if f.retryAfter > 0 {
		header.Set("Retry-After", fmt.Sprint(int(f.retryAfter.Round(time.Second)/time.Second)))
	}
	return answer{}, &apiError{status: f.status, message: f.message, header: header, page: f.status == http.StatusBadGateway}
}
