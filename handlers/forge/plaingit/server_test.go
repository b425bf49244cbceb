package plaingit_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

// limit is how long a test waits for what takes milliseconds.
const limit = 30 * time.Second

// TestMain lets the test binary be the hook, as the real one is.
func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	if !plaingit.IsHook(name) {
		os.Exit(m.Run())
	}
	// A file beside the socket kills the hook before it speaks.
	dir := filepath.Dir(os.Getenv("REGISTRY_BUILD_HOOK_SOCKET"))
	if _, err := os.Stat(filepath.Join(dir, "kill-"+name)); err == nil {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	// Not os.Exit: the race detector takes a second to say goodbye.
	syscall.Exit(plaingit.RunHook(name, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// tokens is who may do what in tests.
type tokens struct{}

func (tokens) Allow(r *http.Request, repository string, write bool) (string, error) {
	_, token, ok := r.BasicAuth()
	switch {
	case !ok:
		return "", fmt.Errorf("%w: git clone http://x:TOKEN@…", forge.ErrUnauthenticated)
	case token == "writer":
		return "ann", nil
	case token == "reader" && !write:
		return "bob", nil
	case token == "reader":
		return "", fmt.Errorf("%w: it may only read", forge.ErrForbidden)
	case token == "acme" && strings.HasPrefix(repository, "acme/"):
		return "carl", nil
	case token == "acme":
		return "", fmt.Errorf("%w: it is for acme/*", forge.ErrForbidden)
	}
	return "", fmt.Errorf("%w: this one is not known", forge.ErrUnauthenticated)
}

// server is a running git remote.
type server struct {
	*plaingit.Forge
	store        *memory
	root, runDir string
	url          string // of the whole server
	stop         func() // ends Run and waits for it
}

// folders are what outlives a server.
type folders struct{ root, runDir string }

func newFolders(t *testing.T) folders {
	t.Helper()
	// Not t.TempDir: its path may be too long for a socket.
	dir, err := os.MkdirTemp("", "git")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return folders{filepath.Join(dir, "repos"), filepath.Join(dir, "run")}
}

func start(t *testing.T) *server {
	t.Helper()
	return startIn(t, newFolders(t), newMemory(), nil)
}

func startIn(t *testing.T, in folders, store *memory, change func(*plaingit.Options)) *server {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{store: store, root: in.root, runDir: in.runDir}
	o := plaingit.Options{
		Root: in.root, RunDir: in.runDir, HookBinary: binary,
		Store: store, Access: tokens{}, Create: true,
		URL: func() string { return s.url },
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	if s.Forge, err = plaingit.New(o); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(plaingit.Mount, s.Handler())
	web := httptest.NewServer(mux)
	s.url = web.URL
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err, ok := <-ended; ok && err != nil {
			t.Errorf("Run: %v", err)
		}
		close(ended)
		s.stop = func() {}
	}
	t.Cleanup(func() { s.stop(); web.CloseClientConnections(); web.Close() })
	eventually(t, "the hook socket", func() bool {
		_, err := os.Stat(filepath.Join(in.runDir, "hook.sock"))
		return err == nil
	})
	return s
}

func (s *server) remote(token, repository string) string {
	return strings.Replace(s.url, "://", "://x:"+token+"@", 1) + "/git/" + repository
}

// work is a clone, or a repository that will be pushed.
type work struct {
	t   *testing.T
	dir string
}

func newWork(t *testing.T) *work {
	t.Helper()
	w := &work{t, t.TempDir()}
	w.git("init", "--quiet", "--initial-branch=main")
	return w
}

func (w *work) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = w.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com",
	}
	return cmd
}

// try runs git and returns all that it wrote.
func (w *work) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*limit)
	defer cancel()
	out, err := w.command(ctx, args...).CombinedOutput()
	return string(out), err
}

func (w *work) git(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// refuse runs git, which must fail and say something.
func (w *work) refuse(want string, args ...string) {
	w.t.Helper()
	out, err := w.try(args...)
	if err == nil || !strings.Contains(out, want) {
		w.t.Fatalf("git %s: %v, want a failure that says %q\n%s", strings.Join(args, " "), err, want, out)
	}
}

// commit writes a file and returns the commit.
func (w *work) commit(name, content string) string {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.git("add", "--", name)
	w.git("commit", "--quiet", "-m", name)
	return w.git("rev-parse", "HEAD")
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waiting for %s", what)
		}
	}
}

// lockedBuffer can be read while a process writes it.
type lockedBuffer struct {
	lock chan struct{}
	b    bytes.Buffer
}

func newLockedBuffer() *lockedBuffer { return &lockedBuffer{lock: make(chan struct{}, 1)} }

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lock <- struct{}{}
	defer func() { <-b.lock }()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.lock <- struct{}{}
	defer func() { <-b.lock }()
	return b.b.String()
}
