package builder

import (
	"context"
	"io"
	"io/fs"
)

// inlineSource is an uploaded Dockerfile: one file, an empty context and no
// history.
type inlineSource struct{ dockerfile []byte }

var _ Source = inlineSource{}

func (s inlineSource) ReadFile(context.Context, string, int64) ([]byte, error) {
	return s.dockerfile, nil
}

func (inlineSource) Context(context.Context, string, string) (Context, error) {
	return emptyContext{}, nil
}

func (inlineSource) Descends(_ context.Context, ancestor, commit string) (bool, error) {
	return ancestor == commit, nil
}

func (inlineSource) Find(context.Context, int, func(string) bool) ([]string, error) { return nil, nil }

func (inlineSource) Changed(context.Context, string, string) ([]string, error) {
	return nil, ErrNotFound
}

func (inlineSource) MergeBase(context.Context, string, string) (string, error) {
	return "", ErrNotFound
}

func (inlineSource) Close() error { return nil }

type emptyContext struct{}

func (emptyContext) Walk(context.Context, string, fs.WalkDirFunc) error { return nil }

func (emptyContext) Open(name string) (io.ReadCloser, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (emptyContext) Hash() string { return "empty" }
