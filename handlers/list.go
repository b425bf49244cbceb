package handlers

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

const (
	listDefault = 50
	listMost    = 200
)

// BuildList is a page of builds, newest first. A token that may not see all
// of them gets shorter pages.
type BuildList struct {
	Builds []Build `json:"builds"`
	Next   string  `json:"next,omitempty"` // ?before= of the next page
}

func (s *Server) listBuilds(w http.ResponseWriter, r *http.Request, c Caller) error {
	f, err := s.buildFilter(r, c)
	if err != nil {
		return err
	}
	page, next, err := s.Builds.Builds(r.Context(), f)
	if err != nil {
		return err
	}
	list := BuildList{Builds: []Build{}, Next: next}
	for _, rec := range page {
		if c.MayUseAPI(rec.Repository.Qualified()) {
			list.Builds = append(list.Builds, s.build(rec))
		}
	}
	return writeJSON(w, http.StatusOK, list)
}

var (
	listParameters = []string{"repository", "image", "ref", "commit", "state", "limit", "before"}
	states         = []builder.State{
		builder.Queued, builder.Running, builder.Pushing, builder.Succeeded, builder.Promoted,
		builder.Failed, builder.Cancelled, builder.Superseded, builder.Skipped, builder.Pushed,
	}
	wholeCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// buildFilter reads the query strictly: a filter that is misspelt would match
// nothing, or everything, and nobody would be told.
func (s *Server) buildFilter(r *http.Request, c Caller) (builder.BuildFilter, error) {
	q := r.URL.Query()
	bad := func(format string, args ...any) (builder.BuildFilter, error) {
		return builder.BuildFilter{}, refuse(http.StatusBadRequest, format, args...)
	}
	for name := range q {
		if !slices.Contains(listParameters, name) {
			return bad("there is no parameter %q; there are %s", name, strings.Join(listParameters, ", "))
		}
	}
	f := builder.BuildFilter{Image: q.Get("image"), Ref: q.Get("ref"), State: builder.State(q.Get("state")), Limit: listDefault}
	if f.Ref != "" && !strings.HasPrefix(f.Ref, "refs/") {
		return bad("ref is %q; write it whole, such as refs/heads/main", f.Ref)
	}
	if f.State != "" && !slices.Contains(states, f.State) {
		return bad("state is %q; it must be one of %s", f.State, strings.Join(stateNames(), ", "))
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > listMost {
			return bad("limit is %q; it must be a number from 1 to %d", text, listMost)
		}
		f.Limit = n
	}
	if text := q.Get("before"); text != "" {
		id, err := builder.ParseBuildID(text)
		if err != nil {
			return bad("before: %v", err)
		}
		f.Before = id
	}
	return s.sourceFilter(r, c, f, q.Get("repository"), q.Get("commit"))
}

// sourceFilter adds a repository and a commit. The first characters of a
// commit are enough where the repository says which it is.
func (s *Server) sourceFilter(r *http.Request, c Caller, f builder.BuildFilter, name, commit string) (builder.BuildFilter, error) {
	var repo builder.Repository
	if name != "" {
		var err error
		if repo, err = s.repository(r, c, name); err != nil {
			return f, err
		}
		f.Repository = repo.Key()
	}
	if f.Commit = commit; commit == "" || wholeCommit.MatchString(commit) {
		return f, nil
	}
	if name == "" {
		return f, refuse(http.StatusBadRequest, "commit is %q; write it whole, or name its repository too", commit)
	}
	var err error
	f.Commit, err = s.Repositories.Resolve(r.Context(), repo, commit)
	if errors.Is(err, builder.ErrNotFound) {
		err = refuse(http.StatusNotFound, "%s has no commit %s", name, commit)
	}
	return f, err
}

func stateNames() []string {
	var names []string
	for _, s := range states {
		names = append(names, string(s))
	}
	return names
}
