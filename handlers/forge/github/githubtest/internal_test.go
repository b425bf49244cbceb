package githubtest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSpend has the secondary limits that take too many requests to reach
// from outside.
func TestSpend(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for _, test := range []struct {
		name   string
		every  time.Duration // between requests
		method string
		free   int           // how many pass
		wait   time.Duration // what the next one is told
	}{
		{"900 points of reading a minute", 0, http.MethodGet, 900, 61 * time.Second},
		{"80 writes a minute", 0, http.MethodPost, 80, 61 * time.Second},
		{"500 writes an hour", time.Second, http.MethodPost, 500, time.Hour + time.Second - 500*time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, now := &bucket{}, start
			passed := 0
			for passed < 2000 {
				wait := b.spend(now, test.method)
				if wait > 0 && passed >= test.free {
					if wait != test.wait || passed != test.free {
						t.Errorf("after %d: wait %s, want %s after %d", passed, wait, test.wait, test.free)
					}
					return
				}
				if wait > 0 { // a smaller limit: let it pass
					now = now.Add(wait)
					continue
				}
				passed++
				now = now.Add(test.every)
			}
			t.Error("never limited")
		})
	}
}

func TestMissingPackage(t *testing.T) {
	if _, err := module("nobody/nothing.json"); err == nil || !strings.HasSuffix(err.Error(), "is missing: run `make test-deps`") {
		t.Error(err)
	}
}
