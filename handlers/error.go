package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// handler is an http.Handler that returns what went wrong.
type handler func(w http.ResponseWriter, r *http.Request) error

// problem is an error that the caller should read, and its status.
type problem struct {
	status  int
	message string
}

func (p problem) Error() string { return p.message }

func refuse(status int, format string, args ...any) error {
	return problem{status, fmt.Sprintf(format, args...)}
}

// Error is the body of every answer that refuses.
type Error struct {
	Error string `json:"error"` // one sentence for a person
}

// retryAfter is what a caller is told to wait, in seconds, while the store is
// away; it comes back by itself within this time.
const retryAfter = "5"

// serve runs h and writes its error, once and here only: logged where it is
// ours, told where it is the caller's. Once an answer has begun nothing can be
// told any more; then the connection is cut, so that half an answer is not
// taken for a whole one.
func (s *Server) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a := &answer{ResponseWriter: w}
		err := run(h, a, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		status, message := statusOf(err)
		if status >= http.StatusInternalServerError || a.begun {
			s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "status", status, "took", time.Since(began), "err", err)
		}
		if a.begun {
			panic(http.ErrAbortHandler) // net/http's way to cut a connection
		}
		switch status {
		case http.StatusUnauthorized:
			// Basic first: it is what browsers have a dialogue for.
			w.Header().Add("WWW-Authenticate", `Basic realm="registry-build", charset="UTF-8"`)
			w.Header().Add("WWW-Authenticate", `Bearer realm="registry-build"`)
		case http.StatusServiceUnavailable:
			w.Header().Set("Retry-After", retryAfter)
		}
		writeJSON(w, status, Error{message})
	})
}

// run turns a panic into an error: what one request brings about must not
// end the others.
func run(h handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(w, r)
}

// answer knows whether anything was sent.
type answer struct {
	http.ResponseWriter
	begun bool
}

func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// FlushError and Unwrap are what http.ResponseController looks for.
func (a *answer) FlushError() error {
	a.begun = true
	return http.NewResponseController(a.ResponseWriter).Flush()
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func statusOf(err error) (int, string) {
	var p problem
	var f *builder.Failure
	switch {
	case errors.As(err, &p):
		return p.status, p.message
	case errors.Is(err, forge.ErrSignature):
		return http.StatusUnauthorized, err.Error()
	case errors.Is(err, forge.ErrPayload):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, builder.ErrUnavailable):
		return http.StatusServiceUnavailable, "the store is not available; try again in a moment"
	case errors.As(err, &f):
		return http.StatusUnprocessableEntity, f.Message
	case errors.Is(err, builder.ErrNotFound):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, builder.ErrState):
		return http.StatusConflict, err.Error()
	}
	return http.StatusInternalServerError, "something on our side failed; the operator's log has the cause"
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, "there is no %s %s; the API's resources begin with /api/v1/builds", r.Method, r.URL.Path)
}

func notAllowed(methods []string) handler {
	if slices.Contains(methods, http.MethodGet) {
		methods = append([]string{http.MethodHead}, methods...)
	}
	slices.Sort(methods)
	return func(w http.ResponseWriter, r *http.Request) error {
		allowed := strings.Join(methods, ", ")
		w.Header().Set("Allow", allowed)
		return refuse(http.StatusMethodNotAllowed, "%s does not go with %s; it takes %s", r.Method, r.URL.Path, allowed)
	}
}

func crossOrigin(http.ResponseWriter, *http.Request) error {
	return refuse(http.StatusForbidden, "a page of another site may not ask for this")
}

// writeJSON answers with a body. A reader who is gone is nobody's error.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return fmt.Errorf("encode %T: %w", body, err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(text.Bytes())
	return nil
}
