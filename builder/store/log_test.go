package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/builder/store/storetest"
)

// logging leaves a claimed build.
func logging(t testing.TB, opts store.Options) (*store.Store, *builder.Lease) {
	t.Helper()
	s := storetest.New(t, opts)
	enqueue(t, s, pushed("e1", "a", "refs/heads/main", "c1"), "b1")
	return s, claim(t, s, "w", "b1")
}

func readLog(t testing.TB, s *store.Store, after string, follow bool) []builder.LogChunk {
	t.Helper()
	var chunks []builder.LogChunk
	for c, err := range s.ReadLog(within(t, 20*time.Second), "b1", after, follow) {
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
	return chunks
}

func text(chunks []builder.LogChunk) string {
	var b strings.Builder
	for _, c := range chunks {
		b.Write(c.Data)
	}
	return b.String()
}

func write(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func TestLogIsFollowedWhileItGrows(t *testing.T) {
	s, l := logging(t, store.Options{})
	w := s.OpenLog(ctx, l)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for c, err := range s.ReadLog(within(t, 10*time.Second), "b1", "", true) {
			if err != nil {
				t.Error(err)
			}
			lines <- string(c.Data)
		}
	}()
	for _, line := range []string{"one\n", "two\n"} { // each is seen before the next is written
		write(t, w, line)
		if got := <-lines; got != line {
			t.Errorf("followed %q, want %q", got, line)
		}
	}
	write(t, w, "last words\n") // still in the writer when the build ends
	finish(t, s, l, builder.Succeeded)
	if got := <-lines; got != "last words\n" {
		t.Errorf("followed %q", got)
	}
	if more, ok := <-lines; ok {
		t.Errorf("after the end: %q", more)
	}
	write(t, w, "too late\n")
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if got := text(readLog(t, s, "", false)); got != "one\ntwo\nlast words\n" {
		t.Errorf("finished log %q", got)
	}
	if !s.Sealed(t, "b1") {
		t.Error("the finished log is not compressed")
	}
}

func TestLogResumes(t *testing.T) {
	const head, tail = 1000, 3000
	tests := map[string]struct {
		batches int
		cut     bool
	}{
		"short":             {batches: 9},
		"exactly kept":      {batches: 40},
		"one batch too far": {batches: 41, cut: true},
		"cut in the middle": {batches: 200, cut: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, l := logging(t, store.Options{LogHead: head, LogTail: tail})
			var all strings.Builder
			for i := range tt.batches {
				line := fmt.Sprintf("%-99d\n", i)
				all.WriteString(line)
				w := s.OpenLog(ctx, l) // closing makes it one entry
				write(t, w, line)
				w.Close()
			}
			growing := readLog(t, s, "", false)
			got := text(growing)
			if !tt.cut && got != all.String() {
				t.Errorf("kept %d of %d bytes", len(got), all.Len())
			}
			if tt.cut {
				missing := fmt.Sprintf("%d bytes of the log are left out", all.Len()-head-tail)
				if all.Len()-head-tail >= 1024 {
					missing = "KiB of the log are left out"
				}
				if !strings.HasPrefix(got, all.String()[:head]) || !strings.HasSuffix(got, all.String()[all.Len()-tail:]) ||
					!strings.Contains(got, missing) || len(got) > head+tail+100 {
					t.Errorf("cut log of %d bytes: %q … %q", len(got), got[:100], got[len(got)-100:])
				}
			}
			finish(t, s, l, builder.Succeeded)
			if !s.Sealed(t, "b1") {
				t.Fatal("not compressed")
			}
			for i := range growing {
				after := growing[i].ID
				if rest := text(readLog(t, s, after, i%2 == 0)); rest != text(growing[i+1:]) {
					t.Errorf("after %s: %d bytes, want %d", after, len(rest), len(text(growing[i+1:])))
				}
			}
			if finished := text(readLog(t, s, "", true)); finished != got {
				t.Error("the finished log is not the growing one")
			}
		})
	}
}

func TestLogOfReadersBehindTheCut(t *testing.T) {
	s, l := logging(t, store.Options{LogHead: 10, LogTail: 20})
	w := s.OpenLog(ctx, l)
	write(t, w, "0123456789first ")
	w.Close()
	seen := readLog(t, s, "", false)
	if got := text(seen); got != "0123456789first " {
		t.Fatalf("log %q", got)
	}
	for i := range 5 {
		w := s.OpenLog(ctx, l)
		write(t, w, fmt.Sprintf("line %d\n..", i))
		w.Close()
	}
	// Who has read an entry that is cut now is told that something is missing.
	rest := text(readLog(t, s, seen[len(seen)-1].ID, false))
	if !strings.Contains(rest, "left out") || !strings.HasSuffix(rest, "line 4\n..") {
		t.Errorf("rest %q", rest)
	}
}

