package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/adrg/xdg"
)

// preferredPort is tried first; whatever the first `up` got is kept.
const preferredPort = 5080

// dataDir is the folder of one installation.
type dataDir struct {
	root string
	run  string // sockets; "" where there is none yet
}

const (
	// maxRun leaves room for a socket's name: its path may have 107 bytes.
	maxRun = 80
	// runFile names the folder of the sockets where the data folder's own
	// path is too long for them.
	runFile = "run.path"
	// dataLock is how long a second process waits for the first to be gone.
	dataLock = 2 * time.Second
)

// dataDirAt names the folder without making anything. "" is the user's data
// folder.
func dataDirAt(root string) (*dataDir, error) {
	if root == "" {
		root = filepath.Join(xdg.DataHome, "registry-build")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	d := &dataDir{root: root}
	if d.run = d.path("run"); len(d.run) <= maxRun {
		return d, nil
	}
	d.run = ""
	if kept, err := os.ReadFile(d.path(runFile)); err == nil && private(string(kept)) {
		d.run = string(kept)
	}
	return d, nil
}

// private reports whether it is a folder of ours that nobody else can enter:
// those for temporary files are swept, and anybody can make one of that name.
func private(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}

// openDataDir makes the folder and its rooms.
func openDataDir(root string) (*dataDir, error) {
	d, err := dataDirAt(root)
	if err != nil {
		return nil, err
	}
	for _, room := range []string{"bin", "buildkit", "credentials", "git", "log", "mirrors", "redis", "registry", "run"} {
		if err := os.MkdirAll(d.path(room), 0o700); err != nil {
			return nil, fmt.Errorf("data folder: %w; name another with --data", err)
		}
	}
	return d, nil
}

// moveIn takes the folder for this process alone, and makes the folder of its
// sockets. leave ends both.
func (d *dataDir) moveIn(ctx context.Context) (leave func(), err error) {
	lock, err := lockFile(ctx, d.path("lock"), dataLock)
	if errors.Is(err, errLocked) {
		pid, _ := os.ReadFile(d.path("lock"))
		return nil, fmt.Errorf("another registry-build (process %s) uses %s; stop it, or name another folder with --data", pid, d.root)
	}
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	// For the sentence above; the lock holds without it.
	lock.Truncate(0)
	lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	if d.run == "" {
		if d.run, err = os.MkdirTemp("", "rb-run-"); err == nil {
			err = os.WriteFile(d.path(runFile), []byte(d.run), 0o600)
		}
		if err != nil {
			lock.Close()
			return nil, fmt.Errorf("folder of the sockets: %w", err)
		}
	}
	return func() {
		if d.run != d.path("run") {
			os.RemoveAll(d.run)
			os.Remove(d.path(runFile))
		}
		lock.Close()
	}, nil
}

func (d *dataDir) path(elem ...string) string {
	return filepath.Join(append([]string{d.root}, elem...)...)
}

func (d *dataDir) socket(name string) string { return filepath.Join(d.run, name+".sock") }

// find looks for a program beside our own binary, in the data folder's bin
// and on PATH.
func (d *dataDir) find(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			if p := filepath.Join(filepath.Dir(self), name); executable(p) {
				return p, nil
			}
		}
	}
	if p := d.path("bin", name); executable(p) {
		return p, nil
	}
	if p, err := exec.LookPath(name); err == nil {
		return filepath.Abs(p)
	}
	return "", fmt.Errorf("%s is missing; %s", name, install(name))
}

// install says how a program gets onto this machine, or what stands in for it.
func install(name string) string {
	switch name {
	case "redis-server":
		return "install it with `apt-get install redis-server`, or name one with `redis:` in the server file"
	case "buildkitd":
		return "build it with `make tools`, or name one with `buildkit:` in the server file"
	}
	return "install it with `apt-get install " + name + "`"
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// listen opens the address that the server file names, or the port that the
// first `up` of this folder chose: image names and git remotes hold it.
func (d *dataDir) listen(address string) (net.Listener, error) {
	if address != "" {
		return net.Listen("tcp", address)
	}
	file := d.path("port")
	kept, err := os.ReadFile(file)
	if err == nil {
		l, err := net.Listen("tcp", "127.0.0.1:"+strings.TrimSpace(string(kept)))
		if err != nil {
			return nil, fmt.Errorf("%w; this data folder has always used that port (%s): stop what uses it, perhaps another `registry-build up`, or name another with `listen:` in the server file", err, file)
		}
		return l, nil
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", preferredPort))
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	return l, os.WriteFile(file, []byte(port+"\n"), 0o600)
}

// secret returns 32 random bytes that stay the same for this folder.
func (d *dataDir) secret(name string) ([]byte, error) {
	file := d.path(name)
	data, err := os.ReadFile(file)
	if err == nil && len(data) == 32 {
		return data, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data = make([]byte, 32)
	rand.Read(data) // never fails: crypto/rand
	return data, os.WriteFile(file, data, 0o600)
}

// publish writes a file that other processes wait for, so that they find all
// of it or nothing.
func (d *dataDir) publish(name, text string) error {
	next := d.path("." + name)
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, d.path(name))
}
