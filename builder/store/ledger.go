package store

import (
	"context"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Tags is the ledger of where tags stand and who may write them now. It is
// what builder/registry asks of its Ledger.
type Tags struct{ store *Store }

// Tags returns the store's ledger of tags.
func (s *Store) Tags() *Tags { return &Tags{store: s} }

// Lock leases the tags of an image repository to the owner for
// Options.TagLease, as soon as nobody holds them. The token fences
// SetPositions; no two calls return the same one.
func (t *Tags) Lock(ctx context.Context, repository, owner string) (token string, err error) {
	s := t.store
	err = s.await(ctx, func() (bool, time.Duration, error) {
		dctx, cancel := detached(ctx)
		defer cancel()
		r, err := s.run(dctx, s.scripts.tagLease, repository, "lock", owner, ms(s.opts.TagLease))
		if err != nil {
			return false, 0, fmt.Errorf("lock tags of %s: %w", repository, err)
		}
		if r.number(0) == 0 {
			return false, time.Duration(max(1, r.number(1))) * time.Millisecond, nil
		}
		token = r.text(1)
		return true, 0, nil
	}, topicTags(repository))
	return token, err
}

// Extend starts the lease's time again. builder.ErrLeaseLost when the token
// is not the holder's.
func (t *Tags) Extend(ctx context.Context, repository, token string) error {
	return t.withLease(ctx, repository, "extend", token, ms(t.store.opts.TagLease))
}

// Unlock ends the lease. A token that is not the holder's any more is no
// error.
func (t *Tags) Unlock(ctx context.Context, repository, token string) error {
	if _, err := t.store.run(ctx, t.store.scripts.tagLease, repository, "unlock", token); err != nil {
		return fmt.Errorf("unlock tags of %s: %w", repository, err)
	}
	return nil
}

// Positions returns where the tags stand; one that was never set is absent.
func (t *Tags) Positions(ctx context.Context, repository string, tags []string) (map[string]builder.Position, error) {
	positions := make(map[string]builder.Position, len(tags))
	if len(tags) == 0 {
		return positions, nil
	}
	values, err := t.store.client.HMGet(ctx, tagsKey(repository), tags...).Result()
	if err != nil {
		return nil, fmt.Errorf("tags of %s: %w", repository, classify(ctx, err))
	}
	for i, tag := range tags {
		text := reply(values).text(i)
		if text == "" {
			continue
		}
		var p builder.Position
		if err := decode(text, &p); err != nil {
			return nil, fmt.Errorf("tag %s of %s: %w", tag, repository, err)
		}
		positions[tag] = p
	}
	return positions, nil
}

// SetPositions records where tags stand and what they name, all or none; the
// zero Position forgets a tag, one with nothing but a digest only where it
// stood. builder.ErrLeaseLost when the token is not the holder's.
func (t *Tags) SetPositions(ctx context.Context, repository, token string, positions map[string]builder.Position) error {
	args := make([]any, 0, 1+3*len(positions))
	args = append(args, t.store.images(repository))
	for tag, p := range positions {
		text, digest := "", p.Digest
		p.Digest = ""
		if p != (builder.Position{}) {
			var err error
			if text, err = encode(p); err != nil {
				return err
			}
		}
		args = append(args, tag, text, digest)
	}
	return t.withLease(ctx, repository, "set", token, args...)
}

func (t *Tags) withLease(ctx context.Context, repository, what, token string, args ...any) error {
	r, err := t.store.run(ctx, t.store.scripts.tagLease, append([]any{repository, what, token}, args...)...)
	if err == nil && r.number(0) == 0 {
		err = builder.ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("%s tags of %s: %w", what, repository, err)
	}
	return nil
}
