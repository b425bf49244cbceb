package githubtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// attempt makes a delivery. What is lost failed like a receiver that is away.
func (s *Server) attempt(ctx context.Context, d *Delivery, lost func() bool) (made bool) {
	d.At = s.opts.Now().UTC() // to the moment: benchmarks measure from here
	if lost() {
		d.Status, d.StatusCode = "failed to connect to host", 502
	} else {
		s.post(ctx, d)
	}
	return true
}

// post sends it. A receiver that cannot be reached or that takes too long is
// told as GitHub tells it.
func (s *Server) post(ctx context.Context, d *Delivery) {
	start := time.Now()
	defer func() { d.Duration = time.Since(start).Round(10 * time.Millisecond) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.Payload))
	if err != nil {
		d.Status, d.StatusCode = "invalid url", 0
		return
	}
	req.Header = d.Header.Clone()
	res, err := s.client.Do(req)
	switch {
	case err != nil && time.Since(start) >= s.client.Timeout:
		d.Status, d.StatusCode = "timed out", 504
		return
	case err != nil:
		d.Status, d.StatusCode = "failed to connect to host", 502
		return
	}
	defer func() { _ = res.Body.Close() }()
	d.Response, _ = io.ReadAll(io.LimitReader(res.Body, 1<<16))
	d.StatusCode, d.Status = res.StatusCode, http.StatusText(res.StatusCode)
	if d.OK() {
		d.Status = "OK"
	}
}
