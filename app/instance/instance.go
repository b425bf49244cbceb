// Package instance runs `registry-build up` as a process of its own in a
// folder of its own, for the programs that show and measure it. It hides how
// one is started, found and stopped.
package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startLimit = time.Minute
	stopLimit  = 30 * time.Second
)

// Options of an instance. Program and Dir are required.
type Options struct {
	Program  string    // registry-build
	Dir      string    // gets server.yml, up.log and data/
	Settings string    // of the server file, beside the address
	Args     []string  // of `up`
	Env      []string  // beside our own
	Log      io.Writer // gets what `up` logs, as up.log does; nil: nobody
}

// Instance is a running `up`.
type Instance struct {
	URL   string // http://127.0.0.1:PORT
	Token string // its owner's
	Data  string // folder

	log    string
	cmd    *exec.Cmd
	exited chan error
}

// Start runs `up` on a free port and waits until it answers.
func Start(ctx context.Context, o Options) (*Instance, error) {
	in := &Instance{Data: filepath.Join(o.Dir, "data"), log: filepath.Join(o.Dir, "up.log"), exited: make(chan error, 1)}
	settings := filepath.Join(o.Dir, "server.yml")
	if err := os.WriteFile(settings, []byte("listen: 127.0.0.1:0\n"+o.Settings), 0o600); err != nil {
		return nil, err
	}
	// What an `up` before it left there is no address of this one.
	if err := os.Remove(filepath.Join(in.Data, "url")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	log, err := os.Create(in.log)
	if err != nil {
		return nil, err
	}
	var out io.Writer = log
	if o.Log != nil {
		out = io.MultiWriter(log, o.Log)
	}
	in.cmd = exec.Command(o.Program, append([]string{"up", "--config", settings, "--data", in.Data}, o.Args...)...)
	in.cmd.Env = append(os.Environ(), o.Env...)
	in.cmd.Stdout, in.cmd.Stderr = out, out
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a ^C is ours to pass on
	if err := in.cmd.Start(); err != nil {
		log.Close()
		return nil, err
	}
	go func() {
		defer log.Close()
		in.exited <- in.cmd.Wait()
	}()
	if err := in.await(ctx); err != nil {
		return nil, errors.Join(err, in.Stop())
	}
	return in, nil
}

// await waits for the address, which `up` writes when all of it answers.
func (in *Instance) await(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, startLimit)
	defer done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		address, err := os.ReadFile(filepath.Join(in.Data, "url"))
		if err == nil && bytes.HasSuffix(address, []byte("\n")) {
			in.URL = strings.TrimSpace(string(address))
			token, err := os.ReadFile(filepath.Join(in.Data, "token"))
			in.Token = strings.TrimSpace(string(token))
			return err
		}
		select {
		case err := <-in.exited:
			in.exited <- err // for Stop
			said, _ := os.ReadFile(in.log)
			return fmt.Errorf("registry-build up ended: %v\n%s", err, said)
		case <-ctx.Done():
			return fmt.Errorf("registry-build up gave no address: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// PID is its process.
func (in *Instance) PID() int { return in.cmd.Process.Pid }

// Host is the address as image names begin with it.
func (in *Instance) Host() string { return strings.TrimPrefix(in.URL, "http://") }

// Remote is the address of a repository for git.
func (in *Instance) Remote(repository string) string { return in.URL + "/git/" + repository + ".git" }

// CredentialHelper is git's setting that gives it the token.
func (in *Instance) CredentialHelper() string {
	return fmt.Sprintf(`!f() { echo username=owner; echo "password=$(cat '%s')"; }; f`, filepath.Join(in.Data, "token"))
}

// Stop ends it and waits until it is gone.
func (in *Instance) Stop() error {
	in.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-in.exited:
		return nil
	case <-time.After(stopLimit):
		in.cmd.Process.Kill()
		return fmt.Errorf("registry-build up did not stop in %s; its log is %s", stopLimit, in.log)
	}
}
