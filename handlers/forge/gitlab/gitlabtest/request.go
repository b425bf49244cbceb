package gitlabtest

import (
	"net/http"
	"slices"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/fault"
)

// Request is a request to the API that was answered, or dropped.
type Request struct {
	Method, Path, Query string // Path unescaped, without /api/v4
	Header              http.Header
	Body                []byte
	At                  time.Time // when it came, by this machine's clock
	Status              int       // 0: the connection was dropped
	Answer              []byte
	Failed              bool // by FailNext
	Username            string
	Scopes              []string
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
