package gitlab

import (
	"net/http"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Verify implements forge.Verifier.
func (f *Forge) Verify(header http.Header, body []byte) error { return forge.ErrSignature }

// Events implements forge.Verifier.
func (f *Forge) Events(header http.Header, body []byte) ([]builder.Event, error) {
	return nil, forge.ErrIgnored
}
