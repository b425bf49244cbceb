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
	childReady  = 30 * time.Second // from start to the first answer
	childStop   = 10 * time.Second // from SIGTERM to SIGKILL
	childLock   = 15 * time.Second // for one that a killed parent left behind
	restartWait = time.Second
	logTail     = 2 << 10 // bytes of a child's log shown when it does not start
)

// child is a server that runs under us: redis-server or buildkitd. It dies
// with us, even when we are killed, and is started again when it dies alone.
type child struct {
	name  string
	path  string
	args  []string
	env   []string
	dir   string // its lock lives here: one such child per folder, whoever started it
	log   string // file for its output
	ready func(ctx context.Context) error
	slog  *slog.Logger
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
	for first := true; ; first = false {
		err := c.once(ctx, lock, func() {
			if first {
				started()
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		if first && errors.Is(err, errNotReady) {
			return err
		}
		c.slog.Error("child ended, starting it again", "child", c.name, "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restartWait):
		}
	}
}

var errNotReady = errors.New("did not start")

// once runs the child to its end.
func (c *child) once(ctx context.Context, lock *os.File, started func()) error {
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
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		launched <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	if err := <-launched; err != nil {
		return fmt.Errorf("%w: %s: %v", errNotReady, c.name, err)
	}
	if err := c.await(ctx, exited); err != nil {
		c.stop(cmd, exited)
		return err
	}
	started()
	select {
	case err := <-exited:
		return fmt.Errorf("%s ended: %v", c.name, err)
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
			return fmt.Errorf("%w: %s ended (%v):\n%s", errNotReady, c.name, exit, tail(c.log))
		case <-ctx.Done():
			return fmt.Errorf("%w: %s gave no answer in %s (%v):\n%s", errNotReady, c.name, childReady, err, tail(c.log))
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
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(childLock)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			f.Close()
			return nil, fmt.Errorf("%s: another %s uses %s; stop it first", path, c.name, c.dir)
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
