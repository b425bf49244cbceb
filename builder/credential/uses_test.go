package credential

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

// clock is a time that tests move.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func usedBy(t *testing.T, s *Store, name string) (out []string) {
	t.Helper()
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		if info.Name == name {
			for _, u := range info.Uses {
				out = append(out, u.By+" "+u.At.Format(time.TimeOnly))
			}
		}
	}
	return out
}

func TestUses(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	c := &clock{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	s.now, other.now = c.now, c.now
	for _, name := range []string{"npm", "audit"} {
		if err := s.Set(t.Context(), token(name, secret)); err != nil {
			t.Fatal(err)
		}
	}
	is := func(name string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, usedBy(t, other, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	is("npm")
	s.Used("npm", "build of acme/shop")
	is("npm", "build of acme/shop 12:00:00")
	is("audit")

	// One user is written once a minute; another one is another.
	c.Time = c.Add(59 * time.Second)
	s.Used("npm", "build of acme/shop")
	is("npm", "build of acme/shop 12:00:00")
	other.Used("npm", "trigger prod of acme/shop")
	is("npm", "trigger prod of acme/shop 12:00:59", "build of acme/shop 12:00:00")
	c.Time = c.Add(time.Second)
	s.Used("npm", "build of acme/shop")
	is("npm", "build of acme/shop 12:01:00", "trigger prod of acme/shop 12:00:59")

	// The ten that came last are kept.
	for i := range 12 {
		c.Time = c.Add(time.Second)
		s.Used("audit", fmt.Sprint("build ", i))
	}
	got := usedBy(t, other, "audit")
	if len(got) != 10 || !strings.HasPrefix(got[0], "build 11 ") || !strings.HasPrefix(got[9], "build 2 ") {
		t.Errorf("%d uses: %q", len(got), got)
	}

	// Who removes a credential and sets it again begins anew.
	if err := s.Remove(t.Context(), "npm"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), token("npm", secret)); err != nil {
		t.Fatal(err)
	}
	is("npm")
	s.Used("npm", "build of acme/shop")
	is("npm", "build of acme/shop "+c.Format(time.TimeOnly))
}

func TestUsesAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Set(t.Context(), token("npm", secret)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for p := range 2 {
		s := open(t, dir)
		for i := range 4 {
			wg.Go(func() { s.Used("npm", fmt.Sprint("build ", p, i)) })
		}
	}
	wg.Wait()
	if got := usedBy(t, open(t, dir), "npm"); len(got) != 8 {
		t.Errorf("%d users: %q; want 8", len(got), got)
	}
}

// Noting never stands in the way.
func TestUsesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.Set(t.Context(), token("npm", secret)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, usesFile), []byte(`{"npm": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := usedBy(t, s, "npm"); got != nil {
		t.Errorf("of a damaged file: %q", got)
	}
	s.Used("npm", "build 1")
	if got := usedBy(t, s, "npm"); len(got) != 1 {
		t.Errorf("after a damaged file: %q", got)
	}
	l := flock.New(filepath.Join(dir, usesLock))
	if err := l.Lock(); err != nil {
		t.Fatal(err)
	}
	s.Used("npm", "build 2") // returns
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.Used("npm", "build 3 "+strings.Repeat("x", 1000))
	got := usedBy(t, s, "npm")
	if len(got) != 2 || len(got[0]) > maxUser+20 {
		t.Errorf("%q", got)
	}
	if fi, err := os.Stat(filepath.Join(dir, usesFile)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}
