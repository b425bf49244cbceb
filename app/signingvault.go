package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/registry-build/registry-build/builder"
)

// signingVault is as much of a vault as webhooks need.
type signingVault struct{ signers }

var _ builder.Vault = signingVault{}

// Open returns a signing secret.
func (v signingVault) Open(ctx context.Context, name string, _ builder.Use) (builder.Credential, error) {
	secret, err := v.SigningSecret(ctx, name)
	switch {
	case errors.Is(err, builder.ErrNotFound):
		return builder.Credential{}, &said{fmt.Sprintf("there is no credential %q; set it with: registry-build credentials set %s --kind %s", name, name, builder.KindSigningSecret), builder.ErrNotFound}
	case err != nil:
		return builder.Credential{}, &said{err.Error(), builder.ErrDenied}
	}
	return builder.Credential{Name: name, Kind: builder.KindSigningSecret, Fields: map[string]string{builder.FieldValue: secret}}, nil
}

// Logins returns none.
func (signingVault) Logins(context.Context, builder.Use) ([]builder.Credential, error) {
	return nil, nil
}

// said is a sentence of its own that callers can still branch on.
type said struct {
	text string
	is   error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.is }
