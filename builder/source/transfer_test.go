package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/source/sourcetest"
)

// pipe is one side of a connection between BuildKit's sender and receiver.
type pipe struct {
	ctx     context.Context
	in, out chan []byte
}

func (p *pipe) Context() context.Context { return p.ctx }

func (p *pipe) SendMsg(m any) error {
	data, err := m.(*types.Packet).Marshal()
	if err != nil {
		return err
	}
	select {
	case p.out <- data:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

func (p *pipe) RecvMsg(m any) error {
	select {
	case data, ok := <-p.in:
		if !ok {
			return io.EOF
		}
		return m.(*types.Packet).Unmarshal(data)
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// spy notes which files the receiver asks for. BuildKit's sender waits for
// ever after a file that breaks off, so whoever gives it a context must watch
// the readers and end the transfer, as fail does here.
type spy struct {
	builder.Context
	fail   context.CancelCauseFunc
	mu     sync.Mutex
	opened []string
}

type watched struct {
	io.ReadCloser
	fail context.CancelCauseFunc
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		w.fail(err)
	}
	return n, err
}

func (s *spy) Open(name string) (io.ReadCloser, error) {
	s.mu.Lock()
	s.opened = append(s.opened, name)
	s.mu.Unlock()
	f, err := s.Context.Open(name)
	return watched{f, s.fail}, err
}

// transfer sends a context into a folder as a BuildKit daemon receives it,
// and returns which files were asked for, in order of name.
func transfer(t testing.TB, x builder.Context, to string, include ...string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	seen := &spy{Context: x, fail: cancel, opened: []string{}}
	filtered, err := fsutil.NewFilterFS(seen, &fsutil.FilterOpt{FollowPaths: include})
	if err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	a, b := make(chan []byte, 64), make(chan []byte, 64)
	g.Go(func() error {
		defer close(b)
		return fsutil.Send(ctx, &pipe{ctx: ctx, in: a, out: b}, filtered, nil)
	})
	g.Go(func() error {
		return fsutil.Receive(ctx, &pipe{ctx: ctx, in: b, out: a}, to, fsutil.ReceiveOpt{})
	})
	err = g.Wait()
	slices.Sort(seen.opened)
	return seen.opened, err
}

func TestReceiverAsksForChangedFilesOnly(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{
		"a.txt": "1", "a/b.txt": "1", "a/empty": "", "run": sourcetest.Exec("x"), "link": sourcetest.Link("a/b.txt"),
		"nl\nq\"ü": "1", "old/gone": "1",
	})
	to := t.TempDir()
	steps := []struct {
		name   string
		change sourcetest.Files
		opened []string
	}{
		{"first", nil, []string{"a.txt", "a/b.txt", "a/empty", "nl\nq\"ü", "old/gone", "run"}},
		{"another commit, same files", sourcetest.Files{"a.txt": "1"}, []string{}},
		{"content of the same size", sourcetest.Files{"a/b.txt": "2"}, []string{"a/b.txt"}},
		{"back to what it was", sourcetest.Files{"a/b.txt": "1"}, []string{"a/b.txt"}},
		{"mode", sourcetest.Files{"a.txt": sourcetest.Exec("1")}, []string{"a.txt"}},
		{"link", sourcetest.Files{"link": sourcetest.Link("a/c.txt")}, []string{}},
		{"a file goes", sourcetest.Files{"old/gone": sourcetest.Gone}, []string{}},
		{"a folder becomes a file", sourcetest.Files{"a/b.txt": sourcetest.Gone, "a/empty": sourcetest.Gone, "a": "file"}, []string{"a"}},
	}
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				r.Commit("refs/heads/main", tt.name, tt.change)
			}
			x := mustContext(t, open(t, r, "main"), "", "")
			opened, err := transfer(t, x, to)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.opened, opened); diff != "" {
				t.Errorf("files asked for (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(onDisk(t, checkout(t, r)), onDisk(t, to)); diff != "" {
				t.Errorf("received (-checkout +got)\n%s", diff)
			}
		})
	}
}

func TestReceiverAsksForNamedFilesOnly(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"go.mod": "m", "go.sum": "s", "main.go": "x", "cmd/a": "a", "etc": sourcetest.Link("cmd")})
	opened, err := transfer(t, mustContext(t, open(t, r, "main"), "", ""), t.TempDir(), "go.mod", "go.sum", "etc/a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cmd/a", "go.mod", "go.sum"}, opened); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A blob that cannot be read must end the transfer, not arrive empty.
func TestTransferFailsWithItsSource(t *testing.T) {
	r := sourcetest.New(t, sourcetest.Files{"a": "content"})
	c := open(t, r, "main")
	x := mustContext(t, c, "", "")
	c.Close()
	if _, err := transfer(t, x, t.TempDir()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the transfer without its source ended with %v", err)
	}
}

// checkout is what git itself makes of main.
func checkout(t testing.TB, r *sourcetest.Repo) string {
	t.Helper()
	dir := t.TempDir()
	r.Git("--work-tree="+dir, "checkout", "--force", "main", "--", ".")
	return dir
}

// onDisk tells a folder's files with their modes and contents.
func onDisk(t testing.TB, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name := strings.TrimPrefix(p, dir+"/")
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			got[name] = "folder"
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(p)
			got[name] = "link " + target
			return err
		default:
			data, err := os.ReadFile(p)
			got[name] = info.Mode().String() + " " + string(data)
			return err
		}
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return got
}
