package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

// wakes hands a topic's messages to the goroutines that wait for it.
type wakes struct {
	mu      sync.Mutex
	waiting map[string]map[*waiter]struct{}
}

// waiter is one goroutine's interest in some topics. Its channel holds one
// message: that something happened, not what.
type waiter struct {
	c      chan struct{}
	topics []string
	from   *wakes
}

func (w *wakes) listen(topics ...string) *waiter {
	l := &waiter{c: make(chan struct{}, 1), topics: topics, from: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range topics {
		if w.waiting[t] == nil {
			w.waiting[t] = make(map[*waiter]struct{})
		}
		w.waiting[t][l] = struct{}{}
	}
	return l
}

func (l *waiter) stop() {
	l.from.mu.Lock()
	defer l.from.mu.Unlock()
	for _, t := range l.topics {
		delete(l.from.waiting[t], l)
		if len(l.from.waiting[t]) == 0 {
			delete(l.from.waiting, t)
		}
	}
}

func (l *waiter) wake() {
	select {
	case l.c <- struct{}{}:
	default:
	}
}

func (w *wakes) publish(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.waiting[topic] {
		l.wake()
	}
}

// all wakes everybody, after messages may have been lost.
func (w *wakes) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ls := range w.waiting {
		for l := range ls {
			l.wake()
		}
	}
}

// Run hears wake-ups until ctx ends, and returns ctx's error. Without it the
// store works too, but what waits notices things only every Options.Poll.
func (s *Store) Run(ctx context.Context) error {
	sub := s.client.Subscribe(ctx, wakeChannel)
	defer sub.Close()
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(4096))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-messages:
			if !ok {
				return ctx.Err()
			}
			switch m := m.(type) {
			case *redis.Message:
				s.wakes.publish(m.Payload)
			case *redis.Subscription: // connected, or again
				s.wakes.all()
			}
		}
	}
}

// await calls try until it is done, whenever a topic is woken, after the time
// that try names (0: no wish), and at least every Options.Poll. It rides out
// times in which the server is not there, and ends with ctx's error.
func (s *Store) await(ctx context.Context, try func() (done bool, next time.Duration, err error), topics ...string) error {
	l := s.wakes.listen(topics...)
	defer l.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	down := 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, next, err := try()
		wait := s.opts.Poll
		woken := l.c
		switch {
		case done && err == nil:
			return nil
		case errors.Is(err, builder.ErrUnavailable):
			if down == 0 {
				s.opts.Log.WarnContext(ctx, "redis is not available, waiting for it", "err", err)
			}
			wait = min(outageWait<<min(down, 5), wait)
			woken = nil // do not spin on what is left of the connection
			down++
		case err != nil:
			return err
		default:
			down = 0
			if next > 0 {
				wait = min(wait, next)
			}
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-woken:
		case <-timer.C:
		}
	}
}

const outageWait = 25 * time.Millisecond

// detached is a context for a call that takes something: if it were cut off,
// what it took would stay taken until its lease runs out.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
}

const callTimeout = 5 * time.Second
