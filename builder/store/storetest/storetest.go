// Package storetest gives tests a store on a redis-server of their own: a real
// one, on a unix socket, whose append-only file is synced always, and which can
// be killed and started again on its data.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder/store"
)

// maxSocket is how long a unix socket's path may be, without the final NUL.
const maxSocket = 107

// Server is a redis-server that ends with its test.
type Server struct {
	// Address is what store.Open takes: unix:// and the socket.
	Address string

	dir  string
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	out  *bytes.Buffer
}

// New returns a store that hears its wake-ups, on a server of its own.
func New(t testing.TB, opts store.Options) *store.Store {
	t.Helper()
	return Start(t).Store(t, opts)
}

// Start starts a redis-server. More arguments are its configuration, as on
// its command line: "--maxmemory", "10mb".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	if len(socket) > maxSocket {
		short, err := os.MkdirTemp("/tmp", "redis")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(short) })
		socket = filepath.Join(short, "redis.sock")
	}
	s := &Server{Address: "unix://" + socket, dir: dir, args: append([]string{
		"--port", "0", "--unixsocket", socket, "--dir", dir, "--daemonize", "no",
		"--save", "", "--appendonly", "yes", "--appendfsync", "always",
	}, args...)}
	t.Cleanup(func() { s.Kill(t) })
	s.Restart(t)
	return s
}

// Client returns a client of the server that closes with the test.
func (s *Server) Client(t testing.TB) redis.UniversalClient {
	t.Helper()
	c, err := store.Open(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Store returns a store on a client of its own, with Run running until the
// test ends. Two of them on one server are like two processes.
func (s *Server) Store(t testing.TB, opts store.Options) *store.Store {
	t.Helper()
	st := store.New(s.Client(t), opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := st.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("store: Run ended with %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return st
}

// Kill ends the server as kill -9 does. A server that is dead is left alone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("kill redis-server: %v", err)
	}
	<-s.done
	s.cmd = nil
}

// Restart starts the server on the data that it has, killing it first where
// it runs, and waits until it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill(t)
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not installed; run: apt-get install redis-server")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = new(bytes.Buffer)
	s.cmd = exec.Command(path, s.args...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.done = make(chan struct{})
	started := make(chan error)
	go func(cmd *exec.Cmd, done chan struct{}) {
		// The signal of a parent's death is sent when its thread ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is always killed
		}
	}(s.cmd, s.done)
	if err := <-started; err != nil {
		s.cmd = nil
		t.Fatalf("start redis-server: %v", err)
	}
	s.awaitReady(t)
}

func (s *Server) awaitReady(t testing.TB) {
	t.Helper()
	c, err := store.Open(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline := time.After(30 * time.Second)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !s.answers(c) {
		select {
		case <-s.done:
			t.Fatalf("redis-server ended:\n%s", s.out)
		case <-deadline:
			t.Fatal("redis-server does not answer")
		case <-poll.C:
		}
	}
}

// answers asks only where there is a socket: the client logs every attempt.
func (s *Server) answers(c redis.UniversalClient) bool {
	conn, err := net.Dial("unix", strings.TrimPrefix(s.Address, "unix://"))
	if err != nil {
		return false
	}
	conn.Close()
	return c.Ping(context.Background()).Err() == nil
}
