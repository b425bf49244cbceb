package gitlabtest

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Failure is one way for a GitLab server to fail; the functions below make them.
type Failure struct {
	status     int
	body       any
	retryAfter time.Duration
	delay      time.Duration
	drop       bool
	after      bool // the request was carried out, only its answer is lost
}

// BadGateway is a 502 with a page of HTML, as while GitLab is restarted.
func BadGateway() Failure {
	return Failure{status: http.StatusBadGateway, body: "<!DOCTYPE html>\n<html><head><title>GitLab is not responding (502)</title></head></html>\n"}
}

// Unavailable is a 503 with a page of HTML, as in maintenance.
func Unavailable() Failure {
	return Failure{status: http.StatusServiceUnavailable, body: "<!DOCTYPE html>\n<html><head><title>503</title></head></html>\n"}
}

// TooManyRequests is a 429 with Retry-After in whole seconds and GitLab's
// plain text: https://docs.gitlab.com/security/rate_limits/
func TooManyRequests(retryAfter time.Duration) Failure {
	return Failure{status: http.StatusTooManyRequests, body: "Retry later\n", retryAfter: retryAfter}
}

// Conflict is a 409 of something that holds the same lock.
func Conflict(message string) Failure {
	return Failure{status: http.StatusConflict, body: object{"message": "409 Conflict: " + message}}
}

// Lag is a 404 for what an event named a moment ago.
func Lag() Failure {
	return Failure{status: http.StatusNotFound, body: object{"message": "404 Not Found"}}
}

// Refused is any answer; the body is JSON unless it is a string.
func Refused(status int, body any) Failure { return Failure{status: status, body: body} }

// Dropped closes the connection before anything was done.
func Dropped() Failure { return Failure{drop: true} }

// LostAnswer does what was asked and closes the connection instead of
// answering, so that who asks again does it twice.
func LostAnswer() Failure { return Failure{drop: true, after: true} }

// Slow answers as usual after a delay.
func Slow(delay time.Duration) Failure { return Failure{delay: delay} }

var errDropped = errors.New("connection dropped on demand")

// FailNext lets the next requests of the API that fit the pattern fail, so
// many times. Patterns are "METHOD PATH" as in "POST /projects/*/statuses/*"
// or "* /projects/**"; path as in path.Match, without /api/v4 and unescaped.
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
	if page, html := f.body.(string); html && len(page) > 0 && page[0] == '<' {
		header.Set("Content-Type", "text/html")
	}
	return answer{}, &apiError{status: f.status, body: f.body, header: header}
}
