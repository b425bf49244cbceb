package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

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

func (r redactor) Writer(ctx context.Context, w io.Writer) io.WriteCloser {
	redact, err := r.credentials.Redactor(context.WithoutCancel(ctx), r.token)
	if err != nil {
		r.log.Error("redactor", "err", err)
		fmt.Fprintln(w, withheld)
		return nopCloser{io.Discard}
	}
	return redact.Writer(w)
}

func (r redactor) Redact(ctx context.Context, text string) string {
	redact, err := r.credentials.Redactor(context.WithoutCancel(ctx), r.token)
	if err != nil {
		r.log.Error("redactor", "err", err)
		return withheld
	}
	return redact.String(text)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
