package builder

import (
	"strings"
	"testing"

	"github.com/registry-build/registry-build/config"
)

// What binds to a repository binds to the forge's id of it, whatever it is
// called now.
func TestHome(t *testing.T) {
	policy := []config.Policy{
		{Repositories: []string{"acme/shop"}, Images: []string{"registry.example.com/acme/*"}},
		{Repositories: []string{"github:2"}, Images: []string{"registry.example.com/second/*"}},
	}
	renamed := Repository{Forge: "github", ID: "1", Owner: "acme", Name: "store", DefaultBranch: "main"}
	newcomer := Repository{Forge: "github", ID: "2", Owner: "acme", Name: "shop", DefaultBranch: "main"}
	for _, test := range []struct {
		name, file  string
		repo        Repository
		home        Home
		destination string
		refusal     string
	}{
		{"renamed: its images stay", "images: [{name: app}]", renamed, Home{Path: "acme/shop"}, "acme/shop", ""},
		{"renamed: the policy for its old name holds", "images: [{name: app, repository: registry.example.com/acme/x}]", renamed, Home{Path: "acme/shop"}, "registry.example.com/acme/x", ""},
		{"the policy for a name that it had between holds", "images: [{name: app, repository: registry.example.com/acme/x}]", renamed, Home{Path: "acme/first", Others: []string{"acme/shop", "acme/store"}}, "registry.example.com/acme/x", ""},
		{"a newcomer gets nothing", "images: [{name: app}]", newcomer, Home{Holder: "github:1"}, "", "acme/shop belongs to another repository (github:1), which had this name before; this one is github:2"},
		{"nor what the policy gives the old one", "images: [{name: app, repository: registry.example.com/acme/x}]", newcomer, Home{Holder: "github:1"}, "", "may not be pushed to registry.example.com/acme/x"},
		{"but what the policy gives its id", "images: [{name: app, repository: registry.example.com/second/x}]", newcomer, Home{Holder: "github:1"}, "registry.example.com/second/x", ""},
		{"the same name at another forge", "images: [{name: app}]", newcomer, Home{Path: "github/acme/shop", Holder: "git:acme/shop"}, "github/acme/shop", ""},
		{"and the policy for that name is not its", "images: [{name: app, repository: registry.example.com/acme/x}]", newcomer, Home{Path: "github/acme/shop", Holder: "git:acme/shop"}, "", "may not be pushed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, diags := config.ParseBuildFile(".registry-build.yml", []byte(test.file))
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			d := Plan(PlanInput{Event: Event{ID: "github:d", Kind: BranchPushed, Repository: test.repo, Ref: "refs/heads/main", Commit: strings.Repeat("a", 40)},
				File: f, Policy: policy, Home: test.home})
			if test.refusal != "" {
				if len(d.Builds) != 0 || len(d.Reasons) == 0 || !strings.Contains(d.Reasons[0].Message, test.refusal) {
					t.Errorf("builds %v, reasons %v; want %q", d.Builds, d.Reasons, test.refusal)
				}
				return
			}
			if len(d.Builds) != 1 || d.Builds[0].Destination != test.destination {
				t.Errorf("builds %v, reasons %v; want one to %s", d.Builds, d.Reasons, test.destination)
			}
		})
	}
}
