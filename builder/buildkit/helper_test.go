package buildkit

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
)

func TestMain(m *testing.M) { os.Exit(buildkittest.Main(m)) }

func newSolver(t *testing.T) *Solver {
	t.Helper()
	s, err := New(t.Context(), Options{Address: buildkittest.Address(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// tree is a build context in memory that remembers which files were opened.
type tree struct {
	*memory
	mu     sync.Mutex
	opened []string
}

func (f *tree) Hash() string { return "" }

func (f *tree) Open(name string) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened = append(f.opened, name)
	return f.memory.Open(name)
}

// contextOf makes a context. Like the source's, its files have one time, and
// nanoseconds that differ with their content.
func contextOf(files map[string]string) *tree {
	data := map[string][]byte{}
	for name, content := range files {
		data[name] = []byte(content)
	}
	m := memoryOf(data)
	for _, e := range m.entries {
		var sum int64
		for _, c := range m.data[e.Path] {
			sum = (sum*31 + int64(c)) % 1e9
		}
		e.ModTime += sum
		e.Mode |= 0o111
	}
	return &tree{memory: m}
}

// busybox is a base that needs no network: a static binary.
var busybox = sync.OnceValue(func() string {
	data, err := os.ReadFile("/bin/busybox")
	if err != nil {
		panic("tests need busybox: run `apt-get install busybox-static`")
	}
	return string(data)
})

// shell is the beginning of Dockerfiles with RUN lines: three lines.
const shell = "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n"

// request asks for a Dockerfile with files; busybox is among them.
func request(dockerfile string, files map[string]string) builder.SolveRequest {
	all := map[string]string{"busybox": busybox()}
	maps.Copy(all, files)
	return builder.SolveRequest{
		ID:         "test",
		Spec:       builder.Spec{Context: ".", Dockerfile: "Dockerfile"},
		Dockerfile: []byte(dockerfile),
		Files:      contextOf(all),
		SharedKey:  "test",
	}
}

// solve builds and fails the test on an error.
func solve(t *testing.T, s *Solver, r builder.SolveRequest) (builder.Solution, string) {
	t.Helper()
	var log buffer
	solution, err := s.Solve(t.Context(), r, &log)
	if err != nil {
		t.Fatalf("solve: %v\n%s", err, log.String())
	}
	return solution, log.String()
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
