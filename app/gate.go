package app

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// gate is the door of a server. Once it is closed, only builds in hand are
// served, which push into our own registry, and whoever asks whether we live.
type gate struct {
	open   http.Handler
	closed atomic.Bool
}

func (g *gate) close() { g.closed.Store(true) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.closed.Load() && !strings.HasPrefix(r.URL.Path, "/v2/") && r.URL.Path != "/healthz" {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "the server is stopping; try again in a moment", http.StatusServiceUnavailable)
		return
	}
	g.open.ServeHTTP(w, r)
}
