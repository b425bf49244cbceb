package plaingit_test

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

var _ plaingit.Store = (*memory)(nil)

// memory is a store that fails and blocks on demand.
type memory struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced by every change
	down    map[string]error
	gate    map[string]chan struct{} // a method waits until its gate is closed
	intents []builder.Event
	events  []builder.Event
	heads   map[string]map[string]string
	decide  func(builder.Event) builder.Decision // nil: a hint
	builds  map[string]builder.Record
	logs    map[string][]string
	waits   map[string]int // who waits, at a gate or for a log
}

func newMemory() *memory {
	return &memory{
		changed: make(chan struct{}),
		down:    make(map[string]error),
		gate:    make(map[string]chan struct{}),
		heads:   make(map[string]map[string]string),
		builds:  make(map[string]builder.Record),
		logs:    make(map[string][]string),
		waits:   make(map[string]int),
	}
}

// change runs fn under the lock and wakes who waits.
func (m *memory) change(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
	close(m.changed)
	m.changed = make(chan struct{})
}

// wait blocks until cond, which runs under the lock.
func (m *memory) wait(ctx context.Context, cond func() bool) error {
	for {
		m.mu.Lock()
		ok, changed := cond(), m.changed
		m.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enter passes the method's gate and says whether it fails.
func (m *memory) enter(ctx context.Context, method string) error {
	m.mu.Lock()
	gate := m.gate[method]
	m.mu.Unlock()
	if gate != nil {
		defer m.waitFor(method)()
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down[method]
}

func (m *memory) Intend(ctx context.Context, events []builder.Event) error {
	if err := m.enter(ctx, "Intend"); err != nil {
		return err
	}
	m.change(func() { m.intents = append(m.intents, events...) })
	return nil
}

func (m *memory) Intents(ctx context.Context, repository string) ([]builder.Event, error) {
	if err := m.enter(ctx, "Intents"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []builder.Event
	for _, e := range m.intents {
		if e.Repository.Key() == repository {
			found = append(found, e)
		}
	}
	return found, nil
}

func (m *memory) DropIntents(ctx context.Context, repository string, ids ...string) error {
	if err := m.enter(ctx, "DropIntents"); err != nil {
		return err
	}
	m.change(func() {
		m.intents = slices.DeleteFunc(m.intents, func(e builder.Event) bool {
			return e.Repository.Key() == repository && slices.Contains(ids, e.ID)
		})
	})
	return nil
}

func (m *memory) Append(ctx context.Context, e builder.Event) (r builder.Receipt, err error) {
	if err := m.enter(ctx, "Append"); err != nil {
		return r, err
	}
	m.change(func() {
		for _, old := range m.events {
			if old.ID == e.ID {
				r = builder.Receipt{Seq: old.Seq, Duplicate: true}
				return
			}
		}
		e.Seq = int64(len(m.events) + 1)
		m.events = append(m.events, e)
		heads := m.heads[e.Repository.Key()]
		if heads == nil {
			heads = make(map[string]string)
			m.heads[e.Repository.Key()] = heads
		}
		if heads[e.Ref] = e.Commit; e.Commit == "" {
			delete(heads, e.Ref)
		}
		r = builder.Receipt{Seq: e.Seq}
	})
	return r, nil
}

func (m *memory) AcceptedHeads(ctx context.Context, repository string) (map[string]string, error) {
	if err := m.enter(ctx, "AcceptedHeads"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := make(map[string]string)
	for ref, commit := range m.heads[repository] {
		heads[ref] = commit
	}
	return heads, nil
}

func (m *memory) AwaitDecision(ctx context.Context, id string) (d builder.Decision, err error) {
	if err := m.enter(ctx, "AwaitDecision"); err != nil {
		return d, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.ID == id && m.decide != nil {
			d = m.decide(e)
			for _, b := range d.Builds {
				if _, ok := m.builds[b.ID]; !ok {
					m.builds[b.ID] = builder.Record{Build: b, Progress: builder.Progress{State: builder.Queued, Place: 1}}
				}
			}
			return d, nil
		}
	}
	return builder.Decision{EventID: id, Hint: "there is no .registry-build.yml"}, nil
}

func (m *memory) Build(ctx context.Context, id string) (builder.Record, error) {
	if err := m.enter(ctx, "Build"); err != nil {
		return builder.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.builds[id]
	if !ok {
		return r, builder.ErrNotFound
	}
	return r, nil
}

func (m *memory) ReadLog(ctx context.Context, id, after string, follow bool) iter.Seq2[builder.LogChunk, error] {
	return func(yield func(builder.LogChunk, error) bool) {
		if err := m.enter(ctx, "ReadLog"); err != nil {
			yield(builder.LogChunk{}, err)
			return
		}
		defer m.waitFor("log " + id)()
		n, _ := strconv.Atoi(after)
		for {
			err := m.wait(ctx, func() bool {
				return len(m.logs[id]) > n || m.builds[id].State.Terminal() || !follow
			})
			if err != nil {
				yield(builder.LogChunk{}, err)
				return
			}
			m.mu.Lock()
			chunks := m.logs[id]
			m.mu.Unlock()
			if len(chunks) <= n {
				return
			}
			n++
			if !yield(builder.LogChunk{ID: strconv.Itoa(n), Data: []byte(chunks[n-1])}, nil) {
				return
			}
		}
	}
}

// fail lets the methods fail until it is called with nil.
func (m *memory) fail(err error, methods ...string) {
	m.change(func() {
		for _, method := range methods {
			m.down[method] = err
		}
	})
}

func (m *memory) waitFor(what string) (done func()) {
	m.change(func() { m.waits[what]++ })
	return func() { m.change(func() { m.waits[what]-- }) }
}

// waiting reports whether somebody waits.
func (m *memory) waiting(what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waits[what] > 0
}

// block makes a method wait; the returned function lets it go.
func (m *memory) block(method string) (open func()) {
	gate := make(chan struct{})
	m.change(func() { m.gate[method] = gate })
	return sync.OnceFunc(func() { close(gate) })
}

func (m *memory) log(id string, text ...string) {
	m.change(func() { m.logs[id] = append(m.logs[id], text...) })
}

func (m *memory) finish(id string, s builder.State, result builder.Result) {
	m.change(func() {
		r := m.builds[id]
		r.State, r.Result = s, result
		m.builds[id] = r
	})
}

// accepted returns copies of the accepted events.
func (m *memory) accepted() []builder.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// awaitEvents blocks until n events are accepted and nothing is intended.
func (m *memory) awaitEvents(t *testing.T, n int) []builder.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := m.wait(ctx, func() bool { return len(m.events) >= n && len(m.intents) == 0 }); err != nil {
		t.Fatalf("waiting for %d events: %v; there are %v, intended %v", n, err, m.accepted(), m.intents)
	}
	return m.accepted()
}
