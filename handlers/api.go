package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

const (
	maxRequestBody = 1 << 20 // an uploaded Dockerfile fits
	listDefault    = 50
	listMost       = 200
)

// callerHandler is a handler that knows who calls.
type callerHandler func(w http.ResponseWriter, r *http.Request, c Caller) error

func (s *Server) asCaller(h callerHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := s.Access.Caller(r)
		if c == nil {
			return refuse(http.StatusUnauthorized, "a token with the scope api is needed: Authorization: Bearer TOKEN")
		}
		return h(w, r, c)
	}
}

// BuildList is a page of builds, newest first. A token that may not see all
// of them gets shorter pages.
type BuildList struct {
	Builds []Build `json:"builds"`
	Next   string  `json:"next,omitempty"` // ?before= of the next page
}

func (s *Server) listBuilds(w http.ResponseWriter, r *http.Request, c Caller) error {
	q := r.URL.Query()
	f := builder.BuildFilter{
		Image: q.Get("image"), Ref: q.Get("ref"), Commit: q.Get("commit"),
		State: builder.State(q.Get("state")), Before: q.Get("before"), Limit: listDefault,
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > listMost {
			return refuse(http.StatusBadRequest, "limit is %q; it must be a number from 1 to %d", text, listMost)
		}
		f.Limit = n
	}
	if name := q.Get("repository"); name != "" {
		repo, err := s.repository(r, c, name)
		if err != nil {
			return err
		}
		f.Repository = repo.Key()
	}
	page, next, err := s.Builds.Builds(r.Context(), f)
	if err != nil {
		return err
	}
	list := BuildList{Builds: []Build{}, Next: next}
	for _, rec := range page {
		if c.MayUseAPI(rec.Repository.FullName()) {
			list.Builds = append(list.Builds, s.build(rec))
		}
	}
	return writeJSON(w, http.StatusOK, list)
}

func (s *Server) getBuild(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.build(rec))
}

func (s *Server) cancelBuild(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	if _, err := s.Builds.Cancel(r.Context(), rec.ID, "by "+c.Name()); err != nil {
		if errors.Is(err, builder.ErrState) {
			return refuse(http.StatusConflict, "build %s is %s already", rec.ID, rec.State)
		}
		return err
	}
	rec, err = s.Builds.Build(r.Context(), rec.ID)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, s.build(rec))
}

func (s *Server) deleteBuild(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	err = s.Builds.Delete(r.Context(), rec.ID)
	if errors.Is(err, builder.ErrState) {
		return refuse(http.StatusConflict, "build %s is %s; cancel it first, then delete its record", rec.ID, rec.State)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// TriggerRunList is the record of a build's triggers.
type TriggerRunList struct {
	Runs []builder.TriggerRun `json:"runs"`
}

func (s *Server) triggerRuns(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	runs, err := s.Outcomes.TriggerRuns(r.Context(), rec.ID)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, TriggerRunList{Runs: append([]builder.TriggerRun{}, runs...)})
}

// StatusList is what a commit was told, the newest of each context.
type StatusList struct {
	Statuses []builder.Report `json:"statuses"`
}

func (s *Server) statuses(w http.ResponseWriter, r *http.Request, c Caller) error {
	repo, err := s.repository(r, c, r.PathValue("owner")+"/"+r.PathValue("name"))
	if err != nil {
		return err
	}
	commit, err := s.Repositories.Resolve(r.Context(), repo, r.PathValue("commit"))
	if err != nil {
		return err
	}
	reports, err := s.Outcomes.Statuses(r.Context(), repo.Key(), commit)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, StatusList{Statuses: append([]builder.Report{}, reports...)})
}

// EventAnswer is an event and, once it is decided, what it came to.
type EventAnswer struct {
	Event   string           `json:"event"`
	Builds  []Build          `json:"builds"`
	Reasons []builder.Reason `json:"reasons,omitempty"`
	Hint    string           `json:"hint,omitempty"`
	Errors  []string         `json:"errors,omitempty"`  // of the build file, each with its line
	Pending bool             `json:"pending,omitempty"` // not decided yet
}

func (s *Server) getEvent(w http.ResponseWriter, r *http.Request, c Caller) error {
	e, err := s.Events.Event(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if !c.MayUseAPI(e.Repository.FullName()) {
		return fmt.Errorf("event %s: %w", e.ID, builder.ErrNotFound)
	}
	d, err := s.Events.Decision(r.Context(), e.ID)
	if errors.Is(err, builder.ErrNotFound) {
		return writeJSON(w, http.StatusOK, EventAnswer{Event: e.ID, Builds: []Build{}, Pending: true})
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.answer(r, e.ID, d))
}

func (s *Server) answer(r *http.Request, eventID string, d builder.Decision) EventAnswer {
	a := EventAnswer{Event: eventID, Builds: []Build{}, Reasons: d.Reasons, Hint: d.Hint}
	for _, b := range d.Builds {
		rec, err := s.Builds.Build(r.Context(), b.ID)
		if err != nil {
			rec = builder.Record{Build: b}
		}
		a.Builds = append(a.Builds, s.build(rec))
	}
	for _, problem := range d.Invalid {
		a.Errors = append(a.Errors, problem.String())
	}
	if d.Failure != nil {
		a.Errors = append(a.Errors, d.Failure.Message)
	}
	return a
}

// record is the build that the path names, if the caller may see it. One that
// he may not see does not exist for him.
func (s *Server) record(r *http.Request, c Caller) (builder.Record, error) {
	id := r.PathValue("id")
	if !builder.ValidBuildID(id) {
		return builder.Record{}, refuse(http.StatusNotFound, "%q is no build ID; `registry-build builds` lists them", id)
	}
	rec, err := s.Builds.Build(r.Context(), id)
	if err == nil && !c.MayUseAPI(rec.Repository.FullName()) {
		err = builder.ErrNotFound
	}
	if errors.Is(err, builder.ErrNotFound) {
		return rec, refuse(http.StatusNotFound, "there is no build %s", id)
	}
	return rec, err
}

func (s *Server) repository(r *http.Request, c Caller, name string) (builder.Repository, error) {
	repo, err := s.Repositories.Find(r.Context(), strings.TrimSuffix(name, ".git"))
	if err == nil && !c.MayUseAPI(repo.FullName()) {
		err = builder.ErrNotFound
	}
	if errors.Is(err, builder.ErrNotFound) {
		return repo, refuse(http.StatusNotFound, "there is no repository %q; write it as owner/name", name)
	}
	return repo, err
}

func (s *Server) build(r builder.Record) Build { return BuildOf(r, s.Registry(), s.URL()) }

// readJSON decodes a body strictly: a key that we do not know would be
// ignored silently, and the person would wait for what it asked.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case err != nil:
		return refuse(http.StatusBadRequest, "the body is not the JSON that is expected here: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "the body holds more than one JSON value")
	}
	return nil
}
