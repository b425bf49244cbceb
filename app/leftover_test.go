package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func TestWhatIsMountedUnderRootIsUnmounted(t *testing.T) {
	dir := t.TempDir()
	root, other := filepath.Join(dir, "buildkit"), filepath.Join(dir, "buildkit2")
	outer, inner := filepath.Join(root, "rootfs"), filepath.Join(root, "rootfs", "proc")
	for _, at := range []string{outer, inner, other} {
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
			t.Fatalf("mount (the tests need root): %v", err)
		}
		t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	}
	if err := unmount(root); err != nil {
		t.Fatal(err)
	}
	left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil || len(left) != 1 || left[0].Mountpoint != other {
		t.Errorf("still mounted: %v, %v; want only %s", left, err, other)
	}
}

// fakeRunc lists the containers and writes down what it is asked to delete.
func fakeRunc(t *testing.T, list string) (program string, deleted func() string) {
	dir := t.TempDir()
	program = filepath.Join(dir, "runc")
	script := "#!/bin/sh\ncase $1 in\nlist) cat <<'END'\n" + list + "\nEND\n;;\ndelete) echo \"$*\" >>" + dir + "/deleted ;;\nesac\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return program, func() string {
		data, _ := os.ReadFile(filepath.Join(dir, "deleted"))
		return strings.TrimSpace(string(data))
	}
}

func TestOnlyOurContainersAreEnded(t *testing.T) {
	for _, test := range []struct{ name, list, want string }{
		{"ours and another daemon's", `[{"id":"a","bundle":"/data/buildkit/executor/a"},{"id":"b","bundle":"/data/buildkit2/executor/b"}]`, "delete --force a"},
		{"none", "null", ""},
		{"nothing at all", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			runc, deleted := fakeRunc(t, test.list)
			if err := endContainers(t.Context(), runc, "/data/buildkit"); err != nil {
				t.Fatal(err)
			}
			if got := deleted(); got != test.want {
				t.Errorf("runc was asked %q; want %q", got, test.want)
			}
		})
	}
	if err := endContainers(t.Context(), "/none/runc", "/data"); err == nil {
		t.Error("a runc that is not there is no error")
	}
}
