package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/registry-build/registry-build/builder"
)

// watchedFiles ends a solve when the context cannot be read: the sender of the
// session would wait for the rest of a file for ever, and of a sentence for the
// pusher the daemon would only pass on the text.
type watchedFiles struct {
	builder.Context
	broken context.CancelCauseFunc
}

func (w watchedFiles) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	err := w.Context.Walk(ctx, target, fn)
	var f *builder.Failure
	if errors.As(err, &f) {
		w.broken(f)
	}
	return err
}

func (w watchedFiles) Open(name string) (io.ReadCloser, error) {
	r, err := w.Context.Open(name)
	if err != nil {
		return nil, err
	}
	return watchedReader{r, name, w.broken}, nil
}

type watchedReader struct {
	io.ReadCloser
	name   string
	broken context.CancelCauseFunc
}

func (r watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.broken(fmt.Errorf("read %s of the source: %w", r.name, err))
	}
	return n, err
}
