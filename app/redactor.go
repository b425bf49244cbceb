package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
)

// redactor hides every credential, and our own token, wherever a build's text
// leaves. What cannot be redacted is not written.
type redactor struct {
	credentials *credential.Store
	token       string
	log         *slog.Logger
}

const withheld = "(withheld: the credential store cannot be read, so secrets could not be hidden)"

func (r redactor) Writer(ctx context.Context, w io.Writer) io.WriteCloser { return r.writer(ctx, w) }

func (r redactor) Redact(ctx context.Context, text string) string { return r.redact(ctx, text) }

// Hide returns a redactor for one build: it hides what the build has opened,
// whatever becomes of it in the store.
func (r redactor) Hide(values ...string) builder.Hider { return hider{r, values} }

func (r redactor) writer(ctx context.Context, w io.Writer, more ...string) io.WriteCloser {
	redact, err := r.credentials.Redactor(context.WithoutCancel(ctx), append(more[:len(more):len(more)], r.token)...)
	if err != nil {
		r.log.Error("redactor", "err", err)
		fmt.Fprintln(w, withheld)
		return nopCloser{io.Discard}
	}
	return redact.Writer(w)
}

func (r redactor) redact(ctx context.Context, text string, more ...string) string {
	redact, err := r.credentials.Redactor(context.WithoutCancel(ctx), append(more[:len(more):len(more)], r.token)...)
	if err != nil {
		r.log.Error("redactor", "err", err)
		return withheld
	}
	return redact.String(text)
}

// hider is a redactor that hides some values more.
type hider struct {
	redactor redactor
	values   []string
}

var (
	_ builder.Hider = redactor{}
	_ builder.Hider = hider{}
)

func (h hider) Writer(ctx context.Context, w io.Writer) io.WriteCloser {
	return h.redactor.writer(ctx, w, h.values...)
}

func (h hider) Redact(ctx context.Context, text string) string {
	return h.redactor.redact(ctx, text, h.values...)
}

func (h hider) Hide(values ...string) builder.Hider {
	return hider{h.redactor, slices.Concat(h.values, values)}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
