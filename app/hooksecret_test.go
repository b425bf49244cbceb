package app

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
)

// secretsIn is what one process knows of the secrets that are kept in the
// folder.
func secretsIn(t *testing.T, dir, instance string) *hookSecrets {
	t.Helper()
	store, err := credential.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return &hookSecrets{instance: instance, store: store}
}

func (h *hookSecrets) all(t *testing.T) []string {
	t.Helper()
	all, err := h.Secrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *hookSecrets) set(t *testing.T, name, value string) {
	t.Helper()
	err := h.store.Set(t.Context(), builder.Credential{Name: name, Kind: builder.KindSigningSecret, Fields: map[string]string{builder.FieldValue: value}})
	if err != nil {
		t.Fatal(err)
	}
}

// The server, which has looked and found none, knows at once what the command
// line makes: the webhook is tried a moment later.
func TestHookSecretIsKnownAtOnce(t *testing.T) {
	dir := t.TempDir()
	server, command := secretsIn(t, dir, "gitlab"), secretsIn(t, dir, "gitlab")
	if all := server.all(t); len(all) != 0 {
		t.Fatalf("secrets %q", all)
	}
	for range 2 {
		if err := command.ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all := server.all(t)
	if len(all) != 1 || len(all[0]) < 40 {
		t.Fatalf("secrets %q", all)
	}
	if diff := cmp.Diff(all, command.all(t)); diff != "" {
		t.Error(diff)
	}
	if other := secretsIn(t, dir, "git-example-com").all(t); len(other) != 0 {
		t.Errorf("another server has secrets %q", other)
	}
	info, err := command.store.List(t.Context())
	if err != nil || len(info) != 1 || !strings.HasPrefix(builder.ReservedCredential(info[0].Name), "that of our webhooks") {
		t.Errorf("%v %+v", err, info)
	}
}

func TestHookSecretTakesOver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		server, command := secretsIn(t, dir, "gitlab"), secretsIn(t, dir, "gitlab")
		command.set(t, "gitlab-webhook-gitlab", "the first secret of webhooks")
		if diff := cmp.Diff([]string{"the first secret of webhooks"}, server.all(t)); diff != "" {
			t.Error(diff)
		}
		command.set(t, "gitlab-webhook-gitlab-next", "the second secret of webhooks")
		time.Sleep(hookSecretAge) // synctest's clock
		if diff := cmp.Diff([]string{"the second secret of webhooks", "the first secret of webhooks"}, server.all(t)); diff != "" {
			t.Error(diff)
		}
	})
}
