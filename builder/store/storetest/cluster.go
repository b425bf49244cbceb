package storetest

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder/store"
)

// StartCluster starts a cluster of one node that has all slots: enough for the
// server to refuse what a real cluster would.
func StartCluster(t testing.TB) redis.UniversalClient {
	t.Helper()
	port := freePort(t)
	s := Start(t, "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(freePort(t)))
	ctx := context.Background()
	node := s.Client(t)
	if err := node.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for node.Set(ctx, "ready", 1, 0).Err() != nil {
		select {
		case <-deadline:
			t.Fatal("the cluster does not come up")
		case <-poll.C:
		}
	}
	c, err := store.Open("redis+cluster://127.0.0.1:" + strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
