package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One installation, one process: two would write the same repositories.
func TestDataFolderIsForOneProcess(t *testing.T) {
	root := t.TempDir()
	first, err := openDataDir(root)
	if err != nil {
		t.Fatal(err)
	}
	leave, err := first.moveIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := openDataDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.moveIn(t.Context()); err == nil || !strings.Contains(err.Error(), "another registry-build (process ") {
		t.Fatalf("the second got %v; want a sentence about the first", err)
	}
	leave()
	leave, err = second.moveIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

// Where the data folder's path is too long for a socket, clients find the
// sockets of a running `up` all the same, and nothing is left behind.
func TestSocketsOfALongPath(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	root := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	d, err := openDataDir(root)
	if err != nil {
		t.Fatal(err)
	}
	leave, err := d.moveIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.socket("buildkitd")); n > 107 {
		t.Errorf("the socket's path has %d bytes", n)
	}
	client, err := dataDirAt(root)
	if err != nil || client.run != d.run {
		t.Errorf("a client looks in %q, %v; the sockets are in %q", client.run, err, d.run)
	}
	// A folder that others can enter may be theirs.
	if err := os.Chmod(d.run, 0o755); err != nil {
		t.Fatal(err)
	}
	if client, err := dataDirAt(root); err != nil || client.run != "" {
		t.Errorf("a client trusts %q, %v, which is open to all", client.run, err)
	}
	leave()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestNamingAFolderMakesNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "none")
	if _, err := dataDirAt(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("the folder is there")
	}
}
