package gitlabtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// Delivery is one attempt to deliver a webhook.
type Delivery struct {
	ID             int64
	Hook           int64
	Event          string // X-Gitlab-Event
	IdempotencyKey string // the same when it is sent again
	Project        int64  // 0: none
	At             time.Time
	Duration       time.Duration
	StatusCode     int    // 0: no answer
	Error          string // why there was no answer
	Header         http.Header
	Payload        []byte
	ResponseHeader http.Header
	Response       []byte

	hook   *hook
	kind   hookKind
	url    string
	forced bool // a test or sent again: whatever the webhook's state
}

// OK reports whether GitLab takes it for delivered.
func (d Delivery) OK() bool { return d.StatusCode >= 200 && d.StatusCode < 400 }

// Deliveries lists every attempt that has ended, oldest first.
func (s *Server) Deliveries() []Delivery { return s.hooks.Ended() }

// HoldDeliveries keeps webhooks back until ReleaseDeliveries.
func (s *Server) HoldDeliveries() { s.hooks.Hold(true) }

// ReleaseDeliveries sends what was held back, last first if reversed: GitLab
// promises no order.
func (s *Server) ReleaseDeliveries(reversed bool) {
	if reversed {
		s.hooks.Reverse()
	}
	s.hooks.Hold(false)
}

// LoseDeliveries lets the next n deliveries fail without reaching the
// receiver; they are in the log of their webhook.
func (s *Server) LoseDeliveries(n int) { s.hooks.Lose(n) }

// attempt makes a delivery, unless its webhook is gone or switched off
// meanwhile. GitLab tries none again by itself: WebHookService takes every
// error of HTTP for an answer.
func (s *Server) attempt(ctx context.Context, d *Delivery, lost func() bool) (made bool) {
	if !s.wanted(d) {
		return false
	}
	d.At = s.now()
	if lost() {
		d.Error = "Failed to open TCP connection (Connection refused)"
	} else {
		s.post(ctx, d)
	}
	s.delivered(d)
	return true
}

// post sends it. What GitLab keeps of the answer: 8 KiB.
func (s *Server) post(ctx context.Context, d *Delivery) {
	start := time.Now()
	defer func() { d.Duration = time.Since(start) }()
	client := s.verified
	if !d.hook.verifyTLS {
		client = s.trusting
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.Payload))
	if err != nil {
		d.Error = err.Error()
		return
	}
	req.Header = d.Header.Clone()
	res, err := client.Do(req)
	switch {
	case err != nil && time.Since(start) >= client.Timeout:
		d.Error = "Net::ReadTimeout with #<TCPSocket:(closed)>"
		return
	case err != nil:
		d.Error = err.Error()
		return
	}
	defer func() { _ = res.Body.Close() }()
	d.Response, _ = io.ReadAll(io.LimitReader(res.Body, 8<<10))
	d.StatusCode, d.ResponseHeader = res.StatusCode, res.Header
}
