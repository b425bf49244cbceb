package gitlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

const (
	largestRead = 64 << 20 // bytes of one answer; the client reads without a limit
	largestSend = 16 << 20 // bytes of one request; it is kept until the answer is there
	repeats     = 2        // of a call that failed, or of a read that found nothing yet
	redirects   = 5        // of one read
	lockedWait  = 5 * time.Second
	firstWait   = 400 * time.Millisecond
)

// wire sends requests to one GitLab server: with the token, within the
// server's limits, to its API and nowhere else, whole answers only. A read
// that failed is repeated; a write is not unless it is marked as repeatable,
// because whoever asked for it knows whether it may happen twice.
type wire struct {
	base   http.RoundTripper
	server *url.URL // of the API, with a slash at the end
	token  string
	limits *limits
	most   int64         // bytes of one answer
	first  time.Duration // before the first repetition; each later one takes four times as long
}

// RoundTrip implements http.RoundTripper. The answer's body is in memory.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	if !w.ours(req.URL) {
		return nil, fmt.Errorf("%s is not the API of %s: nothing is sent there", req.URL.Redacted(), w.server.Host)
	}
	ctx, done := context.WithTimeoutCause(req.Context(), callLimit, errSlow)
	defer done()
	pace := &backoff.ExponentialBackOff{InitialInterval: w.first, Multiplier: 4, MaxInterval: 5 * time.Second, RandomizationFactor: 0.2}
	pace.Reset()
	for try := 0; ; try++ {
		resp, err := w.once(ctx, req, body)
		wait := w.again(req, resp, err, try, pace)
		if wait <= 0 {
			return settled(ctx, req, resp, err)
		}
		if err := quota.Sleep(ctx, wait); err != nil {
			return settled(ctx, req, nil, err)
		}
	}
}

var errSlow = fmt.Errorf("GitLab has not answered for %s", callLimit)

// settled is what a call came to. Our own limit of time is told from the
// caller's, which may not be asked again; a lock that stays is a Later.
func settled(ctx context.Context, req *http.Request, resp *http.Response, err error) (*http.Response, error) {
	if err != nil && ctx.Err() != nil && req.Context().Err() == nil {
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, errSlow)
	}
	if err == nil && locked(resp) {
		return nil, builder.Later{Wait: lockedWait, Reason: "GitLab is at work on the same thing: " + messageOf(resp)}
	}
	if err == nil {
		resp.Request = req // without the token
	}
	return resp, err
}

// once sends the request and reads the whole answer.
func (w *wire) once(ctx context.Context, req *http.Request, body []byte) (*http.Response, error) {
	endpoint := endpointOf(req.Method, strings.TrimPrefix(req.URL.EscapedPath(), w.server.EscapedPath()))
	leave, err := w.limits.enter(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	defer leave()
	out := req.Clone(ctx)
	out.Header.Set("Private-Token", w.token)
	out.Body, out.GetBody = http.NoBody, nil
	if body != nil {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	resp, err := w.base.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, w.most))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, fmt.Errorf("GitLab's answer to %s %s is larger than %d MiB: %w", req.Method, req.URL.Path, w.most>>20, errNeverAgain)
	}
	if err != nil {
		return nil, fmt.Errorf("read GitLab's answer: %w", err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(answer)), int64(len(answer))
	if err := w.limits.note(resp, endpoint); err != nil {
		return nil, err
	}
	return resp, nil
}

var errNeverAgain = errors.New("it would be so again")

// again returns how long to wait before the request is repeated; 0: not.
func (w *wire) again(req *http.Request, resp *http.Response, err error, try int, pace backoff.BackOff) time.Duration {
	if try >= repeats || req.Context().Err() != nil || lasting(err) {
		return 0
	}
	var later builder.Later
	if errors.As(err, &later) {
		// Refused before anything was done, so a write may go again as well.
		if later.Wait <= blockAtMost {
			return later.Wait
		}
		return 0
	}
	read := reads(req.Method)
	switch {
	case err != nil || resp.StatusCode >= http.StatusInternalServerError:
		if read || req.Context().Value(repeatableKey) != nil {
			return pace.NextBackOff()
		}
	case resp.StatusCode == http.StatusNotFound && read && req.Context().Value(onceKey) == nil:
		return pace.NextBackOff() // what an event has just named is often not there yet
	case locked(resp):
		return pace.NextBackOff() // nothing was done
	}
	return 0
}

// lasting reports whether the next try would end like this, too.
func lasting(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		plain       tls.RecordHeaderError
	)
	return errors.Is(err, errNeverAgain) || errors.As(err, &certificate) || errors.As(err, &plain)
}

// locked tells the conflict of two calls at the same time, which does nothing
// and passes, from that with what is there. GitLab words it in several ways.
func locked(resp *http.Response) bool {
	if resp.StatusCode != http.StatusConflict {
		return false
	}
	said := strings.ToLower(messageOf(resp))
	return strings.Contains(said, "in progress") || strings.Contains(said, "resource lock") || strings.Contains(said, "obtain a lock")
}

// ours reports whether the address is one of the server's API.
func (w *wire) ours(u *url.URL) bool {
	return u.Scheme == w.server.Scheme && strings.EqualFold(u.Host, w.server.Host) &&
		strings.HasPrefix(u.EscapedPath(), w.server.EscapedPath()) && u.User == nil
}

// redirect is an http.Client's CheckRedirect. A project that was moved answers
// reads with one. A write would arrive as a read and look as if it were done,
// and another place must not see the token.
func (w *wire) redirect(req *http.Request, via []*http.Request) error {
	switch {
	case !w.ours(req.URL) && req.URL.Host == w.server.Host && req.URL.Scheme == w.server.Scheme:
		return &Unusable{
			Message: fmt.Sprintf("%s sends us on to %s, which is not GitLab's API", w.server.Host, req.URL.Path),
			Mend:    "write the address of GitLab's website, with its path where it has one: https://HOST/gitlab",
		}
	case !w.ours(req.URL):
		return &Unusable{
			Message: fmt.Sprintf("%s sends us on to %s", w.server.Host, req.URL.Redacted()),
			Mend:    fmt.Sprintf("if GitLab is at %s://%s now, write that as the server's url", req.URL.Scheme, req.URL.Host),
		}
	case !reads(via[0].Method):
		return fmt.Errorf("%s %s: GitLab sends us on to %s, and a write is not sent on", via[0].Method, via[0].URL.Path, req.URL.Path)
	case len(via) > redirects:
		return errors.New("GitLab sends us in a circle")
	}
	return nil
}

// bodyOf takes a request's body out of it; nil where there is none.
func bodyOf(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	defer req.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, req.Body, largestSend))
	if err != nil {
		return nil, fmt.Errorf("%s %s: its body: %w", req.Method, req.URL.Path, err)
	}
	return body, nil
}

// messageOf is what GitLab says about an error, which comes in three shapes; ""
// where it says nothing that can be read. The body is in memory and stays.
func messageOf(resp *http.Response) string {
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var said struct {
		Message json.RawMessage `json:"message"`
		Error   string          `json:"error"`
		Detail  string          `json:"error_description"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(said.Message, &text) != nil {
		text = string(said.Message) // {"error": …}, or a list for each field
	}
	for _, more := range []string{said.Error, said.Detail} {
		if text != "" && more != "" {
			text += ": "
		}
		text += more
	}
	return text
}
