package buildkittest

import (
	"os"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"
)

func TestStopLeavesNothing(t *testing.T) {
	d, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(t.Context(), d.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if workers, err := c.ListWorkers(t.Context()); err != nil || len(workers) != 1 {
		t.Errorf("workers %v, %v", workers, err)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.root); !os.IsNotExist(err) {
		t.Errorf("%s is still there", d.root)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), d.root) {
		t.Errorf("mounts are left, %v", err)
	}
}

func TestMissingDaemonSaysWhatToRun(t *testing.T) {
	t.Setenv("PATH", "")
	t.Chdir(t.TempDir())
	if _, err := find(); err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("error %v", err)
	}
	t.Setenv("BUILDKITD", "/nonexistent/buildkitd")
	if _, err := find(); err == nil || !strings.Contains(err.Error(), "/nonexistent/buildkitd") {
		t.Errorf("error %v", err)
	}
}

func TestDaemonThatCannotStartShowsItsLog(t *testing.T) {
	_, err := Start(Options{Config: "this is no configuration"})
	if err == nil || !strings.Contains(err.Error(), "did not start") {
		t.Errorf("error %v", err)
	}
}
