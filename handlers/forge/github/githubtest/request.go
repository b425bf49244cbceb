package githubtest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/fault"
)

// Request is a request to the API that was answered, or dropped.
type Request struct {
	Method, Path, Query string // Path without /api/v3
	Header              http.Header
	Body                []byte
	At                  time.Time // when it came, by this machine's clock
	Status              int       // 0: the connection was dropped
	Answer              []byte
	Failed              bool // by FailNext

	// Token is "app" for an app's JWT, "installation", "user", or "" for none
	// or a wrong one.
	Token        string
	Installation int64
	Permissions  map[string]string // of an installation token
	Repositories []int64           // of an installation token that has not all
}

// Requests lists what was asked of the API, oldest first, where "METHOD PATH"
// fits the pattern; see FailNext for patterns. An empty pattern fits all.
func (s *Server) Requests(pattern string) []Request {
	s.mu.Lock()
	defer s.unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r Request) bool {
		return pattern != "" && !fault.Fits(pattern, r.Method, r.Path)
	})
}

func (s *Server) record(r Request) {
	s.mu.Lock()
	defer s.unlock()
	s.requests = append(s.requests, r)
}

// complain is a violation that the description alone does not see.
func (s *Server) complain(format string, args ...any) {
	if s.opts.Validator != nil {
		s.opts.Validator.add(format, args...)
	}
}

// validate holds an exchange against GitHub's description.
func (s *Server) validate(r *http.Request, seen *Request, header http.Header) {
	if s.opts.Validator == nil {
		return
	}
	u := *r.URL
	if rest, numeric := strings.CutPrefix(u.Path, "/repositories/"); numeric {
		_, rest, _ = strings.Cut(rest, "/")
		u.Path, u.RawPath = strings.TrimSuffix("/repos/owner/repo/"+rest, "/"), ""
	}
	s.opts.Validator.Check(&Exchange{
		Method: r.Method, URL: &u, RequestHeader: r.Header, RequestBody: seen.Body,
		Status: seen.Status, Header: header, Body: seen.Answer, Failed: seen.Failed,
	})
}
