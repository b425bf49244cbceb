package buildkit

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
)

var errDisk = errors.New("input/output error")

// brokenContext has a file that breaks in the middle, as a git object can.
type brokenContext struct{ builder.Context }

func (c brokenContext) Open(name string) (io.ReadCloser, error) {
	r, err := c.Context.Open(name)
	if err != nil || name != "broken" {
		return r, err
	}
	r.Close()
	return io.NopCloser(io.MultiReader(io.LimitReader(zeros{}, 10), failing{})), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

// The sender of a session waits for ever for a file that breaks; the solve
// must not.
func TestFileThatBreaksEndsTheSolve(t *testing.T) {
	s := newSolver(t)
	r := request("FROM scratch\nCOPY broken /\n", map[string]string{"broken": "a hundred bytes, of which ten come"})
	r.Files = brokenContext{r.Files}
	ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	_, err := s.Solve(ctx, r, io.Discard)
	if !errors.Is(err, errDisk) {
		t.Errorf("error %v; want the reader's", err)
	}
}

// refusingContext cannot be walked, for a reason that the pusher can mend.
type refusingContext struct{ builder.Context }

func (refusingContext) Walk(context.Context, string, fs.WalkDirFunc) error {
	return &builder.Failure{Stage: builder.StageSource, Message: "the symbolic link outside points to /etc"}
}

func TestRefusalOfTheSourceComesBackAsItIs(t *testing.T) {
	r := request("FROM scratch\nCOPY a /\n", map[string]string{"a": "b"})
	r.Files = refusingContext{r.Files}
	_, err := newSolver(t).Solve(t.Context(), r, io.Discard)
	var f *builder.Failure
	if !errors.As(err, &f) || f.Stage != builder.StageSource || f.Message != "the symbolic link outside points to /etc" {
		t.Errorf("error %v; want the source's own", err)
	}
}
