package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func TestSweep(t *testing.T) {
	dir, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	runc, deleted := fakeRunc(t, `[{"id":"a","bundle":"`+dir.path(forkRoom, "fresh")+`/executor/a"}]`)
	if err := os.Symlink(runc, filepath.Join(bin, "runc")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for name, age := range map[string]time.Duration{"fresh": time.Hour, "old": 15 * 24 * time.Hour, "used": 15 * 24 * time.Hour} {
		root := dir.path(forkRoom, name)
		if err := os.MkdirAll(filepath.Join(root, "rootfs"), 0o700); err != nil {
			t.Fatal(err)
		}
		if name == "used" { // by a daemon that still ends
			lock, err := lockFile(t.Context(), filepath.Join(root, ".lock"), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
		}
		if name != "used" {
			if err := unix.Mount("tmpfs", filepath.Join(root, "rootfs"), "tmpfs", 0, ""); err != nil {
				t.Fatalf("mount (the tests need root): %v", err)
			}
			t.Cleanup(func() { unix.Unmount(filepath.Join(root, "rootfs"), unix.MNT_DETACH) })
		}
		if err := os.Chtimes(root, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	sweep(t.Context(), dir, slog.New(slog.DiscardHandler))
	for name, want := range map[string]bool{"fresh": true, "old": false, "used": true} {
		if _, err := os.Stat(dir.path(forkRoom, name)); (err == nil) != want {
			t.Errorf("%s: there %t, want %t", name, err == nil, want)
		}
	}
	if left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir.root)); err != nil || len(left) > 0 {
		t.Errorf("mounted: %v, %v", left, err)
	}
	if got := deleted(); got != "delete --force a" {
		t.Errorf("runc was asked %q", got)
	}
}

func TestDomainID(t *testing.T) {
	a, b := domainID("github:acme"), domainID("gitlab:acme")
	if a == b || len(a) != 16 || a != domainID("github:acme") {
		t.Errorf("ids %q, %q", a, b)
	}
	// A socket's path has at most 107 bytes.
	if d := (&dataDir{run: "/" + string(make([]byte, maxRun-1))}); len(d.socket("fork"+a)) > 107 || len(d.socket("otel"+a)) > 107 {
		t.Error("the sockets' paths are too long")
	}
}
