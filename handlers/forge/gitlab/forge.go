package gitlab

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Secrets knows what our webhooks are signed with. It is asked for every
// delivery, so it answers from memory.
type Secrets interface {
	// Secrets returns the newest first; several while one takes over from
	// another, none before the first webhook was made.
	Secrets(ctx context.Context) ([]string, error)
}

// Options are what New needs. All but HTTP, Every, Now and Log are required.
type Options struct {
	Config   config.GitLab
	Secrets  Secrets
	Memory   telling.Memory
	BuildURL func(buildID string) string // for people, with the right to see that one build
	Host     func() string               // of the embedded registry, for pull references
	HookURL  func() string               // where the server delivers to: …/hooks/<instance>
	Every    time.Duration               // between two looks for failed deliveries; 0: 5 minutes
	HTTP     http.RoundTripper           // nil: one with the CA and the proxy of Config
	Now      func() time.Time            // nil: time.Now
	Log      *slog.Logger                // nil: discarded
}

// Forge is one GitLab server. Its methods may be called concurrently.
type Forge struct {
	Options
	ledger *telling.Ledger
	wire   *wire  // what api sends by
	names  *names // of projects
	admits admits // of projects to groups
	//lint:ignore SA1019 see connect
	api *gitlab.Client
}

var (
	_ forge.Verifier    = (*Forge)(nil)
	_ forge.Origin      = (*Forge)(nil)
	_ builder.Reporter  = (*Forge)(nil)
	_ builder.Commenter = (*Forge)(nil)
	_ builder.Forge     = (*Forge)(nil)
	_ builder.Watcher   = (*Forge)(nil)
)

// New makes the Forge. It speaks to nobody. Its error is a CA that cannot be
// read.
func New(o Options) (*Forge, error) {
	if o.Every <= 0 {
		o.Every = missedEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Forge{Options: o, ledger: &telling.Ledger{
		Memory: o.Memory, Forge: o.Config.Name, Name: "GitLab", Answered: answeredWith, Now: o.Now, Log: o.Log,
	}}
	if err := f.connect(); err != nil {
		return nil, err
	}
	return f, nil
}

// Instance is the server's name in events and repository keys.
func (f *Forge) Instance() string { return f.Config.Name }

// website is where people see the project.
func (f *Forge) website(repo builder.Repository) string { return f.Config.URL + "/" + repo.FullName() }
