package buildkittest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 15 * time.Second
)

// Options of a daemon of a test's own.
type Options struct {
	// Config is the text of a buildkitd.toml, for instance mirrors.
	Config string
	// Args come after the daemon's own, for instance another address.
	Args []string
}

// Daemon is a running buildkitd.
type Daemon struct {
	root   string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// Start starts a buildkitd with an empty cache. The caller must Stop it.
func Start(o Options) (*Daemon, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("buildkittest: buildkitd needs root: run the tests as root")
	}
	binary, err := find()
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("runc"); err != nil {
		return nil, errors.New("buildkittest: no runc: run `apt-get install runc`")
	}
	// Not t.TempDir: a socket's path may have 108 bytes.
	root, err := os.MkdirTemp("", "bk")
	if err != nil {
		return nil, err
	}
	d := &Daemon{root: root, exited: make(chan struct{})}
	if err := d.start(binary, o); err != nil {
		return nil, errors.Join(fmt.Errorf("buildkittest: %w", err), d.sweep())
	}
	return d, nil
}

func (d *Daemon) start(binary string, o Options) error {
	config := filepath.Join(d.root, "buildkitd.toml")
	if err := os.WriteFile(config, []byte(o.Config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(d.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(binary, append([]string{
		"--config", config, // not the machine's
		"--root", filepath.Join(d.root, "root"),
		"--addr", d.Address(),
		"--otel-socket-path", filepath.Join(d.root, "otel.sock"), // the default is one for the machine
		"--oci-worker-net", "host",
		"--containerd-worker=false",
	}, o.Args...)...)
	d.cmd.Env = append(os.Environ(),
		"BUILDKIT_STEP_LOG_MAX_SIZE=-1",
		"BUILDKIT_STEP_LOG_MAX_SPEED=-1",
		"TMPDIR="+d.root,
	)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}

	started := make(chan error)
	go func() {
		// The death signal comes when the thread that forked ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(d.exited)
		err := d.cmd.Start()
		started <- err
		if err == nil {
			_ = d.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return d.ready()
}

// ready waits until the daemon answers.
func (d *Daemon) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	go func() {
		select {
		case <-d.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		c, err := client.New(ctx, d.Address())
		if err == nil {
			_, err = c.Info(ctx)
			err = errors.Join(err, c.Close())
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(d.logFile())
			return errors.Join(fmt.Errorf("buildkitd did not start: %w\n%s", err, log), d.end())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Address of the daemon's socket.
func (d *Daemon) Address() string { return "unix://" + filepath.Join(d.root, "s") }

func (d *Daemon) logFile() string { return filepath.Join(d.root, "log") }

// Kill ends the daemon without warning. Steps that run go on; Stop sweeps up
// the rest.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// Stop ends the daemon and removes all that it left. A daemon waits for the
// builds that run, so there should be none.
func (d *Daemon) Stop() error { return errors.Join(d.end(), d.sweep()) }

func (d *Daemon) end() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
		return nil
	case <-time.After(stopLimit):
		d.Kill()
		return fmt.Errorf("buildkitd did not stop within %s", stopLimit)
	}
}

// sweep unmounts what is mounted below the root, innermost first, and removes
// the root.
func (d *Daemon) sweep() error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var points []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(fields[4], d.root+"/") {
			points = append(points, fields[4])
		}
	}
	for _, p := range slices.Backward(points) {
		if err := unix.Unmount(p, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", p, err)
		}
	}
	return os.RemoveAll(d.root)
}

// find looks for buildkitd where BUILDKITD says, in the module's bin, and on
// PATH.
func find() (string, error) {
	if named := os.Getenv("BUILDKITD"); named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("buildkittest: BUILDKITD: %w", err)
		}
		return named, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		if path := filepath.Join(dir, "bin", "buildkitd"); executable(path) {
			return path, nil
		}
		break
	}
	if path, err := exec.LookPath("buildkitd"); err == nil {
		return path, nil
	}
	return "", errors.New("buildkittest: no buildkitd in the module's bin or on PATH: run `make tools`")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
