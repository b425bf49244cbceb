package forgetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Memory is a telling.Memory. It forgets what its time is over for, and can
// fail like a process that is killed between a call and the note of it. Its
// fields are set while nobody uses it.
type Memory struct {
	Now   func() time.Time // nil: time.Now
	Crash string           // part of the keys that cannot be written: ErrCrash; "": all can
	After int              // so many writes of such keys go well before

	mu    sync.Mutex
	facts map[string]fact
}

type fact struct {
	value string
	until time.Time
}

// ErrCrash is what a Memory answers where it was told to fail.
var ErrCrash = errors.New("the process is gone")

var _ telling.Memory = (*Memory)(nil)

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{facts: map[string]fact{}} }

// Recall implements telling.Memory.
func (m *Memory) Recall(_ context.Context, key string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.recall(key), nil
}

func (m *Memory) recall(key string) string {
	if m.facts[key].until.Before(m.now()) {
		delete(m.facts, key)
	}
	return m.facts[key].value
}

func (m *Memory) now() time.Time {
	if m.Now == nil {
		return time.Now()
	}
	return m.Now()
}

// Remember implements telling.Memory.
func (m *Memory) Remember(_ context.Context, key, value string, keep time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Crash != "" && strings.Contains(key, m.Crash) {
		if m.After--; m.After < 0 {
			return ErrCrash
		}
	}
	m.facts[key] = fact{value, m.now().Add(keep)}
	return nil
}

// Claim implements telling.Memory.
func (m *Memory) Claim(_ context.Context, key, value string, keep time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recall(key) != "" {
		return false, nil
	}
	m.facts[key] = fact{value, m.now().Add(keep)}
	return true, nil
}

// Forget forgets everything, as where retention is over.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.facts)
}

// fixed is one place, whatever is asked for.
type fixed struct{ at builder.Origin }

func (f fixed) Origin(context.Context, builder.Repository) (builder.Origin, error) { return f.at, nil }
