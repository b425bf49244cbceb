package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/registry-build/registry-build/builder"
)

// EventAnswer is an event and, once it is decided, what it came to.
type EventAnswer struct {
	Event   string   `json:"event"`
	Builds  []Build  `json:"builds"`
	Reasons []Reason `json:"reasons,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Errors  []string `json:"errors,omitempty"`  // of the build file, each with its line
	Pending bool     `json:"pending,omitempty"` // not decided yet
}

// Reason says why an image, or one of its rules, did not build.
type Reason struct {
	Image   string `json:"image,omitempty"`
	Rule    string `json:"rule,omitempty"` // as people wrote it, none for the whole image
	Line    int    `json:"line,omitempty"` // of the rule in the build file
	Message string `json:"message"`
	Error   bool   `json:"error,omitempty"` // it should have built: somebody must mend something

	Unchanged bool `json:"unchanged,omitempty"` // it succeeds without a build: none of its `paths` changed
}

func (s *Server) getEvent(w http.ResponseWriter, r *http.Request, c Caller) error {
	id := r.PathValue("id")
	e, err := s.Events.Event(r.Context(), id)
	if err == nil && !c.MayUseAPI(e.Repository.Qualified()) {
		err = builder.ErrNotFound
	}
	if errors.Is(err, builder.ErrNotFound) {
		return refuse(http.StatusNotFound, "there is no event %s", id)
	}
	if err != nil {
		return err
	}
	d, err := s.Events.Decision(r.Context(), id)
	if errors.Is(err, builder.ErrState) {
		return writeJSON(w, http.StatusOK, pending(id))
	}
	if err != nil {
		return err
	}
	answer, err := s.answer(r.Context(), id, d)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

func pending(eventID string) EventAnswer {
	return EventAnswer{Event: eventID, Builds: []Build{}, Pending: true}
}

// answer tells what an event came to, with its builds as they stand now. Those
// that were deleted since are left out.
func (s *Server) answer(ctx context.Context, eventID string, d builder.Decision) (EventAnswer, error) {
	a := EventAnswer{Event: eventID, Builds: []Build{}, Hint: d.Hint}
	ids := make([]string, 0, len(d.Builds)+len(d.Pushes))
	for _, b := range d.Builds {
		ids = append(ids, b.ID)
	}
	for _, p := range d.Pushes {
		ids = append(ids, p.Record.ID)
	}
	for _, id := range ids {
		rec, err := s.Builds.Build(ctx, id)
		if errors.Is(err, builder.ErrNotFound) {
			continue
		}
		if err != nil {
			return a, err
		}
		a.Builds = append(a.Builds, s.build(rec))
	}
	for _, r := range d.Reasons {
		a.Reasons = append(a.Reasons, Reason{Image: r.Image, Rule: r.Rule, Line: r.Line, Message: r.Message, Error: r.Error, Unchanged: r.Unchanged})
	}
	for _, problem := range d.Invalid {
		a.Errors = append(a.Errors, problem.String())
	}
	if d.Failure != nil {
		a.Errors = append(a.Errors, d.Failure.Message)
	}
	return a, nil
}
