package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github"
)

// The credentials that the app made by the manifest flow is kept in. The first
// is written last, so that the others are there when it is.
const (
	githubApp    = "github-app" // id, slug and client id
	githubKey    = "github-app-key"
	githubHook   = "github-app-webhook"
	githubNext   = "github-app-webhook-next" // taken too, while the webhook's secret is changed
	githubClient = "github-app-client"
)

// identityAge is how long the app is known without looking: another process
// may have created it, or set another webhook secret.
const identityAge = 5 * time.Second

// identities knows the GitHub App: the server file's, else the one that was
// created on the setup page.
type identities struct {
	config config.GitHub
	store  *credential.Store

	mu     sync.Mutex
	known  github.Identity
	err    error
	looked time.Time
}

func (i *identities) Identity(ctx context.Context) (github.Identity, error) {
	if i.config.App != 0 {
		return github.Identity{ID: i.config.App, Key: i.config.Key, Secrets: i.config.Secrets}, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.looked) < identityAge {
		return i.known, i.err
	}
	known, err := i.read(context.WithoutCancel(ctx))
	if err != nil && !errors.Is(err, builder.ErrNotFound) {
		return known, err
	}
	i.known, i.err, i.looked = known, err, time.Now()
	return known, err
}

// named is the part of an app that is no secret.
type named struct {
	ID       int64  `json:"id"`
	Slug     string `json:"slug"`
	ClientID string `json:"clientId"`
}

func (i *identities) read(ctx context.Context) (github.Identity, error) {
	values := map[string]string{}
	for _, name := range []string{githubApp, githubKey, githubHook, githubClient} {
		c, err := i.store.Get(ctx, name)
		if err != nil {
			return github.Identity{}, err
		}
		values[name] = c.Value()
	}
	var n named
	if err := json.Unmarshal([]byte(values[githubApp]), &n); err != nil {
		return github.Identity{}, fmt.Errorf("credential %s: %w; forget it (registry-build credentials rm %s) and create the app again", githubApp, err, githubApp)
	}
	id := github.Identity{ID: n.ID, Slug: n.Slug, ClientID: n.ClientID, Key: values[githubKey],
		Secrets: []string{values[githubHook]}, ClientSecret: values[githubClient]}
	next, err := i.store.Get(ctx, githubNext)
	if err == nil {
		id.Secrets = append(id.Secrets, next.Value())
	} else if !errors.Is(err, builder.ErrNotFound) {
		return github.Identity{}, err
	}
	return id, nil
}

// keep stores an app that was created.
func (i *identities) keep(ctx context.Context, id github.Identity) error {
	n, err := json.Marshal(named{id.ID, id.Slug, id.ClientID})
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name, value string
		kind        builder.CredentialKind
	}{
		{githubKey, id.Key, builder.KindToken},
		{githubHook, id.Secrets[0], builder.KindSigningSecret},
		{githubClient, id.ClientSecret, builder.KindToken},
		{githubApp, string(n), builder.KindToken},
	} {
		if err := i.store.Set(ctx, builder.Credential{Name: c.name, Kind: c.kind, Fields: map[string]string{builder.FieldValue: c.value}}); err != nil {
			return fmt.Errorf("keep the GitHub App: %w", err)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known, i.err, i.looked = id, nil, time.Now()
	return nil
}
