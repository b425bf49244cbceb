package gitops

import (
	"testing"
	"time"
)

// await waits until the condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited for 20 s")
		}
	}
}
