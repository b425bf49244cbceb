package github

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// The client works with a GitHub that somebody else wrote.
func TestClientWithTheEmulator(t *testing.T) {
	e := githubtest.NewEmulator(t, "")
	var log strings.Builder
	a := New(Options{
		Identities: identityOf{ID: e.AppID, Key: e.PrivateKeyPEM}, Memory: forgetest.NewMemory(),
		Config: config.GitHub{API: e.API, URL: e.Direct}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	ctx := t.Context()
	name := githubtest.EmulatedOrg + "/" + githubtest.EmulatedRepo
	repo, err := a.Find(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	want := builder.Repository{Forge: Instance, ID: repo.ID, Owner: githubtest.EmulatedOrg, Name: githubtest.EmulatedRepo, DefaultBranch: "main", Installation: "100"}
	if _, err := numericID(repo.ID); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, repo); diff != "" {
		t.Errorf("Find (-want +got):\n%s", diff)
	}
	if got, err := a.Permission(ctx, repo, githubtest.EmulatedUser); err != nil || got != builder.PermissionAdmin {
		t.Errorf("permission of its administrator: %d, %v", got, err)
	}
	if got, err := a.Permission(ctx, repo, "nobody"); err != nil || got != builder.PermissionNone {
		t.Errorf("permission of nobody: %d, %v", got, err)
	}
	if got, err := a.Protected(ctx, repo, "refs/heads/main"); err != nil || got {
		t.Errorf("protected: %t, %v", got, err)
	}
	if _, err := a.Pull(ctx, repo, 999); !errors.Is(err, builder.ErrNotFound) {
		t.Errorf("a pull request that is not there: %v; want ErrNotFound", err)
	}
	repo.Installation = "999"
	var m missingPermission
	if _, err := a.client(ctx, repo, need{"checks": "write"}); err != nil {
		t.Errorf("with an old installation: %v", err)
	}
	if _, err := a.client(ctx, repo, need{"administration": "write"}); !errors.As(err, &m) || m.permission != "administration: write" {
		t.Errorf("a permission that is not granted: %v", err)
	}
	app, err := a.appClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := app.Apps.Get(ctx, ""); err != nil || got.GetID() != e.AppID {
		t.Errorf("the app: %d, %v", got.GetID(), err)
	}
	// Where GitHub redirects an old name to, and so not in its description.
	for _, v := range e.Validator.Take() {
		if !strings.HasPrefix(v, "GET /repositories/"+repo.ID+": no such operation") {
			t.Errorf("GitHub's description: %s", v)
		}
	}
}
