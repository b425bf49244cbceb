package github

import (
	"errors"
	"net/http"

	"github.com/registry-build/registry-build/builder"
)

// Verify implements forge.Verifier.
func (a *App) Verify(header http.Header, body []byte) error { return errors.ErrUnsupported }

// Events implements forge.Verifier.
func (a *App) Events(header http.Header, body []byte) ([]builder.Event, error) {
	return nil, errors.ErrUnsupported
}
