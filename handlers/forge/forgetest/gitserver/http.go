package gitserver

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
)

// A Call is one request of git's smart protocol.
type Call struct {
	Path string   // of the repository, with .git if the client wrote it
	Push bool     // git push; else clone, fetch or ls-remote
	Env  []string // more environment of the repository's own hooks

	action, service string
}

// Parse reads a request's address; false if it is none of git's.
func Parse(r *http.Request) (Call, bool) {
	for _, action := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		path, found := strings.CutSuffix(r.URL.Path, action)
		if !found {
			continue
		}
		service := strings.TrimPrefix(action, "/")
		if action == "/info/refs" {
			service = r.URL.Query().Get("service")
		}
		ok := service == "git-upload-pack" || service == "git-receive-pack"
		return Call{Path: path, Push: service == "git-receive-pack", action: action, service: service}, ok
	}
	return Call{}, false
}

// Suffix is what the address has behind the repository.
func (c Call) Suffix() string { return c.action }

// Serve answers a call that has been admitted. A push runs within received, so
// that the refs can be compared before and after.
func (c Call) Serve(w http.ResponseWriter, r *http.Request, repo Repo, log *slog.Logger, received func(run func()) error) {
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if c.action == "/info/refs" {
		c.advertise(w, r, repo, log)
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
	w.Header().Set("Content-Type", "application/x-"+c.service+"-result")
	cmd := repo.Command(r.Context(), append(protocol(r), c.Env...), strings.TrimPrefix(c.service, "git-"), "--stateless-rpc", string(repo))
	cmd.Stdin, cmd.Stdout = body, flusher{w}
	run := func() { finish(r, cmd, log) }
	if !c.Push {
		run()
		return
	}
	if err := received(run); err != nil {
		log.Error("after push", "path", c.Path, "err", err)
	}
}

func finish(r *http.Request, cmd *exec.Cmd, log *slog.Logger) {
	if err := cmd.Run(); err != nil && r.Context().Err() == nil {
		log.Error("git", "path", r.URL.Path, "err", err)
	}
}

func (c Call) advertise(w http.ResponseWriter, r *http.Request, repo Repo, log *slog.Logger) {
	cmd := repo.Command(r.Context(), protocol(r), strings.TrimPrefix(c.service, "git-"), "--stateless-rpc", "--advertise-refs", string(repo))
	out, err := cmd.Output()
	if err != nil {
		log.Error("git", "path", r.URL.Path, "err", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-"+c.service+"-advertisement")
	if c.Push || !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
		line := "# service=" + c.service + "\n"
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
