package github

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// clientRig is an App with a GitHub of its own, in which it is installed.
type clientRig struct {
	*App
	gh     *githubtest.Server
	app    *githubtest.App
	inst   *githubtest.Installation
	repo   *githubtest.Repo
	memory *forgetest.Memory
	log    *strings.Builder
}

// newClientRig installs the app in acme, which has the repository acme/shop.
func newClientRig(t *testing.T, change ...func(*githubtest.Options)) *clientRig {
	t.Helper()
	gh := githubtest.New(t, change...)
	app, err := gh.AddApp(githubtest.AppOptions{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := gh.AddRepo("acme/shop", githubtest.RepoOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := app.Install("acme")
	if err != nil {
		t.Fatal(err)
	}
	rig := &clientRig{gh: gh, app: app, inst: inst, repo: repo, memory: forgetest.NewMemory(), log: &strings.Builder{}}
	rig.App = New(Options{
		Identities: identityOf(Identity{ID: app.ID, Key: app.PrivateKeyPEM}), Memory: rig.memory,
		Config: config.GitHub{API: gh.API, URL: gh.URL},
		Log:    slog.New(slog.NewTextHandler(rig.log, nil)),
	})
	return rig
}

// record is the repository as an event would describe it.
func (r *clientRig) record() builder.Repository {
	return builder.Repository{Forge: Instance, ID: strconv.FormatInt(r.repo.ID(), 10), Owner: "acme", Name: "shop",
		DefaultBranch: "main", Installation: strconv.FormatInt(r.inst.ID, 10)}
}

type identityOf Identity

func (i identityOf) Identity(context.Context) (Identity, error) {
	if i.ID == 0 {
		return Identity{}, builder.ErrNotFound
	}
	return Identity(i), nil
}

// newKey is a private key as GitHub hands it out.
func newKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}
