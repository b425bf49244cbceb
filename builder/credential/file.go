package credential

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// readPrivate reads a small file that only its owner may read.
func readPrivate(path, what string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s %s is no regular file", what, path)
	case fi.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s %s has mode %04o and others than its owner can reach it: run chmod 600 %s", what, path, fi.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", what, err)
	}
	return data, nil
}

// disk writes files so that a crash leaves the old content or the new one.
type disk struct {
	after func(step string) // tests stop here; nil: nothing
}

func (d disk) done(step string) {
	if d.after != nil {
		d.after(step)
	}
}

// replace writes the file whole, mode 0600, and has it on the disk when it
// returns. The file keeps its owner: what root writes here, the server reads.
func (d disk) replace(path string, data []byte) error {
	// A link stays one: keys are often links into a folder of mounted secrets.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	tmp, err := d.temp(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	d.done("rename")
	return d.sync(path)
}

// create is replace for a file that must not be there yet; the error is
// os.ErrExist when somebody else was first.
func (d disk) create(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := d.temp(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return d.sync(path)
}

// temp writes a file beside path, mode 0600, and syncs it.
func (d disk) temp(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempName(path)+"*")
	if err != nil {
		return "", err
	}
	d.done("create")
	_, err = f.Write(data)
	d.done("write")
	if fi, old := os.Stat(path); err == nil && old == nil {
		if owner, ok := fi.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
			err = f.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
	if err == nil {
		err = f.Sync()
	}
	d.done("sync")
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func (d disk) sync(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Sync()
	d.done("sync folder")
	return err
}

func tempName(path string) string { return "." + filepath.Base(path) + "-" }

// sweep removes what a process left that died while it wrote the file. Only
// for who holds the lock.
func sweep(path string) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), tempName(path)+"*"))
	for _, f := range left {
		_ = os.Remove(f)
	}
}
