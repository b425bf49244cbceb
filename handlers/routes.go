package handlers

import (
	"context"
	"iter"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Events accepts what happened. All methods may be called concurrently, and
// answer builder.ErrUnavailable while the store is away.
type Events interface {
	// Append is durable when it returns. An event whose ID was accepted
	// before is a duplicate, of which nothing is written.
	Append(ctx context.Context, e builder.Event) (builder.Receipt, error)
	// AwaitDecision waits until the event is decided or ctx ends.
	AwaitDecision(ctx context.Context, eventID string) (builder.Decision, error)
	// Event returns an accepted event. builder.ErrNotFound.
	Event(ctx context.Context, id string) (builder.Event, error)
	// Decision is builder.ErrState while the event is undecided, and
	// builder.ErrNotFound when it was never accepted.
	Decision(ctx context.Context, eventID string) (builder.Decision, error)
	// Ping reports whether an event would be accepted now.
	Ping(ctx context.Context) error
}

// Builds is the record of builds. All methods may be called concurrently;
// those that take an ID answer builder.ErrNotFound for an unknown one.
type Builds interface {
	Build(ctx context.Context, id string) (builder.Record, error)
	// Builds lists newest first; next is what the page after begins before.
	Builds(ctx context.Context, f builder.BuildFilter) (page []builder.Record, next string, err error)
	// Cancel returns the state that the build is in then. builder.ErrState,
	// with the state, when it has ended already.
	Cancel(ctx context.Context, id, reason string) (builder.State, error)
	// Delete forgets record and log. builder.ErrState before the build has ended.
	Delete(ctx context.Context, id string) error
	// ReadLog returns what comes after the chunk with the ID after; with
	// follow until the build has ended. An error is the last pair.
	ReadLog(ctx context.Context, id, after string, follow bool) iter.Seq2[builder.LogChunk, error]
}

// Outcomes is what was told and fired.
type Outcomes interface {
	Statuses(ctx context.Context, repositoryKey, commit string) ([]builder.Report, error)
	TriggerRuns(ctx context.Context, buildID string) ([]builder.TriggerRun, error)
	// Runs lists what triggers did, those of the newest builds first; next is
	// what the page after begins before.
	Runs(ctx context.Context, f builder.RunFilter) (page []builder.TriggerRun, next string, err error)
	// RetryTrigger makes a trigger that is over due again. builder.ErrState,
	// with the state, while it is not over, builder.ErrNotFound when it never
	// ran.
	RetryTrigger(ctx context.Context, repo builder.Repository, buildID, trigger, by string) (builder.RunState, error)
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
	// MayUseAPI reports whether the token reaches the repository
	// instance:owner/name (builder.Repository.Qualified);
	// of "", whether it reaches any at all.
	MayUseAPI(repository string) bool
	// MayPush reports whether the token may push the image owner/name of the
	// default registry: who uploads a Dockerfile decides what is in the image.
	MayPush(image string) bool
	// MayNotify reports whether the token may tell of pushes to the image
	// repository, which is named with its host; of "", to any at all.
	MayNotify(image string) bool
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
	// Registrations says whose images somebody has pushed; nil: what is pushed
	// to other registries sets nothing off.
	Registrations builder.Registrations
	URL           func() string        // how people reach us
	Metrics       *prometheus.Registry // gets ours, and is what /metrics shows; nil: none
	Log           *slog.Logger
}

// route is one line of the map.
type route struct {
	method, path string
	handler      handler
}

// registryHook is no forge's.
const registryHook = "/hooks/registry"

// table is everything this package answers; README.md is its reference.
func (s *Server) table() []route {
	in := s.newIntake()
	return []route{
		{"POST", "/hooks/{forge}", in.deliver},
		{"POST", registryHook, in.notify},
		{"GET", "/healthz", s.healthz},
		{"GET", "/readyz", s.readyz},
		{"GET", "/metrics", s.asCaller(s.serveMetrics())},
		{"GET", "/api/v1/builds", s.asCaller(s.listBuilds)},
		{"POST", "/api/v1/builds", s.asCaller(s.requestBuild)},
		{"GET", "/api/v1/builds/{id}", s.asCaller(s.getBuild)},
		{"DELETE", "/api/v1/builds/{id}", s.asCaller(s.deleteBuild)},
		{"POST", "/api/v1/builds/{id}/cancel", s.asCaller(s.cancelBuild)},
		{"GET", "/api/v1/builds/{id}/log", s.asCaller(s.buildLog)},
		{"GET", "/api/v1/builds/{id}/triggers", s.asCaller(s.triggerRuns)},
		{"POST", "/api/v1/builds/{id}/triggers/{name}/retry", s.asCaller(s.retryTrigger)},
		{"GET", "/api/v1/triggers", s.asCaller(s.listTriggers)},
		{"GET", "/api/v1/events/{id...}", s.asCaller(s.getEvent)},
		{"GET", "/api/v1/statuses/{commit...}", s.asCaller(s.statuses)},
	}
}

// Routes serves the table. Whatever else is asked, the answer is JSON too:
// 405 where the path is known, 404 where it is not.
func (s *Server) Routes() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, r := range s.table() {
		mux.Handle(r.method+" "+r.path, s.serve(r.handler))
		methods[r.path] = append(methods[r.path], r.method)
	}
	for path, allowed := range methods {
		if path == registryHook { // answered by that of all hooks; two of them the mux takes for a conflict
			continue
		}
		mux.Handle(path, s.serve(notAllowed(allowed)))
	}
	mux.Handle("/", s.serve(notFound))

	// A browser that has opened the pages sends their password along with
	// whatever another site makes it ask for. Reading is safe, the other site
	// does not see the answer; building and cancelling are not.
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(s.serve(crossOrigin))
	return sameOrigin.Handler(mux)
}
