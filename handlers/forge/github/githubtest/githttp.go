package githubtest

import (
	"net/http"
	"strings"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// gitHTTP serves /{owner}/{repo}[.git]/...: git's smart protocol. A token of
// an installation is the password (any user name, by custom x-access-token);
// a person's is their access token.
func (s *Server) gitHTTP(w http.ResponseWriter, r *http.Request, git gitserver.Call) {
	repo, user, status := s.admitGit(r, git.Path, git.Push)
	switch status {
	case http.StatusOK:
		git.Serve(w, r, repo.dir, s.log, func(run func()) error { return repo.received(user, run) })
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Repository not found.", status)
	case http.StatusMovedPermanently:
		target := s.URL + "/" + repo.FullName() + ".git" + git.Suffix()
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, target, status)
	default:
		http.Error(w, map[int]string{403: "Write access to repository not granted.", 404: "Repository not found."}[status], status)
	}
}

// admitGit finds the repository and decides by the credentials.
func (s *Server) admitGit(r *http.Request, path string, push bool) (*Repo, *account, int) {
	s.mu.Lock()
	defer s.unlock()
	name := strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	repo := s.repos[s.names[strings.ToLower(name)]]
	t, err := s.authenticate(r)
	switch {
	case err != nil || t.kind == appToken:
		return nil, nil, http.StatusUnauthorized
	case t.inst != nil && !t.inst.suspended.IsZero():
		return nil, nil, http.StatusForbidden
	case (repo == nil || repo.private && !t.reaches(repo)) && t.kind == noToken:
		return nil, nil, http.StatusUnauthorized // as for a private one: git asks for a password
	case repo == nil, repo.private && (!t.reaches(repo) || !t.may(repo, "contents:read")):
		return nil, nil, http.StatusNotFound
	case push && t.kind == noToken:
		return nil, nil, http.StatusUnauthorized
	case push && (!t.reaches(repo) || !t.may(repo, "contents:write")):
		return nil, nil, http.StatusForbidden
	case !strings.EqualFold(name, repo.fullName()):
		return repo, nil, http.StatusMovedPermanently
	}
	s.fetched(r, t)
	return repo, s.actor(t), http.StatusOK
}

// fetched records what git asked for beside the API's requests.
func (s *Server) fetched(r *http.Request, t *token) {
	seen := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Status: http.StatusOK, Token: string(t.kind), Permissions: t.permissions, Repositories: t.repos}
	if t.inst != nil {
		seen.Installation = t.inst.ID
	}
	s.requests = append(s.requests, seen)
}
