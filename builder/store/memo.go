package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Memory keeps small facts for adapters, for every process and across
// restarts. Keys begin with what they are, so that two adapters never meet.
type Memory struct{ store *Store }

// Memory returns the store's memory.
func (s *Store) Memory() *Memory { return &Memory{store: s} }

// Recall returns what was remembered under the key, "" where nothing was or
// its time is over.
func (m *Memory) Recall(ctx context.Context, key string) (string, error) {
	value, err := m.store.client.Get(ctx, memoKey(key)).Result()
	err = classify(ctx, err)
	if err != nil && !errors.Is(err, builder.ErrNotFound) {
		return "", fmt.Errorf("recall %s: %w", key, err)
	}
	return value, nil
}

// Remember keeps a value for a time, at least a millisecond, in place of what
// was there. "" forgets it.
func (m *Memory) Remember(ctx context.Context, key, value string, keep time.Duration) error {
	var err error
	if value == "" {
		err = m.store.client.Del(ctx, memoKey(key)).Err()
	} else {
		err = m.store.client.Set(ctx, memoKey(key), value, max(keep, time.Millisecond)).Err()
	}
	if err != nil {
		return fmt.Errorf("remember %s: %w", key, classify(ctx, err))
	}
	return nil
}

// Claim remembers the value unless the key has one, and returns whether it
// did. Of all callers that come at a time one hears true. Where the answer to
// it is lost with the connection, nobody may hear it.
func (m *Memory) Claim(ctx context.Context, key, value string, keep time.Duration) (bool, error) {
	won, err := m.store.client.SetNX(ctx, memoKey(key), value, max(keep, time.Millisecond)).Result()
	if err != nil {
		return false, fmt.Errorf("claim %s: %w", key, classify(ctx, err))
	}
	return won, nil
}
