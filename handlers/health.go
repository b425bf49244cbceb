package handlers

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const readyTimeout = 2 * time.Second

// healthz says that the process answers: for restarts.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says that an event would be accepted now: for balancers.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, done := context.WithTimeout(r.Context(), readyTimeout)
	defer done()
	if err := s.Events.Ping(ctx); err != nil {
		return fmt.Errorf("%w: %w", builder.ErrUnavailable, err)
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
