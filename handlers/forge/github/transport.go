package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/quota"
)

const (
	largestRead = 64 << 20 // bytes of one answer; go-github reads without a limit
	repeats     = 2        // of a read that failed, or found nothing yet
)

// wire sends the requests of one sender: within its limits, to GitHub's API
// and nowhere else, whole answers only. A read that failed is repeated, a
// write is not: whoever asked for it knows whether it may happen twice.
type wire struct {
	base   http.RoundTripper
	api    *url.URL
	limits *limits
	// lag repeats reads that find nothing: what an event has just named is
	// often not there yet.
	lag bool
}

// RoundTrip implements http.RoundTripper. The answer's body is in memory.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if req.URL.Scheme != w.api.Scheme || req.URL.Host != w.api.Host {
		return nil, fmt.Errorf("%s is not GitHub's API: nothing is sent there", req.URL.Redacted())
	}
	ctx := req.Context()
	for try := 0; ; try++ {
		resp, err := w.once(req)
		wait := w.again(req, resp, err, try)
		if wait <= 0 {
			return resp, err
		}
		if err := quota.Sleep(ctx, wait); err != nil {
			return nil, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
}

// once sends the request and reads the whole answer.
func (w *wire) once(req *http.Request) (*http.Response, error) {
	leave, err := w.limits.enter(req.Context(), req.Method, resourceOf(req.URL.Path))
	if err != nil {
		return nil, err
	}
	defer leave()
	resp, err := w.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, largestRead))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, fmt.Errorf("GitHub's answer to %s %s is larger than %d MiB", req.Method, req.URL.Path, largestRead>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("read GitHub's answer: %w", err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	err = w.limits.note(resp, body)
	// One keeper of limits is enough: go-github would refuse calls in its own
	// words from what it reads here.
	for _, name := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Used", "X-Ratelimit-Reset", "X-Ratelimit-Resource"} {
		resp.Header.Del(name)
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// again returns how long to wait before the request is repeated; 0: not.
func (w *wire) again(req *http.Request, resp *http.Response, err error, try int) time.Duration {
	var later builder.Later
	if errors.As(err, &later) {
		// Refused before anything was done, so a write may go again as well.
		if later.Wait <= blockAtMost && try < repeats {
			return later.Wait
		}
		return 0
	}
	if try >= repeats || req.Context().Err() != nil {
		return 0
	}
	mayRepeat := reads(req.Method) || req.Context().Value(repeatableKey) != nil
	wait := 400 * time.Millisecond << (2 * try) // 0.4 s, 1.6 s
	switch {
	case err != nil || resp.StatusCode >= http.StatusInternalServerError:
		if mayRepeat {
			return wait
		}
	case resp.StatusCode == http.StatusNotFound && w.lag && reads(req.Method) && req.Context().Value(onceKey) == nil:
		return wait
	}
	return 0
}

// rewound is the request with its body at the beginning.
func rewound(req *http.Request) (*http.Request, error) {
	next := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return next, nil
	}
	if req.GetBody == nil {
		return nil, fmt.Errorf("%s %s cannot be repeated: its body is used up", req.Method, req.URL.Path)
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	next.Body = body
	return next, nil
}

// bodyOf returns the answer's body, which is in memory, and leaves it there.
func bodyOf(resp *http.Response) []byte {
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// messageOf is what GitHub says about an error; "" where it says nothing that
// can be read.
func messageOf(body []byte) string {
	var said struct{ Message string }
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	return said.Message
}

// refusal is GitHub's answer to a request for a token.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("GitHub answers %d: %s", r.status, strings.TrimSpace(r.message))
}

// once marks reads whose "not found" is an answer, not a delay.
func once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey, true) }
