package forgetest

import (
	"context"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Memory is a telling.Memory that forgets only what it is told to.
type Memory struct {
	mu    sync.Mutex
	kept  map[string]string
	until map[string]time.Time
}

var _ telling.Memory = (*Memory)(nil)

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{kept: map[string]string{}, until: map[string]time.Time{}} }

// Recall implements telling.Memory.
func (m *Memory) Recall(_ context.Context, key string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.recall(key), nil
}

func (m *Memory) recall(key string) string {
	if until, ok := m.until[key]; ok && time.Now().After(until) {
		delete(m.kept, key)
	}
	return m.kept[key]
}

// Remember implements telling.Memory.
func (m *Memory) Remember(_ context.Context, key, value string, keep time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[key], m.until[key] = value, time.Now().Add(keep)
	return nil
}

// Claim implements telling.Memory.
func (m *Memory) Claim(_ context.Context, key, value string, keep time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recall(key) != "" {
		return false, nil
	}
	m.kept[key], m.until[key] = value, time.Now().Add(keep)
	return true, nil
}

// fixed is one place, whatever is asked for.
type fixed struct{ at builder.Origin }

func (f fixed) Origin(context.Context, builder.Repository) (builder.Origin, error) { return f.at, nil }
