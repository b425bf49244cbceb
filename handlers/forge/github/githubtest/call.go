package githubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// call is one request of the API on its way through the double.
type call struct {
	s    *Server
	r    *http.Request
	vars map[string]string
	body []byte
	tok  *token
	repo *Repo // where the path names one
}

// answer is what a handler has to say.
type answer struct {
	status int
	body   any
	header http.Header
}

func ok(body any) (answer, error)      { return answer{status: http.StatusOK, body: body}, nil }
func created(body any) (answer, error) { return answer{status: http.StatusCreated, body: body}, nil }

// apiError is an answer in GitHub's form for errors.
type apiError struct {
	status  int
	message string
	errors  []any
	header  http.Header
	page    bool // HTML, from in front of the API
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.status, e.message) }

var (
	errNotFound    = &apiError{status: http.StatusNotFound, message: "Not Found"}
	errSuspended   = &apiError{status: http.StatusForbidden, message: "This installation has been suspended"}
	errIntegration = &apiError{status: http.StatusForbidden, message: "Resource not accessible by integration"}
)

// invalid is a request that GitHub's schema refuses.
func invalid(format string, args ...any) error {
	return &apiError{status: http.StatusUnprocessableEntity, message: "Invalid request.\n\n" + fmt.Sprintf(format, args...)}
}

// unprocessable is a request that GitHub's models refuse.
func unprocessable(resource, field, message string) error {
	entry := object{"resource": resource, "code": "custom", "message": message}
	if field != "" {
		entry["field"] = field
	}
	return &apiError{status: http.StatusUnprocessableEntity, message: "Validation Failed", errors: []any{entry}}
}

// read decodes the body into a struct; no body is an empty one.
func (c *call) read(into any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(c.body, into); {
	case errors.As(err, &wrong):
		return invalid("For '%s', %s is not a %s.", wrong.Field, wrong.Value, wrong.Type)
	case err != nil:
		return &apiError{status: http.StatusBadRequest, message: "Problems parsing JSON"}
	}
	return nil
}

// number reads a numeric id of the path; a word is 0, which nothing has.
func (c *call) number(name string) int64 {
	n, _ := strconv.ParseInt(c.vars[name], 10, 64)
	return n
}

func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// api answers the REST API. The path comes without /api/v3.
func (s *Server) api(router *mux.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var match mux.RouteMatch
		var a answer
		seen := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: body, Header: r.Header.Clone(), At: time.Now()}
		fail, fails := s.failure(r)
		if fails && !fail.after {
			seen.Failed = true
			a, err = fail.answer()
		} else if router.Match(r, &match) && match.MatchErr == nil {
			route := match.Route.GetName()
			a, err = s.serve(&call{s: s, r: r, vars: match.Vars, body: body}, routes[route], &seen)
			if fails {
				seen.Failed = true
				a, err = fail.answer()
			}
		} else {
			s.complain("%s %s: the double has no such operation", r.Method, r.URL.Path)
			err = errNotFound
		}
		if errors.Is(err, errDropped) {
			s.record(seen)
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
		s.write(w, r, a, err, &seen)
	})
}

// serve runs one handler under the server's lock.
func (s *Server) serve(c *call, rt route, seen *Request) (a answer, err error) {
	s.mu.Lock()
	defer s.unlock()
	c.tok, err = s.authenticate(c.r)
	if err != nil {
		return answer{}, err
	}
	seen.Token, seen.Permissions, seen.Repositories = string(c.tok.kind), c.tok.permissions, c.tok.repos
	if c.tok.inst != nil {
		seen.Installation = c.tok.inst.ID
	}
	header, err := s.limit.take(c.tok, c.r)
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
	if rt.permission != "" {
		a.header.Set("X-Accepted-GitHub-Permissions", strings.ReplaceAll(strings.ReplaceAll(rt.permission, ":", "="), "|", "; "))
	}
	return a, err
}

// write sends an answer or an error, with what every answer of GitHub has.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer, err error, seen *Request) {
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	if err != nil {
		var known *apiError
		if !errors.As(err, &known) {
			s.log.Error("githubtest", "method", r.Method, "path", r.URL.Path, "err", err)
			known = &apiError{status: http.StatusInternalServerError, message: err.Error()}
		}
		for k, v := range known.header {
			h[k] = v
		}
		body := object{"message": known.message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(known.status)}
		if known.errors != nil {
			body["errors"] = known.errors
		}
		if strings.Contains(known.message, "secondary rate limit") {
			body["documentation_url"] = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
		}
		if location := h.Get("Location"); location != "" {
			body["url"] = location
		}
		a.status, a.body = known.status, body
	}
	var body []byte
	if a.body != nil {
		var wrong error
		if body, wrong = json.Marshal(a.body); wrong != nil {
			s.complain("%s %s: %v", r.Method, r.URL.Path, wrong)
		}
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	if page := new(apiError); errors.As(err, &page) && page.page {
		body = fmt.Appendf(nil, "<html><head><title>%d %s</title></head></html>\n", page.status, page.message)
		h.Set("Content-Type", "text/html")
	}
	h.Set("Date", s.opts.Now().UTC().Format(http.TimeFormat)) // by which clients see that their clock is wrong
	h.Set("X-GitHub-Request-Id", strings.ToUpper(random(24)))
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	if r.Method == http.MethodGet && a.status == http.StatusOK {
		tag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(body))
		h.Set("ETag", tag)
		if match := r.Header.Get("If-None-Match"); match != "" && strings.Contains(match, strings.TrimPrefix(tag, "W/")) {
			s.limit.refund(seen.Installation, h)
			a.status, body = http.StatusNotModified, nil
			h.Del("Content-Type")
		}
	}
	seen.Status, seen.Answer = a.status, body
	s.record(*seen)
	s.validate(r, seen, h)
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}
