package store_test

import (
	"fmt"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// The server's append-only file is synced at every write, as it is in use.

func BenchmarkAppend(b *testing.B) {
	s := storetest.New(b, store.Options{})
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e := pushed(b.Name()+fmt.Sprint(next.Add(1)), "a", "refs/heads/main", "c0ffee")
			if _, err := s.Append(ctx, e); err != nil {
				b.Error(err)
			}
		}
	})
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
