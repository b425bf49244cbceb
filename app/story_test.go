package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	upLimit    = 60 * time.Second
	untilLimit = 3 * time.Minute // nobody waits so long; -race makes the program ten times slower
)

// nextPort counts below the ports that the kernel gives to whoever asks for
// any: those are taken by strangers while `up` is down.
var nextPort atomic.Int32

func freePort() (int, error) {
	for range 1000 {
		port := 21000 + (os.Getpid()*16+int(nextPort.Add(1)))%10000
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 21000 and 31000")
}

// stop ends `up` and waits for it.
func (s *story) stop(sig syscall.Signal) error {
	if s.up == nil {
		return nil
	}
	s.up.Process.Signal(sig)
	select {
	case <-s.upExited:
		s.up = nil
		return nil
	case <-time.After(upLimit):
		s.up.Process.Kill()
		s.up = nil
		return fmt.Errorf("`up` did not stop in %s", upLimit)
	}
}

// cmdUp starts `registry-build up ARGS` and waits until it answers. It sets
// URL, HOST, TOKEN and PID. With ! it must refuse to start. Its output is in
// up.err.
func cmdUp(ts *testscript.TestScript, neg bool, args []string) {
	s := storyOf(ts)
	os.Remove(filepath.Join(s.data, "url"))
	log, err := os.OpenFile(filepath.Join(s.dir, "up.err"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	self, err := lookPath("registry-build", ts.Getenv("PATH"))
	ts.Check(err)
	s.up = exec.Command(self, append([]string{"up", "--missed-after", "1s"}, args...)...)
	s.up.Dir, s.up.Env = ts.Getenv("WORK"), environ(ts)
	s.up.Stdout, s.up.Stderr = log, log
	s.upExited = make(chan error, 1)
	ts.Check(startBound(s.up, s.upExited))
	err = poll(upLimit, func() bool {
		_, err := os.Stat(filepath.Join(s.data, "url"))
		return err == nil || len(s.upExited) > 0
	})
	ts.Check(err)
	if len(s.upExited) > 0 {
		<-s.upExited
		s.up = nil
		if !neg {
			ts.Fatalf("up ended:\n%s", ts.ReadFile("up.err"))
		}
		return
	}
	if neg {
		ts.Fatalf("up started, and should not have")
	}
	url, token := s.read(ts, "url"), s.read(ts, "token")
	ts.Setenv("URL", url)
	ts.Setenv("HOST", strings.TrimPrefix(url, "http://"))
	ts.Setenv("TOKEN", token)
	ts.Setenv("PID", strconv.Itoa(s.up.Process.Pid))
}

// startBound starts a program that does not outlive a test that is killed. The
// kernel ends it with the thread that forked, so the thread stays with it.
func startBound(cmd *exec.Cmd, exited chan<- error) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	return <-started
}

// read returns a line that `up` keeps in the data folder.
func (s *story) read(ts *testscript.TestScript, name string) string {
	data, err := os.ReadFile(filepath.Join(s.data, name))
	ts.Check(err)
	return strings.TrimSpace(string(data))
}

// lookPath finds a program as the script's shell would.
func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); executable(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is not on %s", name, path)
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_TERMINAL_PROMPT", "TMPDIR", "GORACE", "KUBECONFIG"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// cmdDown stops `up`: down [KILL].
func cmdDown(ts *testscript.TestScript, _ bool, args []string) {
	sig := syscall.SIGTERM
	if len(args) == 1 && args[0] == "KILL" {
		sig = syscall.SIGKILL
	}
	ts.Check(storyOf(ts).stop(sig))
}

// cmdGate starts an HTTP server that a step of a build can wait for, and sets
// GATE to its address: gate. It answers 503 until `gate open`, and again after
// `gate close`.
func cmdGate(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	switch {
	case len(args) == 1 && args[0] == "open":
		s.open.Store(true)
	case len(args) == 1 && args[0] == "close":
		s.open.Store(false)
	case len(args) == 0 && s.gate == nil:
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		s.gate = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !s.open.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})}
		go s.gate.Serve(l)
		ts.Setenv("GATE", "http://"+l.Addr().String())
	default:
		ts.Fatalf("usage: gate [open|close]")
	}
}

// cmdRedis starts or kills a redis-server outside of `up` and sets REDIS to
// its address; started again it has its data: redis start|kill.
func cmdRedis(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	if len(args) != 1 {
		ts.Fatalf("usage: redis start|kill")
	}
	switch args[0] {
	case "start":
		dir := ts.Getenv("REDIS_DIR")
		if dir == "" {
			var err error
			dir, err = os.MkdirTemp("", "rb-redis-") // the path of a socket must be short
			ts.Check(err)
			ts.Defer(func() { os.RemoveAll(dir) })
		}
		socket := filepath.Join(dir, "s")
		s.redis = exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
		ts.Check(s.redis.Start())
		ts.Check(poll(upLimit, func() bool {
			c, err := (&net.Dialer{}).DialContext(context.Background(), "unix", socket)
			if err == nil {
				c.Close()
			}
			return err == nil
		}))
		ts.Setenv("REDIS_DIR", dir)
		ts.Setenv("REDIS", "unix://"+socket)
	case "kill":
		s.redis.Process.Kill()
		s.redis.Wait()
		s.redis = nil
	default:
		ts.Fatalf("usage: redis start|kill")
	}
}

// cmdProcess waits until so many processes of this machine have the text in
// their command line: process COUNT TEXT.
func cmdProcess(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: process COUNT TEXT")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var found []string
	err = poll(untilLimit, func() bool {
		found = nil
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range files {
			// That of a process that has ended, reaped or not, is empty.
			line, _ := os.ReadFile(file)
			if text := strings.ReplaceAll(string(line), "\x00", " "); strings.Contains(text, args[1]) {
				found = append(found, text)
			}
		}
		return len(found) == want
	})
	if err != nil {
		ts.Fatalf("there are %d processes with %q, not %d:\n%s", len(found), args[1], want, strings.Join(found, "\n"))
	}
}

// poll looks every 20 ms until it is true.
func poll(limit time.Duration, ok func() bool) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing in %s", limit)
		}
		<-tick.C
	}
	return nil
}
