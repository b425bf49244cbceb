package app

import (
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/gitops"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// A gitops trigger writes to a project in a nested group, at the server whose
// name it gives, with that server's token: as a commit and as a merge request
// that is kept up to date. A project of the same name elsewhere stays as it is.
func TestRemotesOfGitLab(t *testing.T) {
	const name = "acme/platform/deploy"
	var labs []*gitlab.Forge
	projects := map[string]*gitlabtest.Project{}
	for _, instance := range []string{"gitlab", "10-0-0-1"} {
		s := gitlabtest.New(t)
		p, err := s.AddProject(name, gitlabtest.ProjectOptions{Files: map[string]string{"a.yaml": "image: old:1\n"}})
		if err != nil {
			t.Fatal(err)
		}
		token := p.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Maintainer}).Value
		lab, err := gitlab.New(gitlab.Options{Config: config.GitLab{Name: instance, URL: s.URL, Token: token, GitOps: true}})
		if err != nil {
			t.Fatal(err)
		}
		labs, projects[instance] = append(labs, lab), p
	}
	tokens, err := credential.NewTokens(nil)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := gitops.New(gitops.Options{
		Dir: t.TempDir(), Forges: remotes(nil, nil, tokens, labs...),
		Policy: []config.Policy{{Repositories: []string{"acme/platform/*"}, Manifests: []string{"10-0-0-1:acme/platform/*"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	fire := func(n, repository string, pull bool) (trigger.Answer, error) {
		return kind.Fire(t.Context(), trigger.Firing{
			Trigger: config.Trigger{Name: "prod", GitOps: &config.GitOps{Repository: repository, File: "a.yaml", Path: "image", PullRequest: pull}},
			Tags:    []string{"v" + n},
			Record: builder.Record{
				Build: builder.Build{ID: n, Repository: builder.Repository{Forge: "gitlab", ID: "1", Owner: "acme/platform", Name: "shop"},
					Names: []string{"acme/platform/shop"}, Destination: "registry.example.com/acme/platform/shop", Lane: builder.TrustedLane},
				Result: builder.Result{Digest: "sha256:" + strings.Repeat(n, 64)},
			},
		})
	}
	there, here := projects["10-0-0-1"], projects["gitlab"]
	before := here.Head("main")
	if a, err := fire("1", "10-0-0-1:"+name, false); err != nil || a.URL != strings.TrimSuffix(there.CloneURL(), ".git")+"/-/commit/"+there.Head("main") {
		t.Errorf("commit at %q: %v", a.URL, err)
	}
	for _, n := range []string{"2", "3"} {
		if a, err := fire(n, "10-0-0-1:"+name, true); err != nil || a.URL != strings.TrimSuffix(there.CloneURL(), ".git")+"/-/merge_requests/1" {
			t.Errorf("merge request at %q: %v", a.URL, err)
		}
	}
	if _, err := fire("4", name, false); err == nil || !strings.Contains(err.Error(), "may not write to gitlab:"+name) {
		t.Errorf("the other server's project: %v", err)
	}
	if here.Head("main") != before {
		t.Error("the other server's project was written to")
	}
}