func TestLogIDsGrow(t *testing.T) {
	s, l := logging(t, store.Options{})
	w := s.OpenLog(ctx, l)
	random := rand.New(rand.NewPCG(1, 2))
	var all bytes.Buffer
	for range 300 {
		p := make([]byte, random.IntN(9000))
		for i := range p {
			p[i] = byte(random.Uint32())
		}
		all.Write(p)
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Close()
	if got := text(readLog(t, s, "", false)); got != all.String() {
		t.Errorf("%d bytes came back as %d", all.Len(), len(got))
	}
	last := -1
	for _, c := range readLog(t, s, "", false) {
		var n int
		if _, err := fmt.Sscan(c.ID, &n); err != nil || n <= last {
			t.Fatalf("id %q after %d", c.ID, last)
		}
		last = n
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write after close: %v", err)
	}
}

func TestLogOfALostLease(t *testing.T) {
	s, stale := logging(t, store.Options{})
	w1 := s.OpenLog(ctx, stale)
	write(t, w1, "first attempt\n")
	w1.Close()
	w1 = s.OpenLog(ctx, stale)
	store.ExpireLease(t, s, "b1")
	fresh := claim(t, s, "w", "b1")
	w2 := s.OpenLog(ctx, fresh)
	write(t, w2, "second attempt\n")
	w2.Close()
	write(t, w1, "from the grave\n")
	if err := w1.Close(); err != nil {
		t.Error(err)
	}
	want := "first attempt\n\n[registry-build] the build starts again: attempt 2\nsecond attempt\n"
	if got := text(readLog(t, s, "", false)); got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

func TestLogOfBuildsThatEndInTheQueue(t *testing.T) {
	s, l := logging(t, store.Options{})
	w := s.OpenLog(ctx, l)
	write(t, w, "begun\n")
	if err := s.Release(ctx, l); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cancel(ctx, "b1", "by ada"); err != nil {
		t.Fatal(err)
	}
	if got := text(readLog(t, s, "", true)); got != "begun\n" {
		t.Errorf("log %q", got)
	}
	if !s.Sealed(t, "b1") {
		t.Error("not compressed")
	}
	w.Close()
}

func TestReadLogOfWhatIsNotThere(t *testing.T) {
	s, l := logging(t, store.Options{})
	tests := map[string]struct {
		id, after string
		follow    bool
		want      error
	}{
		"no such build":            {"none", "", false, builder.ErrNotFound},
		"no such build, following": {"none", "", true, builder.ErrNotFound},
		"no such place":            {"b1", "17-x", false, builder.ErrNotFound},
		"negative place":           {"b1", "-1", false, builder.ErrNotFound},
		"no line yet":              {"b1", "", false, nil},
		"beyond the end":           {"b1", "99", false, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n, got := 0, error(nil)
			for _, err := range s.ReadLog(within(t, 5*time.Second), tt.id, tt.after, tt.follow) {
				n, got = n+1, err
			}
			if !errors.Is(got, tt.want) || (tt.want == nil && n != 0) || (tt.want != nil && n != 1) {
				t.Errorf("%d pairs, error %v, want %v", n, got, tt.want)
			}
		})
	}
	finish(t, s, l, builder.Failed)
	if got := readLog(t, s, "", true); len(got) > 0 {
		t.Errorf("a build that wrote nothing: %q", text(got))
	}
}

func TestBigLog(t *testing.T) {
	s, l := logging(t, store.Options{})
	w := s.OpenLog(ctx, l)
	line := strings.Repeat("x", 79) + "\n"
	const lines = 64 << 20 / 80
	for range lines {
		write(t, w, line)
	}
	w.Close()
	finish(t, s, l, builder.Succeeded)
	got := text(readLog(t, s, "", true))
	if kept := 16<<20 + 256<<10; len(got) > kept+100 || len(got) < kept-64<<10 {
		t.Errorf("kept %d bytes, want about %d", len(got), kept)
	}
	if !strings.Contains(got, "MiB of the log are left out here") {
		t.Error("no note")
	}
}
