package app

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/builder/trigger/gitops"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

// remotes are the forges that lend gitops triggers the right to write, by the
// names that FORGE:owner/name has for them.
func remotes(git *plaingit.Forge, hub *github.App, tokens *credential.Tokens, labs ...*gitlab.Forge) map[string]gitops.Forge {
	all := map[string]gitops.Forge{plaingit.Instance: gitRemotes{git, tokens}, github.Instance: githubRemotes{hub}}
	for _, lab := range labs {
		all[lab.Instance()] = gitlabRemotes{lab}
	}
	return all
}

// gitRemotes is our own git remote.
type gitRemotes struct {
	*plaingit.Forge
	tokens *credential.Tokens
}

// remoteToken is how long one update of a manifest may take.
const remoteToken = 5 * time.Minute

// Remote mints a token for the one repository.
func (g gitRemotes) Remote(ctx context.Context, repo builder.Repository) (gitops.Remote, error) {
	url, options, err := g.Writable(ctx, repo)
	if err != nil {
		return gitops.Remote{}, err
	}
	grant := credential.Grant{Repositories: []string{repo.ID}, Scopes: []credential.Scope{credential.GitRead, credential.GitWrite}}
	token, revoke := g.tokens.Mint("registry-build", []credential.Grant{grant}, remoteToken)
	login := base64.StdEncoding.EncodeToString([]byte("registry-build:" + token))
	return gitops.Remote{URL: url, Header: "Authorization: Basic " + login, PushOptions: options, Done: revoke}, nil
}

// githubRemotes is GitHub, as far as the app is installed.
type githubRemotes struct{ *github.App }

var _ gitops.Puller = githubRemotes{}

func (g githubRemotes) Remote(ctx context.Context, repo builder.Repository) (gitops.Remote, error) {
	origin, err := g.Writable(ctx, repo)
	if err != nil {
		return gitops.Remote{}, err
	}
	return gitops.Remote{URL: origin.URL, Header: origin.Header, CommitURL: strings.TrimSuffix(origin.URL, ".git") + "/commit/"}, nil
}

func (g githubRemotes) OpenPull(ctx context.Context, repo builder.Repository, p gitops.PullRequest) (string, error) {
	return g.App.OpenPull(ctx, repo, p.Head, p.Base, p.Title, p.Body)
}

// gitlabRemotes is one GitLab server, as far as its token reaches.
type gitlabRemotes struct{ *gitlab.Forge }

var _ gitops.Puller = gitlabRemotes{}

func (g gitlabRemotes) Remote(ctx context.Context, repo builder.Repository) (gitops.Remote, error) {
	origin, err := g.Writable(ctx, repo)
	if err != nil {
		return gitops.Remote{}, err
	}
	return gitops.Remote{URL: origin.URL, Header: origin.Header, CA: origin.CA, Proxy: origin.Proxy,
		CommitURL: strings.TrimSuffix(origin.URL, ".git") + "/-/commit/"}, nil
}

func (g gitlabRemotes) OpenPull(ctx context.Context, repo builder.Repository, p gitops.PullRequest) (string, error) {
	return g.Forge.OpenPull(ctx, repo, p.Head, p.Base, p.Title, p.Body)
}
