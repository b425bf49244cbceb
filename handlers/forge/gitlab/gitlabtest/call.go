package gitlabtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/mux"
)

// object is a JSON object on its way out.
type object = map[string]any

// call is one request of the API on its way through the double.
type call struct {
	s      *Server
	r      *http.Request
	name   string            // of the route: "GET /user"
	vars   map[string]string // of the path, unescaped
	params map[string]any    // query, form and JSON body; see params.go
	body   []byte
	tok    *Token   // nil: nobody
	user   *user    // who asks; nil: nobody
	proj   *Project // where the path names one
	group  *namespace
}

// answer is what a handler has to say.
type answer struct {
	status int
	body   any
	header http.Header
}

func ok(body any) (answer, error)      { return answer{status: http.StatusOK, body: body}, nil }
func created(body any) (answer, error) { return answer{status: http.StatusCreated, body: body}, nil }
func noContent() (answer, error)       { return answer{status: http.StatusNoContent}, nil }

// apiError is an answer in one of GitLab's forms for errors.
type apiError struct {
	status int
	body   any // a string is sent as plain text
	header http.Header
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %v", e.status, e.body) }

// errUnknown is said of addresses that the server does not have.
var errUnknown = &apiError{status: http.StatusNotFound, body: object{"error": "404 Not Found"}}

// refuse is {"message": …}: GitLab's render_api_error!.
func refuse(status int, message any) error {
	return &apiError{status: status, body: object{"message": message}}
}

// invalid is {"error": …}: what Grape says of parameters.
func invalid(message string) error {
	return &apiError{status: http.StatusBadRequest, body: object{"error": message}}
}

// badRequest is bad_request!(reason).
func badRequest(reason string) error {
	return refuse(http.StatusBadRequest, "400 Bad request - "+reason)
}

// notFound is not_found!(what): "404 Project Not Found"; "" for no name.
func notFound(what string) error {
	if what != "" {
		what += " "
	}
	return refuse(http.StatusNotFound, "404 "+what+"Not Found")
}

func forbidden() error    { return refuse(http.StatusForbidden, "403 Forbidden") }
func unauthorized() error { return refuse(http.StatusUnauthorized, "401 Unauthorized") }

// number reads a numeric id of the path; a word is 0, which nothing has.
func (c *call) number(name string) int64 {
	n, _ := strconv.ParseInt(c.vars[name], 10, 64)
	return n
}

// api answers the REST API. The path comes without /api/v4.
func (s *Server) api(router *mux.Router) http.Handler {
	all := routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var match mux.RouteMatch
		var a answer
		c := &call{s: s, r: r, body: body}
		seen := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: body, Header: r.Header.Clone(), At: time.Now()}
		fail, fails := s.failure(r)
		if fails && !fail.after {
			seen.Failed = true
			a, err = fail.answer()
		} else if router.Match(r, &match) && match.MatchErr == nil {
			c.name = match.Route.GetName()
			if slices.Contains(s.opts.Without, c.name) {
				err = errUnknown
			} else if c.vars, err = unescape(match.Vars); err == nil {
				a, err = s.serve(c, all[c.name], &seen)
			}
			if fails {
				seen.Failed = true
				a, err = fail.answer()
			}
		} else {
			err = errUnknown
			s.mu.Lock()
			s.complain("%s %s: the double has no such operation", r.Method, r.URL.Path)
			s.unlock()
		}
		if errors.Is(err, errDropped) {
			s.record(c, seen)
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
		s.write(w, c, a, err, &seen)
	})
}

func unescape(vars map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for k, v := range vars {
		plain, err := url.PathUnescape(v)
		if err != nil {
			return nil, invalid(k + " is invalid")
		}
		out[k] = plain
	}
	return out, nil
}

// serve runs one handler under the server's lock.
func (s *Server) serve(c *call, rt route, seen *Request) (a answer, err error) {
	s.mu.Lock()
	defer s.unlock()
	if err = c.parse(); err != nil {
		return answer{}, err
	}
	if c.tok, err = s.authenticate(c.r); err != nil {
		return answer{}, err
	}
	if c.tok != nil {
		c.user, seen.Username, seen.Scopes = c.tok.user, c.tok.user.username, c.tok.scopes
	}
	header, err := s.limited(c)
	if err == nil {
		err = c.admit(rt)
	}
	if err == nil {
		a, err = rt.handle(s, c)
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	for k, v := range header {
		a.header[k] = v
	}
	return a, err
}

// write sends an answer or an error, with what every answer of GitLab has.
func (s *Server) write(w http.ResponseWriter, c *call, a answer, err error, seen *Request) {
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	if err != nil {
		var known *apiError
		if !errors.As(err, &known) {
			s.log.Error("gitlabtest", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
			known = &apiError{status: http.StatusInternalServerError, body: object{"message": "500 Internal Server Error", "detail": err.Error()}}
		}
		for k, v := range known.header {
			h[k] = v
		}
		a.status, a.body = known.status, known.body
	}
	var body []byte
	if text, plain := a.body.(string); plain {
		body = []byte(text)
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", "text/plain")
		}
	} else if raw, ready := a.body.([]byte); ready {
		body = raw
	} else if a.body != nil {
		if body, err = json.Marshal(a.body); err != nil {
			s.log.Error("gitlabtest", "path", c.r.URL.Path, "err", err)
		}
		h.Set("Content-Type", "application/json")
	}
	h.Set("Date", s.opts.Now().UTC().Format(http.TimeFormat)) // by which clients see that their clock is wrong
	h.Set("X-Request-Id", random(26))
	h.Set("X-Gitlab-Meta", fmt.Sprintf(`{"correlation_id":%q,"version":"1"}`, h.Get("X-Request-Id")))
	seen.Status, seen.Answer = a.status, body
	s.record(c, *seen)
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// record keeps an exchange and holds it against the shapes.
func (s *Server) record(c *call, seen Request) {
	s.mu.Lock()
	defer s.unlock()
	s.requests = append(s.requests, seen)
	if c.name != "" && !seen.Failed && seen.Status != 0 {
		s.checkShape(c.name, c, &seen)
	}
}
