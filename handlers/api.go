package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// callerHandler is a handler that knows who calls.
type callerHandler func(w http.ResponseWriter, r *http.Request, c Caller) error

func (s *Server) asCaller(h callerHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := s.Access.Caller(r)
		if c == nil {
			return refuse(http.StatusUnauthorized, "a token with the scope api is needed: Authorization: Bearer TOKEN")
		}
		if !c.MayUseAPI("") {
			return refuse(http.StatusForbidden, "token %s has no scope api", c.Name())
		}
		return h(w, r, c)
	}
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
	state, err := s.Builds.Cancel(r.Context(), rec.ID, "by "+c.Name())
	if errors.Is(err, builder.ErrState) {
		return refuse(http.StatusConflict, "build %s is %s already", rec.ID, state)
	}
	if err != nil {
		return err
	}
	if rec, err = s.Builds.Build(r.Context(), rec.ID); err != nil {
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
		return refuse(http.StatusConflict, "build %s has not ended; cancel it first, then delete its record", rec.ID)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// record is the build that the path names, if the caller may see it. One that
// he may not see does not exist for him.
func (s *Server) record(r *http.Request, c Caller) (builder.Record, error) {
	id, err := builder.ParseBuildID(r.PathValue("id"))
	if err != nil {
		return builder.Record{}, refuse(http.StatusNotFound, "%v; `registry-build builds` lists them", err)
	}
	rec, err := s.Builds.Build(r.Context(), id)
	if err == nil && !c.MayUseAPI(rec.Repository.Qualified()) {
		err = builder.ErrNotFound
	}
	if errors.Is(err, builder.ErrNotFound) {
		return rec, refuse(http.StatusNotFound, "there is no build %s", id)
	}
	return rec, err
}

// repository is the one of that name, if the caller may see it: as record.
func (s *Server) repository(r *http.Request, c Caller, name string) (builder.Repository, error) {
	repo, err := s.Repositories.Find(r.Context(), strings.TrimSuffix(name, ".git"))
	if err == nil && !c.MayUseAPI(repo.Qualified()) {
		err = builder.ErrNotFound
	}
	if errors.Is(err, builder.ErrNotFound) {
		return repo, refuse(http.StatusNotFound, "there is no repository %q; write it as owner/name", name)
	}
	return repo, err
}

func (s *Server) build(r builder.Record) Build { return BuildOf(r, s.Registry(), s.URL()) }
