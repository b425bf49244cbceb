package githubtest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
)

// gitHTTP serves /{owner}/{repo}[.git]/...: git's smart protocol. A token of
// an installation is the password (any user name, by custom x-access-token);
// a person's is their access token.
func (s *Server) gitHTTP(w http.ResponseWriter, r *http.Request) {
	action := ""
	for _, a := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		if strings.HasSuffix(r.URL.Path, a) {
			action = a
		}
	}
	service := strings.TrimPrefix(action, "/")
	if action == "/info/refs" {
		service = r.URL.Query().Get("service")
	}
	if service != "git-upload-pack" && service != "git-receive-pack" {
		http.NotFound(w, r)
		return
	}
	repo, user, status := s.admitGit(r, strings.TrimSuffix(r.URL.Path, action), service == "git-receive-pack")
	switch status {
	case http.StatusOK:
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Repository not found.", status)
		return
	case http.StatusMovedPermanently:
		target := s.URL + "/" + repo.FullName() + ".git" + action
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, target, status)
		return
	default:
		http.Error(w, map[int]string{403: "Write access to repository not granted.", 404: "Repository not found."}[status], status)
		return
	}
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if action == "/info/refs" {
		s.advertise(w, r, repo, service)
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-result")
	cmd := repo.dir.command(r.Context(), protocol(r), strings.TrimPrefix(service, "git-"), "--stateless-rpc", string(repo.dir))
	cmd.Stdin, cmd.Stdout = body, flusher{w}
	if service == "git-upload-pack" {
		s.finish(r, cmd)
		return
	}
	if err := repo.received(user, func() { s.finish(r, cmd) }); err != nil {
		s.log.Error("after push", "repo", repo.FullName(), "err", err)
	}
}

func (s *Server) finish(r *http.Request, cmd *exec.Cmd) {
	if err := cmd.Run(); err != nil && r.Context().Err() == nil {
		s.log.Error("git", "path", r.URL.Path, "err", err)
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

func (s *Server) advertise(w http.ResponseWriter, r *http.Request, repo *Repo, service string) {
	cmd := repo.dir.command(r.Context(), protocol(r), strings.TrimPrefix(service, "git-"), "--stateless-rpc", "--advertise-refs", string(repo.dir))
	out, err := cmd.Output()
	if err != nil {
		s.log.Error("git", "path", r.URL.Path, "err", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
	if service == "git-receive-pack" || !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
		line := "# service=" + service + "\n"
		_, _ = fmt.Fprintf(w, "%04x%s0000", len(line)+4, line)
	}
	_, _ = w.Write(out)
}

func protocol(r *http.Request) []string {
	if p := r.Header.Get("Git-Protocol"); p != "" && len(p) < 256 {
		return []string{"GIT_PROTOCOL=" + p}
	}
	return nil
}

// flusher sends each piece at once, or progress would come with the end.
type flusher struct{ w http.ResponseWriter }

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = http.NewResponseController(f.w).Flush()
	}
	return n, err
}
