package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

// children counts the processes whose parent this is, zombies too.
func children(t testing.TB) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it ended meanwhile
		}
		after := string(data)[strings.LastIndexByte(string(data), ')')+1:]
		var state string
		var parent int
		if _, err := fmt.Sscan(after, &state, &parent); err == nil && parent == os.Getpid() {
			n++
		}
	}
	return n
}

func TestNoProcessIsLeft(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"big": strings.Repeat("x", 4<<20), "a": "a"})
	s := New(Options{Dir: t.TempDir(), Origins: origins{URL: "file://" + r.Dir}})
	openOne := func(ctx context.Context) builder.Source {
		c, err := s.Open(ctx, hello, r.Hash("main"))
		if err != nil {
			t.Fatal(err)
		}
		x := mustContext(t, c.(*Commit), "", "")
		// Readers that nobody reads to the end, nor closes.
		for range 6 {
			f, err := x.Open("big")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	before := children(t)
	c := openOne(t.Context())
	if n := children(t) - before; n < 6 {
		t.Errorf("%d processes for 6 readers", n)
	}
	c.Close()
	c.Close() // twice is harmless
	if n := children(t) - before; n != 0 {
		t.Errorf("%d processes are left after Close", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c = openOne(ctx)
	cancel()
	c.(*Commit).objects.alive.Wait()
	if n := children(t) - before; n != 0 {
		t.Errorf("%d processes are left when ctx ended", n)
	}
	c.Close()
}

func TestReadersAreKept(t *testing.T) {
	files := sourcetest.Files{}
	for i := range 50 {
		files[fmt.Sprint(i)] = fmt.Sprint(i)
	}
	c := open(t, sourcetest.New(t, files), "main")
	x := mustContext(t, c, "", "")
	before := children(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < 50; i += 8 {
				f, err := x.Open(fmt.Sprint(i))
				if err != nil {
					t.Error(err)
					return
				}
				data, err := io.ReadAll(f)
				f.Close()
				if err != nil || string(data) != fmt.Sprint(i) {
					t.Errorf("file %d: %q, %v", i, data, err)
				}
			}
		})
	}
	wg.Wait()
	if n := children(t) - before; n > keptReaders {
		t.Errorf("%d processes more are idle; at most %d should be", n, keptReaders)
	}
}

func TestLargeBlobBlocksNobody(t *testing.T) {
	big := make([]byte, 32<<20) // well above core.bigFileThreshold
	rand.Read(big)
	r := sourcetest.New(t, nil)
	r.Git("config", "core.compression", "0")
	r.Commit("refs/heads/main", "big", sourcetest.Files{"big": string(big), "small": "s"})
	c := open(t, r, "main")
	x := mustContext(t, c, "", "")
	f, err := x.Open("big")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(f, head); err != nil {
		t.Fatal(err)
	}
	if got := content(t, x, "small"); got != "s" {
		t.Errorf("read %q", got)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, f)
	if err != nil || n != int64(len(big)-len(head)) {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("reading 32 MiB allocated %d bytes", used)
	}
}

func TestReadStopsWithContext(t *testing.T) {
	c := open(t, sourcetest.New(t, sourcetest.Files{"a": "a"}), "main")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ReadFile(ctx, "a", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got, err := c.ReadFile(t.Context(), "a", 10); err != nil || string(got) != "a" {
		t.Errorf("after a cancelled read: %q, %v", got, err)
	}
}

func TestKilledReaderIsReplaced(t *testing.T) {
	c := open(t, sourcetest.New(t, sourcetest.Files{"a": "a"}), "main")
	idle := c.objects.idle[0]
	idle.kill()
	<-idle.done
	if got, err := c.ReadFile(t.Context(), "a", 10); err != nil || string(got) != "a" {
		t.Errorf("read %q, %v", got, err)
	}
}
