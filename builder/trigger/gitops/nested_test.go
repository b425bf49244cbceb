package gitops

import (
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// Groups may be several deep, and forges of one kind stand side by side: each
// has its own name, and policy tells them apart.
func TestNestedGroups(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	const name = "acme/platform/team/deploy"
	r.repository(name, map[string]string{"apps/deploy.yaml": manifests})
	fire := func(n int, policy, repository string, source builder.Repository) error {
		k := r.kind(func(o *Options) {
			o.Forges = map[string]Forge{"gitlab": r, "10-0-0-1-8443": r}
			o.Policy = []config.Policy{{Repositories: []string{"acme/shop"}, Manifests: []string{policy}}}
		})
		g := deploy("image")
		g.Repository = repository
		f := firing(n, g)
		f.Record.Repository = source
		_, err := k.Fire(t.Context(), f)
		return err
	}
	shop := builder.Repository{Forge: "gitlab", ID: "1", Owner: "acme/platform", Name: "shop"}
	self := builder.Repository{Forge: "10-0-0-1-8443", ID: "2", Owner: "acme/platform/team", Name: "deploy"}
	tests := []struct {
		name, policy, repository string
		source                   builder.Repository
		refused                  string
	}{
		{"the same server", "gitlab:acme/platform/*", name, shop, ""},
		{"by the server's name", "10-0-0-1-8443:acme/platform/team/*", "10-0-0-1-8443:" + name, shop, ""},
		{"itself", "gitlab:nothing/*", name, self, ""},
		{"another server's of the same name", "gitlab:acme/*", "10-0-0-1-8443:" + name, shop, "may not write to 10-0-0-1-8443:" + name},
		{"a neighbour of the group", "gitlab:acme/platform/team/*", "acme/platform/deploy", shop, "may not write to gitlab:acme/platform/deploy"},
	}
	for n, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			switch err := fire(n+1, tt.policy, tt.repository, tt.source); {
			case tt.refused == "" && err != nil:
				t.Error(err)
			case tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)):
				t.Errorf("error %v, want %q", err, tt.refused)
			}
		})
	}
	if got, want := r.file(name, "main", "apps/deploy.yaml"), "# ours\nimage: "+ref(3)+" # here"; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}
