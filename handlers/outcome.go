package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
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
	name, rev, err := nameAndCommit(r)
	if err != nil {
		return err
	}
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

// nameAndCommit takes a path apart: how many parts a repository's name has is
// its forge's affair, and a slash in the commit, of a ref, is written %2F.
func nameAndCommit(r *http.Request) (name, commit string, err error) {
	rest := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v1/statuses/")
	at := strings.LastIndexByte(rest, '/')
	if at > 0 {
		name, err = url.PathUnescape(rest[:at])
		if err == nil {
			commit, err = url.PathUnescape(rest[at+1:])
		}
	}
	if err != nil || name == "" || commit == "" {
		return "", "", refuse(http.StatusNotFound, "the path is /api/v1/statuses/OWNER/NAME/COMMIT")
	}
	return name, commit, nil
}
