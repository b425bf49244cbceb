package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	childReady  = 2 * time.Minute  // from start to the first answer: a Redis of some GB loads for a while
	childStop   = 10 * time.Second // from SIGTERM to SIGKILL
	childLock   = 15 * time.Second // for one that a killed parent left behind
	restartWait = time.Second
	logTail     = 2 << 10 // bytes of a child's log shown when it does not start
)

// child is a server that runs under us: redis-server or buildkitd. It dies
// with us, even when we are killed, and is started again when it dies alone.
type child struct {
	name   string
	path   string
	args   []string
	env    []string
	dir    string                          // its lock lives here: one such child per folder, whoever started it
	log    string                          // file for its output
	before func(ctx context.Context) error // each start, if any: what the last one may have left
	ready  func(ctx context.Context) error
	slog   *slog.Logger
	// enter, if any, is called at each start, on the thread that then starts
	// the child and ends with it: what it does to the thread, the child
	// inherits. leave is called when the child is gone.
	enter func() (env []string, leave func(), err error)
}

// Run starts the child, calls started once it answers, and keeps it running
// until ctx ends. It returns when the child is gone. Only a first start that
// fails is an error.
func (c *child) Run(ctx context.Context, started func()) error {
	lock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	running := false
	for {
		err := c.once(ctx, lock, func() {
			if !running {
				running = true
				started()
			}
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case !running:
			return fmt.Errorf("%s did not start: %w", c.name, err)
		}
		c.slog.Error("child ended, starting it again", "child", c.name, "err", err, "log", c.log+oldLog)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restartWait):
		}
	}
}

// oldLog ends the name of the log of the start before: it tells why that
// ended, and logs do not grow for ever.
const oldLog = ".old"

// once runs the child to its end.
func (c *child) once(ctx context.Context, lock *os.File, started func()) error {
	if c.before != nil {
		if err := c.before(ctx); err != nil {
			c.slog.Warn("left over", "child", c.name, "err", err)
		}
	}
	if err := os.Rename(c.log, c.log+oldLog); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(c.path, c.args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{lock} // held as long as the child lives
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // a ^C at the terminal is ours to pass on, in order
		Pdeathsig: syscall.SIGTERM, // and a kill -9 of ours is not survived
	}
	exited := make(chan error, 1)
	launched := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the thread that forked ends, so the
		// thread stays with the child.
		runtime.LockOSThread()
		if c.enter == nil {
			defer runtime.UnlockOSThread()
		} else { // a thread that is of no use to others: it ends with its goroutine
			env, leave, err := c.enter()
			if err != nil {
				launched <- err
				return
			}
			defer leave()
			cmd.Env = append(cmd.Env, env...)
		}
		err := cmd.Start()
		launched <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	if err := <-launched; err != nil {
		return err
	}
	if err := c.await(ctx, exited); err != nil {
		c.stop(cmd, exited)
		return err
	}
	started()
	select {
	case err := <-exited:
		return fmt.Errorf("it ended: %v", err)
	case <-ctx.Done():
		c.stop(cmd, exited)
		return nil
	}
}

// await waits for the child's first answer.
func (c *child) await(ctx context.Context, exited chan error) error {
	ctx, done := context.WithTimeout(ctx, childReady)
	defer done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case exit := <-exited:
			exited <- exit // for stop
			return fmt.Errorf("it ended (%v):\n%s", exit, tail(c.log))
		case <-ctx.Done():
			return fmt.Errorf("it gave no answer in %s (%v):\n%s", childReady, err, tail(c.log))
		case <-tick.C:
		}
	}
}

func (c *child) stop(cmd *exec.Cmd, exited chan error) {
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(childStop):
		c.slog.Warn("child killed", "child", c.name)
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	}
}

// lock takes the folder for this child. A parent that was killed leaves a
// child that still writes for a moment; two of them would ruin the folder.
func (c *child) lock(ctx context.Context) (*os.File, error) {
	path := filepath.Join(c.dir, ".lock")
	f, err := lockFile(ctx, path, childLock)
	if errors.Is(err, errLocked) {
		err = fmt.Errorf("%s: another %s uses %s; stop it first", path, c.name, c.dir)
	}
	return f, err
}

var errLocked = errors.New("locked")

// lockFile takes a lock that ends with the file, and so with the process. It
// waits some time for whoever has it: errLocked after that.
func lockFile(ctx context.Context, path string, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(patience)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			f.Close()
			return nil, errLocked
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tail returns the end of a child's log.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(data) > logTail {
		data = data[len(data)-logTail:]
		if _, rest, ok := bytes.Cut(data, []byte("\n")); ok {
			data = rest
		}
	}
	return string(data)
}
