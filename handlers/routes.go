package handlers

import (
	"context"
	"iter"
	"log/slog"
	"net/http"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Events accepts what happened. Append is durable when it returns.
type Events interface {
	Append(ctx context.Context, e builder.Event) (builder.Receipt, error)
	AwaitDecision(ctx context.Context, eventID string) (builder.Decision, error)
	Event(ctx context.Context, id string) (builder.Event, error)
	Decision(ctx context.Context, eventID string) (builder.Decision, error)
	Ping(ctx context.Context) error
}

// Builds is the record of builds.
type Builds interface {
	Build(ctx context.Context, id string) (builder.Record, error)
	Builds(ctx context.Context, f builder.BuildFilter) (page []builder.Record, next string, err error)
	Cancel(ctx context.Context, id, reason string) (builder.State, error)
	Delete(ctx context.Context, id string) error
	ReadLog(ctx context.Context, id, after string, follow bool) iter.Seq2[builder.LogChunk, error]
}

// Outcomes is what was told and fired.
type Outcomes interface {
	Statuses(ctx context.Context, repositoryKey, commit string) ([]builder.Report, error)
	TriggerRuns(ctx context.Context, buildID string) ([]builder.TriggerRun, error)
}

// Repositories finds source repositories by the name that people use.
type Repositories interface {
	// Find returns the repository owner/name. builder.ErrNotFound.
	Find(ctx context.Context, fullName string) (builder.Repository, error)
	// Resolve is builder.Sources' method.
	Resolve(ctx context.Context, repo builder.Repository, rev string) (commit string, err error)
}

// Access says who calls.
type Access interface {
	// Caller returns who the request's token belongs to, nil when it has
	// none or a wrong one.
	Caller(r *http.Request) Caller
}

// Caller is somebody with a token.
type Caller interface {
	Name() string
	MayUseAPI(repository string) bool // owner/name
}

// Server serves the intake and the API.
type Server struct {
	Events       Events
	Builds       Builds
	Outcomes     Outcomes
	Repositories Repositories
	Access       Access
	Forges       map[string]forge.Verifier // by instance: those that send webhooks
	Registry     func() string             // host of the embedded registry, for pull references
	URL          func() string             // how people reach us
	Log          *slog.Logger
}

// Routes is everything this package answers.
func (s *Server) Routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"POST /hooks/{forge}":                          s.webhook,
		"GET /healthz":                                 s.healthz,
		"GET /readyz":                                  s.readyz,
		"GET /api/v1/builds":                           s.asCaller(s.listBuilds),
		"POST /api/v1/builds":                          s.asCaller(s.requestBuild),
		"GET /api/v1/builds/{id}":                      s.asCaller(s.getBuild),
		"DELETE /api/v1/builds/{id}":                   s.asCaller(s.deleteBuild),
		"POST /api/v1/builds/{id}/cancel":              s.asCaller(s.cancelBuild),
		"GET /api/v1/builds/{id}/log":                  s.asCaller(s.buildLog),
		"GET /api/v1/builds/{id}/triggers":             s.asCaller(s.triggerRuns),
		"GET /api/v1/events/{id}":                      s.asCaller(s.getEvent),
		"GET /api/v1/statuses/{owner}/{name}/{commit}": s.asCaller(s.statuses),
		"/api/": notFound,
	} {
		mux.Handle(pattern, s.serve(h))
	}
	return mux
}
