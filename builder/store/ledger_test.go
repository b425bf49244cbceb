package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestTagsLeaseIsExclusiveAndFences(t *testing.T) {
	tags := storetest.New(t, store.Options{TagLease: 50 * time.Millisecond}).Tags()
	const repo = "localhost:5000/acme/a"
	stale, err := tags.Lock(ctx, repo, "b1#1")
	if err != nil {
		t.Fatal(err)
	}
	latest := builder.Position{Repository: "git:acme/a", Ref: "refs/heads/main", Commit: "c1", Generation: 1, Seq: 7}
	v1 := builder.Position{Repository: "git:acme/a", Ref: "refs/tags/v1", Commit: "c1", Generation: 1, Seq: 8}
	if err := tags.SetPositions(ctx, repo, stale, map[string]builder.Position{"latest": latest, "v1": v1}); err != nil {
		t.Fatal(err)
	}
	fresh, err := tags.Lock(within(t, 5*time.Second), repo, "b1#1") // once its time is over
	if err != nil || fresh == stale {
		t.Fatalf("second lease %q after %q, %v", fresh, stale, err)
	}
	if err := tags.Extend(ctx, repo, fresh); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"SetPositions": tags.SetPositions(ctx, repo, stale, map[string]builder.Position{"latest": v1}),
		"Extend":       tags.Extend(ctx, repo, stale),
	} {
		if !errors.Is(err, builder.ErrLeaseLost) {
			t.Errorf("%s with a stale token: %v, want ErrLeaseLost", what, err)
		}
	}
	if err := tags.Unlock(ctx, repo, stale); err != nil {
		t.Errorf("Unlock with a stale token: %v", err)
	}
	if err := tags.SetPositions(ctx, repo, fresh, map[string]builder.Position{"v1": {}}); err != nil {
		t.Error(err)
	}
	got, err := tags.Positions(ctx, repo, []string{"latest", "v1", "v2"})
	if diff := cmp.Diff(map[string]builder.Position{"latest": latest}, got); diff != "" || err != nil {
		t.Errorf("positions: %v (-want +got):\n%s", err, diff)
	}
	if err := tags.Unlock(ctx, repo, fresh); err != nil {
		t.Error(err)
	}
	if err := tags.SetPositions(ctx, repo, fresh, nil); !errors.Is(err, builder.ErrLeaseLost) {
		t.Errorf("after Unlock: %v", err)
	}
}

func TestTagsLeaseIsHandedOver(t *testing.T) {
	server := storetest.Start(t)
	opts := store.Options{Poll: time.Minute, TagLease: time.Minute}
	ledgers := []*store.Tags{server.Store(t, opts).Tags(), server.Store(t, opts).Tags()}
	var holders, turns atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				l := ledgers[i%2]
				token, err := l.Lock(within(t, 20*time.Second), "r", fmt.Sprint(i))
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				turns.Add(1)
				holders.Add(-1)
				if err := l.Unlock(ctx, "r", token); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if turns.Load() != 40 {
		t.Errorf("%d turns, want 40", turns.Load())
	}
}

func TestLockEndsWithItsContext(t *testing.T) {
	s := storetest.New(t, store.Options{})
	if _, err := s.Tags().Lock(ctx, "r", "first"); err != nil {
		t.Fatal(err)
	}
	c, cancel := context.WithCancel(ctx)
	waiting := store.Waiting(s, "tags:r")
	ended := make(chan error, 1)
	go func() {
		_, err := s.Tags().Lock(c, "r", "second")
		ended <- err
	}()
	<-waiting
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}
