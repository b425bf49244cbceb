package app

import (
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

	"github.com/adrg/xdg"
)

// preferredPort is tried first; whatever the first `up` got is kept.
const preferredPort = 5080

// dataDir is the folder of one installation.
type dataDir struct {
	root string
	run  string // sockets: a path that stays under the 108 bytes of a unix socket
}

// openDataDir makes the folder and its rooms. "" is the user's data folder.
func openDataDir(root string) (*dataDir, error) {
	if root == "" {
		root = filepath.Join(xdg.DataHome, "registry-build")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	d := &dataDir{root: root}
	for _, room := range []string{"bin", "buildkit", "credentials", "git", "log", "mirrors", "redis", "registry", "run", "session"} {
		if err := os.MkdirAll(filepath.Join(root, room), 0o700); err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
	}
	d.run = d.path("run")
	if len(d.run) > 80 {
		short, err := os.MkdirTemp("", "rb-run-")
		if err != nil {
			return nil, err
		}
		d.run = short
	}
	return d, nil
}

func (d *dataDir) path(elem ...string) string {
	return filepath.Join(append([]string{d.root}, elem...)...)
}

func (d *dataDir) socket(name string) string { return filepath.Join(d.run, name+".sock") }

// close removes what only a running process needs.
func (d *dataDir) close() {
	if d.run != d.path("run") {
		os.RemoveAll(d.run)
	}
}

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
	return "", fmt.Errorf("%s is missing; %s", name, installHint[name])
}

var installHint = map[string]string{
	"redis-server": "install it with `apt-get install redis-server`, or name one with `redis:` in the server file",
	"buildkitd":    "build it with `make tools`, or name one with `buildkit:` in the server file",
	"runc":         "install it with `apt-get install runc`",
	"git":          "install it with `apt-get install git`",
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

// dataPath names files of a data folder without making it; "" is the user's.
func dataPath(root string) func(name string) string {
	if root == "" {
		root = filepath.Join(xdg.DataHome, "registry-build")
	}
	return func(name string) string { return filepath.Join(root, name) }
}
