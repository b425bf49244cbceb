package store

import (
	"context"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// ClaimInput implements builder.Inputs. A claim ends when its build is
// terminal or goes back into the queue, or when the lease has run out; a build
// holds one claim at a time.
func (s *Store) ClaimInput(ctx context.Context, l *builder.Lease, key string) (builder.Input, error) {
	r, err := s.run(ctx, s.scripts.claimInput, l.ID, l.Worker, l.Attempt, key, ms(s.opts.Builds))
	if err := leaseError("claim input of", l, r, err); err != nil {
		return builder.Input{}, err
	}
	return builder.Input{Digest: r.text(1), From: r.text(2), Building: r.text(3)}, nil
}

// KeepInput implements builder.Inputs. Digests are remembered as long as
// builds are.
func (s *Store) KeepInput(ctx context.Context, l *builder.Lease, key, digest string) error {
	r, err := s.run(ctx, s.scripts.keepInput, "keep", key, digest, l.ID, l.Worker, l.Attempt, ms(s.opts.Builds))
	return leaseError("keep input of", l, r, err)
}

// ForgetInput implements builder.Inputs.
func (s *Store) ForgetInput(ctx context.Context, key, digest string) error {
	if _, err := s.run(ctx, s.scripts.keepInput, "forget", key, digest); err != nil {
		return fmt.Errorf("forget input %s: %w", key, err)
	}
	return nil
}

// AwaitBuild implements builder.Inputs. builder.ErrNotFound for a build that
// is not there, or is deleted meanwhile.
func (s *Store) AwaitBuild(ctx context.Context, id string) (state builder.State, err error) {
	err = s.await(ctx, func() (bool, time.Duration, error) {
		text, err := s.client.HGet(ctx, buildKey(id), "state").Result()
		if err != nil {
			return false, 0, fmt.Errorf("await build %s: %w", id, classify(ctx, err))
		}
		state = builder.State(text)
		return state.Terminal(), 0, nil
	}, topicBuild(id))
	return state, err
}
