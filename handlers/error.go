package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
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

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, "there is no %s %s; the API's resources begin with /api/v1/builds", r.Method, r.URL.Path)
}

// Error is the body of every answer that is not 2xx.
type Error struct {
	Error string `json:"error"` // one sentence for a person
}

// retryAfter is what a caller is told to wait, in seconds, while the store is
// away; it comes back by itself within this time.
const retryAfter = "5"

// serve runs h and writes its error, once and here only: logged where it is
// ours, told where it is the caller's.
func (s *Server) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				s.Log.Error("handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				writeJSON(w, http.StatusInternalServerError, Error{"something on our side failed"})
			}
		}()
		err := h(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		status, message := statusOf(err)
		switch status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Basic realm="registry-build", charset="UTF-8"`)
		case http.StatusServiceUnavailable:
			w.Header().Set("Retry-After", retryAfter)
		}
		if status >= http.StatusInternalServerError {
			s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "status", status, "took", time.Since(began), "err", err)
		}
		writeJSON(w, status, Error{message})
	})
}

func statusOf(err error) (int, string) {
	var p problem
	var f *builder.Failure
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p.status, p.message
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, forge.ErrSignature):
		return http.StatusUnauthorized, err.Error()
	case errors.Is(err, forge.ErrPayload):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, builder.ErrNotFound):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, builder.ErrState):
		return http.StatusConflict, err.Error()
	case errors.As(err, &f):
		return http.StatusUnprocessableEntity, f.Message
	case errors.Is(err, builder.ErrUnavailable):
		return http.StatusServiceUnavailable, "the queue is not available; nothing was changed, try again in a moment"
	}
	return http.StatusInternalServerError, "something on our side failed; the operator's log has the cause"
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(body)
}
