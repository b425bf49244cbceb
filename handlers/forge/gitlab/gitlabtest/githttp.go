package gitlabtest

import (
	"net/http"
	"strings"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// gitHTTP serves /group/subgroup/project[.git]/...: git's smart protocol. A
// token is the password, with any user name (by custom oauth2).
func (s *Server) gitHTTP(w http.ResponseWriter, r *http.Request, git gitserver.Call) {
	p, u, status := s.admitGit(r, git)
	switch status {
	case http.StatusOK:
		git.Env = p.protection(u)
		git.Serve(w, r, p.dir, s.log, func(run func()) error { return p.received(u, run) })
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you're required to use a token instead of a password. If a token was provided, it was either incorrect, expired, or improperly scoped.", status)
	case http.StatusMovedPermanently:
		target := p.CloneURL() + git.Suffix()
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, target, status)
	case http.StatusForbidden:
		http.Error(w, "You are not allowed to push code to this project.", status)
	default:
		http.Error(w, "The project you were looking for could not be found or you don't have permission to view it.", status)
	}
}

// admitGit finds the project and decides by the credentials.
func (s *Server) admitGit(r *http.Request, git gitserver.Call) (*Project, *user, int) {
	s.mu.Lock()
	defer s.unlock()
	var tok *Token
	if _, password, given := r.BasicAuth(); given {
		t, err := s.token(password)
		if err != nil {
			return nil, nil, http.StatusUnauthorized
		}
		tok = t
	}
	path := strings.TrimSuffix(strings.Trim(git.Path, "/"), ".git")
	p := s.projects[s.names[strings.ToLower(path)]]
	seen := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Status: http.StatusOK}
	if tok == nil {
		if p == nil || p.visibility != "public" || git.Push {
			return nil, nil, http.StatusUnauthorized // git asks for a password
		}
	} else {
		seen.Username, seen.Scopes = tok.Username, tok.scopes
		scope := "read_repository"
		if git.Push {
			scope = "write_repository"
		}
		switch {
		case !tok.has("api", "write_repository", scope):
			return nil, nil, http.StatusForbidden
		case p == nil || !p.readsCode(tok.user):
			return nil, nil, http.StatusNotFound
		case git.Push && (p.level(tok.user) < Developer || p.archived):
			return nil, nil, http.StatusForbidden
		}
	}
	if !strings.EqualFold(path, p.fullPath()) {
		return p, nil, http.StatusMovedPermanently
	}
	s.requests = append(s.requests, seen)
	if tok == nil {
		return p, nil, http.StatusOK
	}
	return p, tok.user, http.StatusOK
}

// page answers the few web pages: a project's, and the way from an old path.
func (s *Server) page(w http.ResponseWriter, r *http.Request, path string) {
	project, rest, _ := strings.Cut(strings.Trim(path, "/"), "/-/")
	s.mu.Lock()
	p := s.projects[s.names[strings.ToLower(project)]]
	var target string
	if p != nil && !strings.EqualFold(p.fullPath(), project) {
		target = p.web()
		if rest != "" {
			target += "/-/" + rest
		}
	}
	private := p == nil || p.visibility != "public"
	s.unlock()
	switch {
	case path == "/users/sign_in":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html>\n<html><head><title>Sign in · GitLab</title></head></html>\n"))
	case private:
		http.Redirect(w, r, s.URL+"/users/sign_in", http.StatusFound)
	case target != "":
		http.Redirect(w, r, target, http.StatusMovedPermanently)
	default:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html>\n<html><head><title>" + project + " · GitLab</title></head></html>\n"))
	}
}
