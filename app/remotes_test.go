package app

import (
	"context"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/gitops"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// knownApp is an app that is always the same.
type knownApp github.Identity

func (k knownApp) Identity(context.Context) (github.Identity, error) { return github.Identity(k), nil }

// A gitops trigger writes to GitHub with the app's own right, as a commit and
// as a pull request that is kept up to date.
func TestRemotesOfGitHub(t *testing.T) {
	gh := githubtest.New(t)
	granted := githubtest.DefaultPermissions()
	granted["contents"] = "write"
	app, err := gh.AddApp(githubtest.AppOptions{Permissions: granted})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := gh.AddRepo("acme/deploy", githubtest.RepoOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Install("acme"); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Push(githubtest.Push{Files: map[string]string{"a.yaml": "image: old:1\n"}}); err != nil {
		t.Fatal(err)
	}
	tokens, err := credential.NewTokens(nil)
	if err != nil {
		t.Fatal(err)
	}
	hub := github.New(github.Options{Identities: knownApp{ID: app.ID, Key: app.PrivateKeyPEM}, Config: config.GitHub{API: gh.API, URL: gh.URL, GitOps: true}})
	kind, err := gitops.New(gitops.Options{
		Dir: t.TempDir(), Forges: remotes(nil, hub, tokens),
		Policy: []config.Policy{{Repositories: []string{"acme/*"}, Manifests: []string{"github:acme/*"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	fire := func(n string, pull bool) trigger.Answer {
		t.Helper()
		a, err := kind.Fire(t.Context(), trigger.Firing{
			Trigger: config.Trigger{Name: "prod", GitOps: &config.GitOps{Repository: "acme/deploy", File: "a.yaml", Path: "image", PullRequest: pull}},
			Tags:    []string{"v" + n},
			Record: builder.Record{
				Build: builder.Build{ID: n, Repository: builder.Repository{Forge: "github", ID: "1", Owner: "acme", Name: "shop"},
					Names: []string{"acme/shop"}, Destination: "registry.example.com/acme/shop", Lane: builder.TrustedLane},
				Result: builder.Result{Digest: "sha256:" + strings.Repeat(n, 64)},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := fire("1", false); a.URL != gh.URL+"/acme/deploy/commit/"+repo.Head("main") {
		t.Errorf("commit at %q", a.URL)
	}
	for _, n := range []string{"2", "3"} {
		if a := fire(n, true); a.URL != gh.URL+"/acme/deploy/pull/1" {
			t.Errorf("pull request at %q", a.URL)
		}
	}
	if pulls := repo.Pulls(); len(pulls) != 1 || pulls[0].Title != "registry.example.com/acme/shop: v3" || !strings.Contains(pulls[0].Body, "v3@sha256:333") {
		t.Errorf("pull requests %+v", pulls)
	}
	if err := repo.ClosePull(1, "octocat", true); err != nil {
		t.Error(err)
	}
}
