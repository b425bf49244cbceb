package githubtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// courier delivers webhooks one after another, as they were made, and keeps
// what came of each.
type courier struct {
	client *http.Client
	now    func() time.Time
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	waiting []*Delivery
	busy    bool
	held    bool
	closed  bool
	lost    int
	ended   []Delivery
}

func newCourier(timeout time.Duration, now func() time.Time) *courier {
	ctx, cancel := context.WithCancel(context.Background())
	c := &courier{
		client: &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2}},
		now:    now, cancel: cancel, done: make(chan struct{}),
	}
	c.changed = sync.NewCond(&c.mu)
	go c.run(ctx)
	return c
}

func (c *courier) run(ctx context.Context) {
	defer close(c.done)
	defer c.client.CloseIdleConnections()
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
		lose := c.lost > 0
		if lose {
			c.lost--
		}
		c.mu.Unlock()
		if lose {
			d.At, d.Status, d.StatusCode = c.now(), "failed to connect to host", 502
		} else {
			c.attempt(ctx, d)
		}
		c.mu.Lock()
		c.busy, c.ended = false, append(c.ended, *d)
		c.changed.Broadcast()
		c.mu.Unlock()
	}
}

// attempt posts one delivery. A receiver that cannot be reached or that takes
// too long is told as GitHub tells it.
func (c *courier) attempt(ctx context.Context, d *Delivery) {
	start := time.Now()
	d.At = c.now()
	defer func() { d.Duration = time.Since(start).Round(10 * time.Millisecond) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.Payload))
	if err != nil {
		d.Status, d.StatusCode = "invalid url", 0
		return
	}
	req.Header = d.Header.Clone()
	res, err := c.client.Do(req)
	switch {
	case err != nil && time.Since(start) >= c.client.Timeout:
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
