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
	if ctx.Err() != nil {
		return false
	}
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
	return true
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

// add takes an effect into hand, with nothing done for it yet.
func (h *hands) add(e *Effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in == nil {
		h.in = map[*Effect]context.CancelFunc{}
	}
	h.in[e] = func() {}
}

// start has cancel end what is done for an effect from now on. false: somebody
// else took it while it waited for a slot.
func (h *hands) start(e *Effect, cancel context.CancelFunc) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ours := h.in[e]; !ours {
		return false
	}
	h.in[e] = cancel
	return true
}

func (h *hands) remove(e *Effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.in, e)
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

const (
	recordsKept = 256
	recordStays = 10 * time.Second
)

// records remembers builds that have ended for a moment: their triggers fire
// together, and each reads the same. The zero value is empty.
type records struct {
	mu   sync.Mutex
	read map[string]Record
	from time.Time // when the first of them was read
}

// get returns the build, from read unless it is known.
func (r *records) get(ctx context.Context, id string, read func(context.Context, string) (Record, error)) (Record, error) {
	r.mu.Lock()
	if len(r.read) >= recordsKept || time.Since(r.from) > recordStays {
		r.read = nil
	}
	known, ok := r.read[id]
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	rec, err := read(ctx, id)
	if err != nil || !rec.State.Terminal() {
		return rec, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read == nil {
		r.read, r.from = map[string]Record{}, time.Now()
	}
	r.read[id] = rec
	return rec, nil
}
