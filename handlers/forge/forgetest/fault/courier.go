package fault

import (
	"context"
	"slices"
	"sync"
)

// Courier makes deliveries one after another, as they were added, and keeps
// what came of each. A D is one attempt to deliver a webhook. Its methods may
// be called concurrently.
type Courier[D any] struct {
	attempt func(ctx context.Context, d *D, lost func() bool) (made bool)
	cancel  context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	waiting []*D
	busy    bool
	held    bool
	closed  bool
	lost    int
	ended   []D
}

// NewCourier starts a courier. attempt makes one delivery and notes in it what
// came of it; lost says that this one does not reach the receiver, and is asked
// once at most. made is false for what was not to be delivered after all.
func NewCourier[D any](attempt func(ctx context.Context, d *D, lost func() bool) (made bool)) *Courier[D] {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Courier[D]{attempt: attempt, cancel: cancel, done: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	go c.run(ctx)
	return c
}

func (c *Courier[D]) run(ctx context.Context) {
	defer close(c.done)
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
		c.Deliver(ctx, d)
		c.mu.Lock()
		c.busy = false
		c.changed.Broadcast()
		c.mu.Unlock()
	}
}

// Deliver makes a delivery at once, past those that wait.
func (c *Courier[D]) Deliver(ctx context.Context, d *D) {
	if made := c.attempt(ctx, d, c.loses); !made {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, *d)
}

func (c *Courier[D]) loses() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost == 0 {
		return false
	}
	c.lost--
	return true
}

// Add has a delivery made when its turn comes.
func (c *Courier[D]) Add(d *D) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, d)
	c.changed.Broadcast()
}

// Hold keeps deliveries back, or lets them go.
func (c *Courier[D]) Hold(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = on
	c.changed.Broadcast()
}

// Reverse turns the order of those that wait.
func (c *Courier[D]) Reverse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Reverse(c.waiting)
}

// Lose lets the next n deliveries fail without reaching the receiver.
func (c *Courier[D]) Lose(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += n
}

// Ended lists the deliveries that were made, oldest first.
func (c *Courier[D]) Ended() []D {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ended)
}

// Settle waits until nothing is on its way.
func (c *Courier[D]) Settle(ctx context.Context) error {
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

// Close ends the delivery that is under way, and makes no more.
func (c *Courier[D]) Close() {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	c.cancel()
	<-c.done
}
