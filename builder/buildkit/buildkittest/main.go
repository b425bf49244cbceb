// Package buildkittest gives tests a real buildkitd and a plain registry. It
// hides how a daemon is found, started, stopped and swept up after.
//
// A test binary that uses it has
//
//	func TestMain(m *testing.M) { os.Exit(buildkittest.Main(m)) }
//
// and its tests call Address, which starts the daemon once for all of them.
package buildkittest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the daemon of this test binary. Tests have no other place to hand
// it to each other; nothing outside of tests imports this package.
var shared struct {
	sync.Mutex
	main   bool // Main runs and will stop the daemon
	daemon *Daemon
	err    error
}

// Main runs the tests and stops the shared daemon. It returns the exit status.
func Main(m *testing.M) int {
	shared.Lock()
	shared.main = true
	shared.Unlock()

	status := m.Run()

	shared.Lock()
	defer shared.Unlock()
	if shared.daemon != nil {
		if err := shared.daemon.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "buildkittest:", err)
			if status == 0 {
				status = 1
			}
		}
	}
	return status
}

// Address starts the shared daemon, if it does not run yet, and returns its
// address. A missing part fails the test with the line that installs it.
func Address(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		t.Fatal("buildkittest: give this package a TestMain that calls buildkittest.Main")
	}
	if shared.daemon == nil && shared.err == nil {
		shared.daemon, shared.err = Start(Options{})
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.daemon.Address()
}
