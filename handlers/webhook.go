package handlers

import (
	"errors"
	"net/http"

	"github.com/registry-build/registry-build/handlers/forge"
)

// Accepted is the answer to a delivery: 202, also for what starts no build.
type Accepted struct {
	Events  []string `json:"events,omitempty"`  // IDs; those of a repeated delivery too
	Ignored string   `json:"ignored,omitempty"` // why the delivery starts nothing
}

// webhook is the intake: cap, verify the raw bytes, parse, append, 202. It
// thinks about nothing: forges wait ten seconds at most, and what is accepted
// must not be lost. A delivery of several events that breaks off in the middle
// is refused; when it comes again, those that were appended are duplicates.
func (s *Server) webhook(w http.ResponseWriter, r *http.Request) error {
	verifier, ok := s.Forges[r.PathValue("forge")]
	if !ok {
		return refuse(http.StatusNotFound, "no forge %q is configured here", r.PathValue("forge"))
	}
	body, err := readBody(w, r, forge.MaxBody)
	if err != nil {
		return err
	}
	if err := verifier.Verify(r.Header, body); err != nil {
		return err
	}
	events, err := verifier.Events(r.Header, body)
	if errors.Is(err, forge.ErrIgnored) {
		return writeJSON(w, http.StatusAccepted, Accepted{Ignored: err.Error()})
	}
	if err != nil {
		return err
	}
	var accepted Accepted
	for _, e := range events {
		if _, err := s.Events.Append(r.Context(), e); err != nil {
			return err
		}
		accepted.Events = append(accepted.Events, e.ID)
	}
	return writeJSON(w, http.StatusAccepted, accepted)
}
