package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

const (
	seedChunk       = 500 // heads that one script writes
	repositoryChunk = 500 // repositories that are read at a time
	withdrawChunk   = 50  // repositories that one script empties
)

// Repository returns a repository as its last event described it. What an
// event did not say of it is as the one before said.
func (s *Store) Repository(ctx context.Context, key string) (builder.Repository, error) {
	var r builder.Repository
	text, err := s.client.HGet(ctx, repositoriesKey(), key).Result()
	if err != nil {
		return r, fmt.Errorf("repository %s: %w", key, classify(ctx, err))
	}
	return r, decode(text, &r)
}

// ActiveRepositories returns the repositories that had an event since then,
// the last one first. An event counts from when it is first taken up, with the
// time at which it was accepted. Repositories that we were shut out of are
// absent.
func (s *Store) ActiveRepositories(ctx context.Context, since time.Time) ([]builder.Repository, error) {
	keys, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: activeKey(), Start: "+inf", Stop: since.UnixMilli(), ByScore: true, Rev: true,
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("active repositories: %w", classify(ctx, err))
	}
	repos := make([]builder.Repository, 0, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), repositoryChunk)
		texts, err := s.client.HMGet(ctx, repositoriesKey(), keys[:n]...).Result()
		if err != nil {
			return nil, fmt.Errorf("active repositories: %w", classify(ctx, err))
		}
		for i := range texts {
			text := reply(texts).text(i)
			if text == "" {
				continue
			}
			var r builder.Repository
			if err := decode(text, &r); err != nil {
				return nil, fmt.Errorf("repository %s: %w", keys[i], err)
			}
			repos = append(repos, r)
		}
		keys = keys[n:]
	}
	return repos, nil
}

// AcceptedHeads returns the commit of the last accepted event of each ref of
// a repository, or where SeedHeads found it. Deleted refs and closed pull
// requests are absent.
func (s *Store) AcceptedHeads(ctx context.Context, repoKey string) (map[string]string, error) {
	heads, err := s.client.HGetAll(ctx, acceptedKey(repoKey)).Result()
	if err != nil {
		return nil, fmt.Errorf("accepted heads of %s: %w", repoKey, classify(ctx, err))
	}
	return heads, nil
}

// SeedHeads takes the refs of a repository that we were just let into as
// accepted, as they are, so that nothing is built for what was there before.
// It does so once until the repository is withdrawn: first is false, and
// nothing written, where it was done before. The head that an event told stays.
// An error leaves some of the heads written; call it again.
func (s *Store) SeedHeads(ctx context.Context, repoKey string, heads map[string]string) (first bool, err error) {
	left := len(heads)
	args := []any{repoKey, 0}
	seed := func() (bool, error) {
		if left == 0 {
			args[1] = 1
		}
		r, err := s.run(ctx, s.scripts.seed, args...)
		if err != nil {
			return false, fmt.Errorf("seed heads of %s: %w", repoKey, err)
		}
		args = []any{repoKey, 0}
		return r.number(0) == 1, nil
	}
	for ref, commit := range heads {
		args = append(args, ref, commit)
		left--
		if left == 0 || len(args) < 2+2*seedChunk {
			continue
		}
		if first, err := seed(); !first || err != nil {
			return false, err
		}
	}
	return seed() // the last heads, or none
}

// withdrawInstallation ends the builds of all repositories of the event's
// installation and forgets what is known of them, some at a time: it may have
// thousands, and other scripts wait meanwhile. The event's lease fences it;
// whether that was lost is for the decision to tell. Cut off in between it is
// done again with the event, which changes nothing where it was done.
func (s *Store) withdrawInstallation(ctx context.Context, l *builder.EventLease, installation, reason string) error {
	forge := l.Event.Repository.Forge
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var page []string
		var err error
		page, cursor, err = s.client.HScan(ctx, repositoriesKey(), cursor, "", repositoryChunk).Result()
		if err != nil {
			return fmt.Errorf("repositories: %w", classify(ctx, err))
		}
		var keys []any
		for i := 0; i+1 < len(page); i += 2 {
			var r builder.Repository
			if err := decode(page[i+1], &r); err != nil {
				return fmt.Errorf("repository %s: %w", page[i], err)
			}
			if r.Forge == forge && r.Installation == installation {
				keys = append(keys, page[i])
			}
		}
		for len(keys) > 0 {
			n := min(len(keys), withdrawChunk)
			args := []any{l.Event.Repository.Key(), l.Token, forge, installation, reason, ms(s.opts.Builds)}
			r, err := s.run(ctx, s.scripts.withdraw, append(args, keys[:n]...)...)
			if err != nil {
				return fmt.Errorf("installation %s: %w", installation, err)
			}
			if r.number(0) == 0 {
				return nil
			}
			s.sealAll(ctx, r.list(1).texts())
			keys = keys[n:]
		}
	}
	return nil
}
