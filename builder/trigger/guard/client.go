package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder/trigger"
)

const (
	maxRedirects = 3
	maxBody      = 64 << 10 // of an answer that is read; the record keeps less
	maxHeaders   = 64 << 10
	// An idle connection goes to the address that was checked when it was
	// dialled, and serves only its own host and port, whatever the name
	// resolves to meanwhile.
	idleFor     = 30 * time.Second
	idlePerHost = 32 // a burst to one receiver must not dial anew for each
	idle        = 256
)

// Client speaks HTTP within the guard's rules. Its requests pass no proxy,
// which would dial past them; redirects are followed on the same host only,
// and never from https to http.
func (g *Guard) Client() *http.Client { return g.client }

func (g *Guard) newClient() *http.Client {
	return &http.Client{
		CheckRedirect: checkRedirect,
		Transport: roundTripper{&http.Transport{
			Proxy: nil, // it would dial for us, past the guard
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return g.Dial(ctx, network, addr)
			},
			TLSClientConfig:        g.TLS(""),
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			IdleConnTimeout:        idleFor,
			MaxIdleConnsPerHost:    idlePerHost,
			MaxIdleConns:           idle,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaders,
		}},
	}
}

// roundTripper sees every request, redirected ones too.
type roundTripper struct{ next *http.Transport }

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return nil, &Refused{Host: req.URL.Hostname(), Why: "asked by a scheme that is neither https nor http"}
	case req.URL.User != nil:
		// https://hooks.example.com@evil.example looks like the one and is the other.
		return nil, &Refused{Host: req.URL.Hostname(), Why: "asked with a user name in the address; remove it"}
	}
	return r.next.RoundTrip(req)
}

// CloseIdleConnections is http.Client's.
func (r roundTripper) CloseIdleConnections() { r.next.CloseIdleConnections() }

// Answer is what came back.
type Answer struct {
	Code   int
	Status string // "503 Service Unavailable"
	Header http.Header
	Body   string // at most 64 KiB
}

// Text is the answer as a record shows it.
func (a Answer) Text() string { return strings.TrimSpace(a.Status + "\n" + a.Body) }

// Do sends the request and reads the answer. Errors name the other side by
// where and never by the request's address, which may be a secret; they are
// temporary where another attempt may help. The request must be safe to
// repeat: one that met a connection that the other side was just closing is
// sent once more.
func (g *Guard) Do(req *http.Request, where string) (Answer, error) {
	if _, ok := req.Header["Idempotency-Key"]; !ok {
		req.Header["Idempotency-Key"] = nil // not sent; it tells the transport that it may repeat
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return Answer{}, unreachable(where, err)
	}
	defer resp.Body.Close()
	// A body that breaks off does not undo the status.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return Answer{Code: resp.StatusCode, Status: resp.Status, Header: resp.Header, Body: string(body)}, nil
}

// Err judges the status: 2xx is success; 408, 425, 429 and 5xx are temporary,
// with the Retry-After that came along; any other is final.
func (a Answer) Err(where string, now time.Time) error {
	if a.Code >= 200 && a.Code < 300 {
		return nil
	}
	err := fmt.Errorf("%s answered %s", where, a.Status)
	switch {
	case a.Code == http.StatusRequestTimeout, a.Code == http.StatusTooEarly, a.Code == http.StatusTooManyRequests, a.Code >= 500:
		return trigger.Temporary(err, a.RetryAfter(now))
	case a.Code >= 300 && a.Code < 400:
		return fmt.Errorf("%w, and a delivery follows 307 and 308 only; write the new address instead", err)
	}
	return err
}

// RetryAfter reads both forms of RFC 9110, seconds and a date; 0 where there
// is none to understand.
func (a Answer) RetryAfter(now time.Time) time.Duration {
	v := a.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// errRedirect is final: the other side's configuration sends us on.
type errRedirect string

func (e errRedirect) Error() string { return string(e) }

// checkRedirect lets a delivery be sent on within its host: what was signed
// for one host is no other host's business.
func checkRedirect(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return errRedirect(fmt.Sprintf("it was redirected more than %d times", maxRedirects))
	case req.Method != via[0].Method: // 301, 302 and 303 make a POST a GET
		return http.ErrUseLastResponse
	case req.URL.User != nil:
		return errRedirect("it was redirected to a URL with a user name")
	case !strings.EqualFold(req.URL.Hostname(), from.Hostname()):
		return errRedirect(fmt.Sprintf("it was redirected to another host, %s; write that address instead", req.URL.Hostname()))
	case req.URL.Scheme != from.Scheme && req.URL.Scheme != "https":
		return errRedirect("it was redirected from " + from.Scheme + " to " + req.URL.Scheme)
	}
	return nil
}

// unreachable words an error of the HTTP client. The client's own text holds
// the whole URL, query and all, so only its cause is used.
func unreachable(where string, err error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused
	}
	var redirect errRedirect
	if errors.As(err, &redirect) {
		return fmt.Errorf("%s: %w", where, redirect)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return trigger.Temporary(fmt.Errorf("%s did not answer in time", where), 0)
	}
	return trigger.Temporary(fmt.Errorf("%s cannot be reached: %w", where, err), 0)
}
