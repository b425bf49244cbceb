package credential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"filippo.io/age"
)

const (
	killDir  = "RB_TEST_ROTATE"
	killKey  = "RB_TEST_ROTATE_KEY"
	killStep = "RB_TEST_ROTATE_STEP"
)

// The test binary is the process that is killed while it rotates, too.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		os.Exit(rotateAndDie(dir))
	}
	os.Exit(m.Run())
}

// rotateAndDie kills its own process after so many file operations.
func rotateAndDie(dir string) int {
	left, _ := strconv.Atoi(os.Getenv(killStep))
	s, err := Open(dir, os.Getenv(killKey))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.disk.after = func(step string) {
		if left--; left == 0 {
			fmt.Println(step)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if _, err := s.Rotate(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	server, s := open(t, dir), open(t, dir)
	if err := s.Set(t.Context(), signing("audit")); err != nil {
		t.Fatal(err)
	}
	opens(t, server)
	before, err := loadKeys(s.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, err := loadKeys(s.keyFile)
	if err != nil || len(after) != 1 || after.equal(before) {
		t.Fatalf("keys %v, %v; want one other", after, err)
	}
	want := Rotation{KeyFile: s.keyFile, Old: before[0].Recipient().String(), New: after[0].Recipient().String(), Credentials: 1}
	if got != want {
		t.Errorf("Rotate = %+v, want %+v", got, want)
	}
	opens(t, server) // which has the old key in memory
	opens(t, s)
	if err := server.Set(t.Context(), token("npm", secret)); err != nil {
		t.Fatal(err)
	}
	opens(t, open(t, dir)) // with the new key only: the server wrote for it
	f, err := os.Open(s.path())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var wrong *age.NoIdentityMatchError
	if _, err := before.decrypt(f); !errors.As(err, &wrong) {
		t.Errorf("the old key opens the store: %v", err)
	}
}

// opens finds the credential audit.
func opens(t *testing.T, s *Store) {
	t.Helper()
	if c, err := s.Get(t.Context(), "audit"); err != nil || c.Value() != secret {
		t.Errorf("Get: %v", err)
	}
}

// A rotation is killed after each of its file operations. Whoever comes then,
// and whoever was there before, reads and writes; the next rotation ends with
// one key, and nothing of the dead one is left.
func TestRotateKilled(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		killed := 0
		for step := 1; ; step++ {
			name := fmt.Sprintf("key elsewhere %v, step %d", elsewhere, step)
			dir, key := t.TempDir(), ""
			if elsewhere { // and behind a link
				target := filepath.Join(t.TempDir(), "key")
				if _, err := Open(t.TempDir(), target); err != nil {
					t.Fatal(err)
				}
				key = filepath.Join(t.TempDir(), "link")
				if err := os.Symlink(target, key); err != nil {
					t.Fatal(err)
				}
			}
			server, err := Open(dir, key)
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Set(t.Context(), signing("audit")); err != nil {
				t.Fatal(err)
			}
			died, what := rotateKilled(t, dir, key, step)
			t.Run(name+" "+what, func(t *testing.T) {
				other, err := Open(dir, key)
				if err != nil {
					t.Fatal(err)
				}
				opens(t, server)
				opens(t, other)
				if err := server.Set(t.Context(), token("npm", secret)); err != nil {
					t.Error(err)
				}
				opens(t, other)
				if _, err := other.Rotate(t.Context()); err != nil {
					t.Fatal(err)
				}
				opens(t, server)
				opens(t, other)
				k, err := loadKeys(other.keyFile)
				if err != nil || len(k) != 1 {
					t.Errorf("%d keys, %v; want 1", len(k), err)
				}
				for _, folder := range []string{dir, filepath.Dir(linked(other.keyFile))} {
					if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
						t.Errorf("left: %v", left)
					}
				}
				if elsewhere {
					if fi, err := os.Lstat(key); err != nil || fi.Mode()&os.ModeSymlink == 0 {
						t.Errorf("the link to the key is none any more (%v)", err)
					}
				}
			})
			if !died {
				break
			}
			killed++
		}
		if killed != 15 { // three files: create, write, sync, rename, sync the folder
			t.Errorf("killed at %d operations; want 15", killed)
		}
	}
}

func linked(path string) string {
	if to, err := os.Readlink(path); err == nil {
		return to
	}
	return path
}

// rotateKilled rotates in another process, which dies after so many steps.
func rotateKilled(t *testing.T, dir, key string, step int) (died bool, what string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, killKey+"="+key, killStep+"="+strconv.Itoa(step))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false, "done"
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return true, strings.TrimSpace(string(out))
	}
	t.Fatalf("rotate: %v", err)
	return false, ""
}

// Readers, writers and rotations at once, within one process and in several:
// nobody ever fails, and nothing that was set is lost.
func TestRotateAmongOthers(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Set(t.Context(), signing("audit")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers, others sync.WaitGroup
	stores := []*Store{open(t, dir), open(t, dir), open(t, dir)}
	for _, s := range stores {
		readers.Go(func() {
			for ctx.Err() == nil {
				if c, err := s.Get(t.Context(), "audit"); err != nil || c.Value() != secret {
					t.Errorf("Get: %v", err)
					return
				}
			}
		})
	}
	for i, s := range stores {
		others.Go(func() {
			for k := range 8 {
				if err := s.Set(t.Context(), token(fmt.Sprintf("c%d-%d", i, k), secret)); err != nil {
					t.Error(err)
				}
			}
		})
		r := open(t, dir)
		others.Go(func() {
			for range 5 {
				if _, err := r.Rotate(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	others.Wait()
	stop()
	readers.Wait()
	list, err := open(t, dir).List(t.Context())
	if err != nil || len(list) != 25 {
		t.Errorf("%d credentials, %v; want 25", len(list), err)
	}
	if k, err := loadKeys(filepath.Join(dir, keyName)); err != nil || len(k) != 1 {
		t.Errorf("%d keys, %v", len(k), err)
	}
}

func TestRotateRefuses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Set(t.Context(), signing("audit")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.keyFile, s.keyFile+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("without the key: %v", err)
	}
	if err := s.Set(t.Context(), token("npm", secret)); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("Set without the key: %v", err)
	}
	opens(t, s) // a reader has it in memory
	if err := os.WriteFile(s.keyFile, newKey(t).text(), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, dir)
	if _, err := fresh.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "encrypted with another key") {
		t.Errorf("with another key: %v", err)
	}
}

func newKey(t *testing.T) keys {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return keys{id}
}

// A key that the store is not encrypted for must not be written for either:
// what was set before would be lost to it.
func TestSetWithAnotherKeyInTheFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Set(t.Context(), signing("audit")); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.keyFile, newKey(t).text(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, who := range []*Store{s, open(t, dir)} {
		if err := who.Set(t.Context(), token("npm", secret)); err == nil || !strings.Contains(err.Error(), "encrypted with another key") {
			t.Errorf("Set: %v", err)
		}
	}
	if now, _ := os.ReadFile(s.path()); string(now) != string(before) {
		t.Error("the store was replaced")
	}
}
