package github

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Instance is the forge's name in events and repository keys.
const Instance = "github"

// Identity is the app as GitHub knows it.
type Identity struct {
	ID           int64    `json:"id"`
	Slug         string   `json:"slug,omitempty"` // its name in addresses
	Key          string   `json:"key"`            // private, PEM
	Secrets      []string `json:"secrets"`        // of the webhook; any of them signs
	ClientID     string   `json:"clientId,omitempty"`
	ClientSecret string   `json:"clientSecret,omitempty"` // for the page after the installation
}

// Identities knows the app. It is asked for every delivery and call, so it
// answers from memory.
type Identities interface {
	// Identity returns the app, builder.ErrNotFound while there is none.
	Identity(ctx context.Context) (Identity, error)
}

// Logs reads what builds print.
type Logs interface {
	// LogTail returns the end of a build's log, at most max bytes of it.
	LogTail(ctx context.Context, buildID string, max int) (text string, cut bool, err error)
}

// Options are what New needs. All but Every, HTTP, Now and Log are required.
type Options struct {
	Identities Identities
	Memory     telling.Memory
	Logs       Logs
	Config     config.GitHub
	BuildURL   func(buildID string) string // for people, with the right to see that one build
	Host       func() string               // of the embedded registry, for pull references
	Every      time.Duration               // between two looks for failed deliveries; 0: 5 minutes
	HTTP       http.RoundTripper           // nil: http.DefaultTransport
	Now        func() time.Time            // nil: time.Now
	Log        *slog.Logger                // nil: discarded
}

// App is the GitHub App. Its methods may be called concurrently.
type App struct {
	Options

	mu      sync.Mutex
	current *access // of the identity that was asked for last
}

var (
	_ forge.Verifier    = (*App)(nil)
	_ forge.Origin      = (*App)(nil)
	_ builder.Reporter  = (*App)(nil)
	_ builder.Commenter = (*App)(nil)
	_ builder.Forge     = (*App)(nil)
	_ builder.Watcher   = (*App)(nil)
)

// New makes the App. It speaks to nobody.
func New(o Options) *App {
	if o.Every <= 0 {
		o.Every = missedEvery
	}
	if o.HTTP == nil {
		o.HTTP = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &App{Options: o}
}

// ledger keeps what GitHub is told in order.
func (a *App) ledger() *telling.Ledger {
	return &telling.Ledger{Memory: a.Memory, Forge: Instance, Name: "GitHub", Answered: answeredWith, Now: a.Now, Log: a.Log}
}
