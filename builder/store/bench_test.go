package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// The server's append-only file is synced at every write, as it is in use.

// connections is how many webhooks come at a time.
const connections = 16

// atATime calls f b.N times from so many goroutines and reports the rate and
// the time that 99 of 100 calls stay under.
func atATime(b *testing.B, f func(n int64) error) {
	b.Helper()
	var n atomic.Int64
	took := make([][]time.Duration, connections)
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range connections {
		wg.Go(func() {
			for {
				at := n.Add(1)
				if at > int64(b.N) {
					return
				}
				began := time.Now()
				if err := f(at); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkBareAdd is the least that a webhook's handler could do: the body
// into a stream, nothing known of it.
func BenchmarkBareAdd(b *testing.B) {
	client := storetest.Start(b).Client(b)
	body := strings.Repeat("x", 6900)
	atATime(b, func(int64) error {
		return client.XAdd(ctx, &redis.XAddArgs{Stream: "events", Values: []any{"body", body}}).Err()
	})
}

func BenchmarkAppend(b *testing.B) {
	server := storetest.Start(b)
	s := server.Store(b, store.Options{})
	atATime(b, func(n int64) error {
		_, err := s.Append(ctx, webhookPush(n))
		return err
	})
}

// webhookPush is a push as GitHub tells it, of one of 20 repositories.
func webhookPush(n int64) builder.Event {
	return builder.Event{
		ID: fmt.Sprintf("github:%08x-1f2e-11ef-9a3b-7c1d2e3f4a5b", n), Kind: builder.BranchPushed,
		Repository: builder.Repository{
			Forge: "github", ID: fmt.Sprint(186853002 + n%20), Owner: "Codertocat", Name: fmt.Sprint("hello-world-", n%20),
			DefaultBranch: "main", Installation: "51234567",
		},
		Ref: "refs/heads/main", Before: fmt.Sprintf("%040x", n), Commit: fmt.Sprintf("%040x", n+1), Actor: "Codertocat",
	}
}

func BenchmarkAppendOneByOne(b *testing.B) {
	s := storetest.New(b, store.Options{})
	for b.Loop() {
		accept(b, s, pushed(b.Name()+fmt.Sprint(next.Add(1)), "a", "refs/heads/main", "c0ffee"))
	}
}

func BenchmarkClaimAndFinish(b *testing.B) {
	s := storetest.New(b, store.Options{PerRepository: 1 << 30})
	const builds = 1000
	fill := func() {
		for i := range builds / 10 {
			id := fmt.Sprintf("%08d", next.Add(1))
			var ids []string
			for j := range 10 {
				ids = append(ids, id+fmt.Sprint(j))
			}
			enqueue(b, s, pushed("e"+id, fmt.Sprint("r", i%20), "refs/tags/"+id, "c0ffee"), ids...)
		}
	}
	n := 0
	for b.Loop() {
		if n%builds == 0 {
			b.StopTimer()
			fill()
			b.StartTimer()
		}
		n++
		l := s.TryClaim(b, "w")
		if l == nil {
			b.Fatal("the queue is empty")
		}
		if err := s.Finish(ctx, l, builder.Succeeded, builder.Result{Digest: "sha256:1"}); err != nil {
			b.Fatal(err)
		}
	}
}
