package builder

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	slowAfter = time.Second // then a trigger waits for somebody, and is no work of ours
	slowFold  = 8           // so many times the slots can be in use by slow ones
)

// slots bound how many effects of a lane are in hand. One that has been for
// slowAfter gives its slot to another: some receivers that hang do not hold up
// all others. The hard limit is fold times as many.
type slots struct {
	fresh, all chan struct{}
	slow       time.Duration // 0: a slot is given back at the end only
}

func newSlots(n, fold int, slow time.Duration) *slots {
	return &slots{fresh: make(chan struct{}, n), all: make(chan struct{}, n*fold), slow: slow}
}

// wait takes one slot; false when ctx ended first.
func (s *slots) wait(ctx context.Context) bool {
	select {
	case s.fresh <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	select {
	case s.all <- struct{}{}:
	case <-ctx.Done():
		<-s.fresh
		return false
	}
	if ctx.Err() != nil {
		s.back(1)
		return false
	}
	return true
}

// more takes what else is free, and returns how many that are with the n that
// the caller has.
func (s *slots) more(n int) int {
	for ; ; n++ {
		select {
		case s.fresh <- struct{}{}:
		default:
			return n
		}
		select {
		case s.all <- struct{}{}:
		default:
			<-s.fresh
			return n
		}
	}
}

// back returns n slots that were not used.
func (s *slots) back(n int) {
	for range n {
		<-s.fresh
		<-s.all
	}
}

// taken puts a slot to use; give ends that.
func (s *slots) taken() (give func()) {
	free := sync.OnceFunc(func() { <-s.fresh })
	if s.slow == 0 {
		return func() { free(); <-s.all }
	}
	timer := time.AfterFunc(s.slow, free)
	return func() { timer.Stop(); free(); <-s.all }
}

// hands are the effects that a courier carries. The zero value is empty.
type hands struct {
	mu sync.Mutex
	in map[*Effect]context.CancelFunc
}

func (h *hands) add(e *Effect, cancel context.CancelFunc) (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in == nil {
		h.in = map[*Effect]context.CancelFunc{}
	}
	h.in[e] = cancel
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.in, e)
	}
}

func (h *hands) all() []*Effect {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.in))
}

// drop ends what is done for an effect that is somebody else's now.
func (h *hands) drop(e *Effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cancel, ok := h.in[e]; ok {
		cancel()
		delete(h.in, e)
	}
}
