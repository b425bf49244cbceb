package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
)

// vault opens credentials for those whom the operator's policy lets, and
// notes who used them.
type vault struct {
	store  *credential.Store
	policy []config.Policy
}

var _ builder.Vault = vault{}

func (v vault) Open(ctx context.Context, name string, by builder.Use) (builder.Credential, error) {
	if err := v.may(name, by); err != nil {
		return builder.Credential{}, err
	}
	c, err := v.store.Get(ctx, name)
	if errors.Is(err, builder.ErrNotFound) {
		return c, &said{fmt.Sprintf("there is no credential %q; the operator sets it with: registry-build credentials set %s", name, name), builder.ErrNotFound}
	}
	if err != nil {
		return c, fmt.Errorf("open credential %s: %w", name, err)
	}
	v.store.Used(name, by.For)
	return c, nil
}

// Logins opens all registry logins that policy lets them use. Which of them is
// used depends on the bases of the Dockerfile, so none is noted here.
func (v vault) Logins(ctx context.Context, by builder.Use) ([]builder.Credential, error) {
	all, err := v.store.OfKind(ctx, builder.KindRegistryLogin)
	if err != nil {
		return nil, fmt.Errorf("open registry logins: %w", err)
	}
	var may []builder.Credential
	for _, c := range all {
		if v.may(c.Name, by) == nil {
			may = append(may, c)
		}
	}
	return may, nil
}

func (v vault) may(name string, by builder.Use) error {
	switch {
	case by.Lane == builder.ForkLane:
		return &said{fmt.Sprintf("credential %s may not be used here: what comes from a fork uses none", name), builder.ErrDenied}
	case !by.Operator:
		return builder.MayUse(v.policy, by.Names, name)
	case builder.ReservedCredential(name) != "":
		return &said{fmt.Sprintf("credential %s is %s; no trigger may use it", name, builder.ReservedCredential(name)), builder.ErrDenied}
	}
	return nil
}

// said is a sentence of its own that callers can still branch on.
type said struct {
	text string
	is   error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.is }
