package app

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// gate is the door of a server. Once it is closed, only builds in hand are
// served, which push into our own registry, and whoever asks whether we live.
type gate struct {
	open   http.Handler
	closed atomic.Bool
	fresh  sync.Map // net.Conn that has not sent a request
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

// track is a server's ConnState.
func (g *gate) track(c net.Conn, s http.ConnState) {
	if s == http.StateNew {
		g.fresh.Store(c, nil)
		return
	}
	g.fresh.Delete(c)
}

// hangUp closes connections that nobody has used yet. HTTP clients open some
// in advance, and Shutdown would wait five seconds for each to send something.
func (g *gate) hangUp() {
	g.fresh.Range(func(c, _ any) bool {
		c.(net.Conn).Close()
		return true
	})
}
