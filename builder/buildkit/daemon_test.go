package buildkit

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	controlapi "github.com/moby/buildkit/api/services/control"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
)

func TestToolchainAndPing(t *testing.T) {
	s := newSolver(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	tools, err := s.Toolchain(t.Context())
	if err != nil || !strings.HasPrefix(tools.Frontend, "dockerfile.v0 1.") || tools.BuildKit == "" {
		t.Errorf("toolchain %+v, %v", tools, err)
	}
	s.rewrite = true
	if other, _ := s.Toolchain(t.Context()); cmp.Equal(tools, other) {
		t.Error("rewriting timestamps makes other bytes: it belongs to the toolchain")
	}
}

func TestDaemonThatIsNotThere(t *testing.T) {
	s, err := New(t.Context(), Options{Address: "unix:///nonexistent/socket"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Solve(t.Context(), request("FROM scratch\nCOPY busybox /\n", nil), io.Discard)
	var f *builder.Failure
	if !errors.As(err, &f) || f.Stage != builder.StageInternal || !strings.Contains(f.Message, "cannot be reached") {
		t.Errorf("failure %+v", err)
	}
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "/nonexistent/socket") {
		t.Errorf("ping: %v", err)
	}
}

// TestDaemonThatDies kills one in the middle of a step: nothing that the person
// who pushed could mend.
func TestDaemonThatDies(t *testing.T) {
	d, err := buildkittest.Start(buildkittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(t.Context(), Options{Address: d.Address()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Solve(t.Context(), request(shell+"RUN busybox sleep 86421.8\n", nil), io.Discard)
		ended <- err
	}()
	eventually(t, "the step runs", func() bool { return running(t, "86421.8") })
	d.Kill()
	for _, pid := range processes(t, "86421.8") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	var f *builder.Failure
	if err := <-ended; !errors.As(err, &f) || f.Stage != builder.StageInternal || !strings.Contains(f.Message, "has stopped") {
		t.Errorf("failure %+v", err)
	}
}

// TestSolveLeavesNoHistory: the daemon's history would hold the log.
func TestSolveLeavesNoHistory(t *testing.T) {
	s := newSolver(t)
	solve(t, s, request(shell+"RUN true\n", nil))
	history, err := s.client.ControlClient().ListenBuildHistory(t.Context(), &controlapi.BuildHistoryRequest{EarlyExit: true})
	if err != nil {
		t.Fatal(err)
	}
	if event, err := history.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("event %v, %v", event, err)
	}
}

func TestInsecureRegistry(t *testing.T) {
	s, err := New(t.Context(), Options{Address: "unix:///nonexistent", Insecure: []string{"registry.local:5000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for destination, want := range map[string]string{"registry.local:5000/acme/api": "true", "registry.local/acme/api": "", "acme/api": ""} {
		exports, err := s.exports(destination)
		if err != nil {
			t.Fatal(err)
		}
		if got := exports[0].Attrs["registry.insecure"]; got != want {
			t.Errorf("%s: insecure %q, want %q", destination, got, want)
		}
	}
}
