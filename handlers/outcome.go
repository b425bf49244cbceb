package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Status is what a commit was told under one context.
type Status struct {
	Context     string    `json:"context"` // registry-build, registry-build/<image>
	State       string    `json:"state"`   // pending, success, failure, error
	Description string    `json:"description"`
	Ref         string    `json:"ref,omitempty"`
	Build       string    `json:"build,omitempty"` // ID; none for the aggregate
	Event       string    `json:"event"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// StatusList is what a commit was told, the newest of each context.
type StatusList struct {
	Commit   string   `json:"commit"`
	Statuses []Status `json:"statuses"`
}

func (s *Server) statuses(w http.ResponseWriter, r *http.Request, c Caller) error {
	name, rev := r.PathValue("owner")+"/"+r.PathValue("name"), r.PathValue("commit")
	repo, err := s.repository(r, c, name)
	if err != nil {
		return err
	}
	commit, err := s.Repositories.Resolve(r.Context(), repo, rev)
	if errors.Is(err, builder.ErrNotFound) {
		return refuse(http.StatusNotFound, "%s has no commit %s", name, rev)
	}
	if err != nil {
		return err
	}
	reports, err := s.Outcomes.Statuses(r.Context(), repo.Key(), commit)
	if err != nil {
		return err
	}
	list := StatusList{Commit: commit, Statuses: []Status{}}
	for _, p := range reports {
		list.Statuses = append(list.Statuses, Status{
			Context: p.Context, State: string(p.State), Description: p.Description,
			Ref: p.Ref, Build: p.BuildID, Event: p.EventID, UpdatedAt: p.UpdatedAt,
		})
	}
	return writeJSON(w, http.StatusOK, list)
}
