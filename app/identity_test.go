package app

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github"
)

// made is an app as the manifest flow makes it.
var made = github.Identity{ID: 7, Slug: "registry-build-x", Key: "-----BEGIN RSA PRIVATE KEY-----\nkey\n-----END RSA PRIVATE KEY-----\n",
	Secrets: []string{"the webhook's first secret"}, ClientID: "Iv1.x", ClientSecret: "a client secret"}

// process is what one process knows of the app that is kept in the folder.
func process(t *testing.T, dir string) *identities {
	t.Helper()
	store, err := credential.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return &identities{store: store}
}

func (i *identities) set(t *testing.T, name string, kind builder.CredentialKind, value string) {
	t.Helper()
	if err := i.store.Set(t.Context(), builder.Credential{Name: name, Kind: kind, Fields: map[string]string{builder.FieldValue: value}}); err != nil {
		t.Fatal(err)
	}
}

func (i *identities) is(t *testing.T, want github.Identity) {
	t.Helper()
	got, err := i.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func (i *identities) isNobody(t *testing.T) {
	t.Helper()
	if id, err := i.Identity(t.Context()); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("app %d, %v; want ErrNotFound", id.ID, err)
	}
}

func TestIdentityOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	first := process(t, dir)
	first.isNobody(t)
	if err := first.keep(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	first.is(t, made) // at once, although it had just looked
	process(t, dir).is(t, made)
}

func TestIdentityIsSeenByOtherProcesses(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		one, other := process(t, dir), process(t, dir)
		other.isNobody(t)
		if err := one.keep(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		time.Sleep(identityAge) // synctest's clock, here and below
		other.is(t, made)

		// The webhook's secret is changed: both are taken while that lasts.
		const next = "the webhook's second secret"
		one.set(t, githubNext, builder.KindSigningSecret, next)
		time.Sleep(identityAge)
		changing := made
		changing.Secrets = []string{made.Secrets[0], next}
		other.is(t, changing)
		one.set(t, githubHook, builder.KindSigningSecret, next)
		if err := one.store.Remove(t.Context(), githubNext); err != nil {
			t.Fatal(err)
		}
		time.Sleep(identityAge)
		changed := made
		changed.Secrets = []string{next}
		other.is(t, changed)

		one.set(t, githubKey, builder.KindToken, "another key")
		time.Sleep(identityAge)
		changed.Key = "another key"
		other.is(t, changed)

		if err := one.store.Remove(t.Context(), githubApp); err != nil {
			t.Fatal(err)
		}
		time.Sleep(identityAge)
		other.isNobody(t)
	})
}

// A process that dies while it keeps an app leaves none, and another can be
// created.
func TestIdentityThatIsHalfWritten(t *testing.T) {
	dir := t.TempDir()
	process(t, dir).set(t, githubKey, builder.KindToken, "a key without an app")
	process(t, dir).isNobody(t)
	process(t, dir).set(t, githubHook, builder.KindSigningSecret, "a secret without an app")
	process(t, dir).isNobody(t)
	process(t, dir).set(t, githubClient, builder.KindToken, "a client's secret")
	process(t, dir).isNobody(t)
	if err := process(t, dir).keep(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	process(t, dir).is(t, made)

	for _, name := range []string{githubKey, githubHook, githubClient} {
		dir := t.TempDir()
		p := process(t, dir)
		if err := p.keep(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		if err := p.store.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		process(t, dir).isNobody(t)
	}
}

func TestIdentityThatSomebodyOverwrote(t *testing.T) {
	p := process(t, t.TempDir())
	if err := p.keep(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	p.set(t, githubApp, builder.KindToken, "what is this")
	p = &identities{store: p.store}
	_, err := p.Identity(t.Context())
	if err == nil || errors.Is(err, builder.ErrNotFound) || !strings.Contains(err.Error(), "credential github-app: ") || !strings.Contains(err.Error(), "registry-build credentials rm github-app") {
		t.Errorf("%v", err)
	}
}

func TestIdentityThatCannotBeKept(t *testing.T) {
	p := process(t, t.TempDir())
	short := made
	short.Secrets = []string{"short"}
	if err := p.keep(t.Context(), short); err == nil || !strings.Contains(err.Error(), "keep the GitHub App: credential github-app-webhook: ") {
		t.Errorf("%v", err)
	}
	p.isNobody(t)
}

func TestServerFileWins(t *testing.T) {
	p := process(t, t.TempDir())
	if err := p.keep(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	p.config = config.GitHub{App: 9, Key: "the file's key", Secrets: []string{"old", "new"}}
	p.is(t, github.Identity{ID: 9, Key: "the file's key", Secrets: []string{"old", "new"}})
}

// Who writes a build file must not sign as GitHub does, nor may the operator's
// triggers.
func TestVaultKeepsTheAppsSecrets(t *testing.T) {
	p := process(t, t.TempDir())
	if err := p.keep(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	p.set(t, githubNext, builder.KindSigningSecret, "the webhook's second secret")
	p.set(t, "github-apprentice", builder.KindSigningSecret, "a secret of somebody's")
	v := vault{p.store, []config.Policy{{Repositories: []string{"*"}, Credentials: []string{"*"}}}}
	users := map[string]builder.Use{"repository": {Names: []string{"acme/shop"}}, "operator": {Operator: true}}
	for who, by := range users {
		for _, name := range []string{githubHook, githubNext, githubKey, githubApp, githubClient} {
			if c, err := v.Open(t.Context(), name, by); !errors.Is(err, builder.ErrDenied) || c.Fields != nil || !strings.Contains(err.Error(), "GitHub App's own") {
				t.Errorf("%s, %s: %v", who, name, err)
			}
		}
		if c, err := v.Open(t.Context(), "github-apprentice", by); err != nil || c.Value() != "a secret of somebody's" {
			t.Errorf("%s, another credential: %v", who, err)
		}
		if _, err := v.Open(t.Context(), "none", by); !errors.Is(err, builder.ErrNotFound) {
			t.Errorf("%s, none: %v", who, err)
		}
	}
}
