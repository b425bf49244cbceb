package oci

import (
	"net/http"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/gorilla/mux"
)

// Push is a tag that names a digest since just now.
type Push struct {
	Repository string // as in the address, "acme/hello"
	Tag        string
	Digest     string
	MediaType  string // of the manifest
}

// watch answers a push of a tag. Distribution could tell of pushes itself, but
// only from a queue in memory, after its answer: what is lost there is lost
// for ever.
func (r *Registry) watch(w http.ResponseWriter, req *http.Request) http.ResponseWriter {
	reference := mux.Vars(req)["reference"]
	if r.pushed == nil || req.Method != http.MethodPut || strings.Contains(reference, ":") {
		return w
	}
	return &watched{ResponseWriter: w, registry: r, request: req, tag: reference}
}

// watched is the answer to a push of a tag. It is held back until the push
// was told.
type watched struct {
	http.ResponseWriter
	registry *Registry
	request  *http.Request
	tag      string
	refused  bool // another answer has been given
}

func (w *watched) WriteHeader(status int) {
	if status != http.StatusCreated {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	p := Push{
		Repository: mux.Vars(w.request)["name"], Tag: w.tag,
		Digest: w.Header().Get("Docker-Content-Digest"), MediaType: w.request.Header.Get("Content-Type"),
	}
	if err := w.registry.pushed(w.request, p); err != nil {
		w.refuse(p, err)
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// refuse has the client push again. The tag is in place, so that is one
// request, and it is told then.
func (w *watched) refuse(p Push, err error) {
	w.refused = true
	w.registry.log.ErrorContext(w.request.Context(), "tell of a push", "repository", p.Repository, "tag", p.Tag, "err", err)
	h := w.Header()
	h.Del("Location")
	h.Set("Retry-After", "1")
	answer := errcode.ErrorCodeUnavailable.WithMessage("the push arrived, but what follows from it could not be noted; push again in a moment")
	if err := errcode.ServeJSON(w.ResponseWriter, answer); err != nil {
		w.registry.log.DebugContext(w.request.Context(), "answer a client of the registry", "err", err)
	}
}

func (w *watched) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is what http.ResponseController looks for.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
