package gitlabtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"sync"
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
func (s *Server) Deliveries() []Delivery { return s.hooks.list() }

// HoldDeliveries keeps webhooks back until ReleaseDeliveries.
func (s *Server) HoldDeliveries() { s.hooks.hold(true) }

// ReleaseDeliveries sends what was held back, last first if reversed: GitLab
// promises no order.
func (s *Server) ReleaseDeliveries(reversed bool) {
	if reversed {
		s.hooks.reverse()
	}
	s.hooks.hold(false)
}

// LoseDeliveries lets the next n deliveries fail without reaching the
// receiver; they are in the log of their webhook.
func (s *Server) LoseDeliveries(n int) { s.hooks.lose(n) }

// courier delivers webhooks one after another, as they were made, and keeps
// what came of each. GitLab tries none again by itself: WebHookService takes
// every error of HTTP for an answer.
type courier struct {
	s        *Server
	verified *http.Client
	trusting *http.Client // for webhooks without enable_ssl_verification
	ctx      context.Context
	cancel   context.CancelFunc
	done     chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	waiting []*Delivery
	busy    bool
	held    bool
	closed  bool
	lost    int
	ended   []Delivery
}

func newCourier(s *Server, timeout time.Duration) *courier {
	ctx, cancel := context.WithCancel(context.Background())
	c := &courier{
		s: s, ctx: ctx, cancel: cancel, done: make(chan struct{}),
		verified: &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2}},
		trusting: &http.Client{Timeout: timeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
	}
	c.changed = sync.NewCond(&c.mu)
	go c.run()
	return c
}

func (c *courier) run() {
	defer close(c.done)
	defer c.verified.CloseIdleConnections()
	defer c.trusting.CloseIdleConnections()
	for {
		c.mu.Lock()
		for !c.closed && (c.held || len(c.waiting) == 0) {
			c.changed.Wait()
		}
		if c.closed {
			c.mu.Unlock()
			return
		}
		d := c.waiting[0]
		c.waiting, c.busy = c.waiting[1:], true
		c.mu.Unlock()
		if c.s.wanted(d) {
			c.attempt(c.ctx, d)
		}
		c.mu.Lock()
		c.busy = false
		c.changed.Broadcast()
		c.mu.Unlock()
	}
}

// attempt makes one delivery and notes what came of it.
func (c *courier) attempt(ctx context.Context, d *Delivery) {
	c.mu.Lock()
	lose := c.lost > 0
	if lose {
		c.lost--
	}
	c.mu.Unlock()
	d.At = c.s.now()
	if lose {
		d.Error = "Failed to open TCP connection (Connection refused)"
	} else {
		c.post(ctx, d)
	}
	c.s.delivered(d)
	c.mu.Lock()
	c.ended = append(c.ended, *d)
	c.mu.Unlock()
}

// post sends it. What GitLab keeps of the answer: 8 KiB.
func (c *courier) post(ctx context.Context, d *Delivery) {
	start := time.Now()
	defer func() { d.Duration = time.Since(start) }()
	client := c.verified
	if !d.hook.verifyTLS {
		client = c.trusting
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

func (c *courier) add(d *Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, d)
	c.changed.Broadcast()
}

func (c *courier) hold(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = on
	c.changed.Broadcast()
}

func (c *courier) reverse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Reverse(c.waiting)
}

func (c *courier) lose(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += n
}

func (c *courier) list() []Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ended)
}

// settle waits until nothing is on its way.
func (c *courier) settle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) > 0 || c.busy {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.changed.Wait()
	}
	return nil
}

func (c *courier) close() {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	c.cancel()
	<-c.done
}
