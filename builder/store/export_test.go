package store

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
)

func z(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }

// ExpireLease makes a build's lease run out, as if its worker had been silent
// for long.
func ExpireLease(t testing.TB, s *Store, id string) {
	t.Helper()
	if err := s.client.ZAddXX(context.Background(), leasesKey(), z(0, id)).Err(); err != nil {
		t.Fatal(err)
	}
}

// ExpireEventLease does it for a repository's event lease, or a deferred one's
// time.
func ExpireEventLease(t testing.TB, s *Store, repo string) {
	t.Helper()
	if err := s.client.ZAddXX(context.Background(), control+":inboxes", z(0, repo)).Err(); err != nil {
		t.Fatal(err)
	}
}

// ExpireEffects makes every effect due.
func ExpireEffects(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	for _, set := range []string{control + ":outbox", control + ":firing"} {
		members, err := s.client.ZRange(ctx, set, 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if err := s.client.ZAddXX(ctx, set, z(0, m)).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// EffectsDue is how long it takes until one of the lane is due.
func EffectsDue(t testing.TB, s *Store, lane string) time.Duration {
	t.Helper()
	_, wait, err := s.nextEffects(context.Background(), "nobody", lane, 0)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// AsBefore puts a trigger's effect where an older version of ours kept it.
func AsBefore(t testing.TB, s *Store, id, trigger string) {
	t.Helper()
	ctx, member := context.Background(), "trigger:"+id+":"+trigger
	if n, err := s.client.ZRem(ctx, control+":firing", member).Result(); err != nil || n != 1 {
		t.Fatalf("effect %s: %d, %v", member, n, err)
	}
	if err := s.client.ZAdd(ctx, control+":outbox", z(0, member)).Err(); err != nil {
		t.Fatal(err)
	}
}

// TryClaim claims without waiting; nil when nothing may run.
func (s *Store) TryClaim(t testing.TB, worker string) *builder.Lease {
	t.Helper()
	l, _, err := s.claim(context.Background(), worker)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Sealed reports whether the build's log is compressed.
func (s *Store) Sealed(t testing.TB, id string) bool {
	t.Helper()
	ctx := context.Background()
	frame, err := s.client.Exists(ctx, logFrameKey(id)).Result()
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.client.Exists(ctx, logKey(id)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return frame == 1 && stream == 0
}

// TryEffect takes an effect that is due, of any lane, without waiting; nil
// when none is.
func (s *Store) TryEffect(t testing.TB) *builder.Effect {
	t.Helper()
	for _, lane := range []string{topicOutbox, topicFiring} {
		effects, _, err := s.nextEffects(context.Background(), "courier", lane, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(effects) > 0 {
			return effects[0]
		}
	}
	return nil
}

// Waiting returns a channel that is closed when somebody waits for the topic.
func Waiting(s *Store, topic string) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		defer close(c)
		for {
			s.wakes.mu.Lock()
			n := len(s.wakes.waiting[topic])
			s.wakes.mu.Unlock()
			if n > 0 {
				return
			}
			runtime.Gosched()
		}
	}()
	return c
}

// KeysOf returns the keys that have a build's id in their names.
func (s *Store) KeysOf(t testing.TB, id string) []string {
	t.Helper()
	keys, err := s.client.Keys(context.Background(), "*"+id+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Listed counts the index of builds.
func (s *Store) Listed(t testing.TB) int64 {
	t.Helper()
	n, err := s.client.ZCard(context.Background(), control+":builds").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TTL returns how long a key stays.
func (s *Store) TTL(t testing.TB, key string) time.Duration {
	t.Helper()
	d, err := s.client.PTTL(context.Background(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// AppendLog writes one entry of a build's log.
func (s *Store) AppendLog(t testing.TB, l *builder.Lease, data string) {
	t.Helper()
	kept, err := s.appendLog(context.Background(), l, []byte(data))
	if !kept || err != nil {
		t.Fatalf("append to log: kept %t, %v", kept, err)
	}
}

// ActiveAt makes the repository's last event as old as that.
func (s *Store) ActiveAt(t testing.TB, repo string, at time.Time) {
	t.Helper()
	if err := s.client.ZAdd(context.Background(), activeKey(), z(float64(at.UnixMilli()), repo)).Err(); err != nil {
		t.Fatal(err)
	}
}

// WithdrawFound withdraws repositories that were found to be of the
// installation a moment ago.
func (s *Store) WithdrawFound(t testing.TB, l *builder.EventLease, installation string, repos ...any) {
	t.Helper()
	args := []any{l.Event.Repository.Key(), l.Token, l.Event.Repository.Forge, installation, "why", ms(s.opts.Builds)}
	if r, err := s.run(context.Background(), s.scripts.withdraw, append(args, repos...)...); err != nil || r.number(0) != 1 {
		t.Fatalf("withdraw: %v, %v", r, err)
	}
}

// PutOldRun keeps a record of a trigger as an older version of ours did.
func PutOldRun(t testing.TB, s *Store, id, trigger, text string) {
	t.Helper()
	if err := s.client.HSet(context.Background(), triggersKey(id), trigger, text).Err(); err != nil {
		t.Fatal(err)
	}
}
