package gitlabtest

import (
	"net/http"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// ReviewOptions are the options of statuses, notes, merge requests and limits.
type ReviewOptions struct{}

// serverReview and projectReview are what this side keeps.
type (
	serverReview  struct{}
	projectReview struct{}
)

func (s *Server) startReview() {}

// routesReview are the operations of merge requests, notes and statuses.
func routesReview() map[string]route { return map[string]route{} }

// limited takes a request from the budget and answers what every response's
// header says of it; called under the lock, once who asks is known.
func (s *Server) limited(c *call) (http.Header, error) { return nil, nil }

// checkShape holds an exchange against GitLab's shapes; called under the lock
// when the answer is written. name is the route's, such as "GET /user".
func (s *Server) checkShape(name string, c *call, seen *Request) {}

// moved is told of each ref that a push moved, after the push's own webhook.
func (p *Project) moved(u *user, m gitserver.Move) error { return nil }
