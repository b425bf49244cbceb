package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

func TestMemory(t *testing.T) {
	s := storetest.New(t, store.Options{})
	m := s.Memory()
	recalls := func(want string) {
		t.Helper()
		if got, err := m.Recall(ctx, "check:b1"); got != want || err != nil {
			t.Errorf("recalled %q, %v; want %q", got, err, want)
		}
	}
	remember := func(value string, keep time.Duration) {
		t.Helper()
		if err := m.Remember(ctx, "check:b1", value, keep); err != nil {
			t.Fatal(err)
		}
	}
	claims := func(value string, want bool) {
		t.Helper()
		if got, err := m.Claim(ctx, "check:b1", value, time.Hour); got != want || err != nil {
			t.Errorf("claimed %t, %v; want %t", got, err, want)
		}
	}
	recalls("")
	remember("17", time.Hour)
	recalls("17")
	if d := s.TTL(t, "{rb}:memo:check:b1"); d < 59*time.Minute || d > time.Hour {
		t.Errorf("stays for %s", d)
	}
	remember("18", 100*time.Hour)
	recalls("18")
	claims("19", false)
	recalls("18")
	remember("", time.Hour)
	recalls("")
	claims("19", true)
	claims("19", false)
	recalls("19")
	if d := s.TTL(t, "{rb}:memo:check:b1"); d < 59*time.Minute || d > time.Hour {
		t.Errorf("a claim stays for %s", d)
	}
	remember("20", -1) // over already
	deadline := time.After(5 * time.Second)
	for got := "20"; got != ""; {
		var err error
		if got, err = m.Recall(ctx, "check:b1"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-deadline:
			t.Fatal("kept for ever")
		default:
		}
	}
}

func TestOneOfManyClaims(t *testing.T) {
	server := storetest.Start(t)
	stores := []*store.Store{server.Store(t, store.Options{}), server.Store(t, store.Options{})}
	for round := range 10 {
		won := make(chan string, 16)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				me := fmt.Sprint(i)
				ok, err := stores[i%2].Memory().Claim(ctx, fmt.Sprint("hint:", round), me, time.Hour)
				if err != nil {
					t.Error(err)
				}
				if ok {
					won <- me
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d claims", round, len(won))
		}
		if got, err := stores[0].Memory().Recall(ctx, fmt.Sprint("hint:", round)); got != <-won || err != nil {
			t.Errorf("round %d: recalled %q, %v", round, got, err)
		}
	}
}
