package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
)

// hookSecretAge is how long the secrets are known without looking. What a
// webhook with a newer one tells meanwhile is refused, and has to be told again.
const hookSecretAge = time.Second

// hookSecrets knows what signs the tokens of our webhooks at one GitLab server:
// a credential of the server's name, which the first `gitlab install` makes.
// While another takes over that one is kept as …-next: webhooks get tokens of
// it from then on, and those of both are taken.
type hookSecrets struct {
	instance string
	store    *credential.Store

	mu     sync.Mutex
	known  []string
	looked time.Time
}

var _ gitlab.Secrets = (*hookSecrets)(nil)

func (h *hookSecrets) name() string { return builder.GitLabWebhookSecret + h.instance }

// Secrets implements gitlab.Secrets. What is there is known for a moment;
// that there is none is looked up each time, because `gitlab install` makes it
// in another process and tries the webhook at once.
func (h *hookSecrets) Secrets(ctx context.Context) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) > 0 && time.Since(h.looked) < hookSecretAge {
		return h.known, nil
	}
	var secrets []string
	for _, name := range []string{h.name() + "-next", h.name()} {
		c, err := h.store.Get(context.WithoutCancel(ctx), name)
		switch {
		case err == nil && c.Value() != "":
			secrets = append(secrets, c.Value())
		case err != nil && !errors.Is(err, builder.ErrNotFound):
			return nil, err
		}
	}
	h.known, h.looked = secrets, time.Now()
	return secrets, nil
}

// ensure makes the secret unless there is one.
func (h *hookSecrets) ensure(ctx context.Context) error {
	have, err := h.Secrets(ctx)
	if err != nil || len(have) > 0 {
		return err
	}
	secret := rand.Text() + rand.Text() // 256 bits
	err = h.store.Set(ctx, builder.Credential{Name: h.name(), Kind: builder.KindSigningSecret,
		Fields: map[string]string{builder.FieldValue: secret}})
	if err != nil {
		return fmt.Errorf("keep the secret of webhooks at GitLab %s: %w", h.instance, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = nil
	return nil
}
