package builder

import (
	"errors"
	"testing"

	"github.com/registry-build/registry-build/config"
)

func TestMayUse(t *testing.T) {
	names := []string{"github:42", "acme/old", "acme/shop"}
	const refused = "credential npm-token may not be used by acme/shop; the operator allows it in the server file with policy: [{repositories: [acme/shop], credentials: [npm-token]}]"
	allow := func(repository string, credentials ...string) []config.Policy {
		return []config.Policy{{Repositories: []string{repository}, Credentials: credentials}}
	}
	for _, tt := range []struct {
		name       string
		policy     []config.Policy
		names      []string
		credential string
		want       string // "": it may
	}{
		{"no policy", nil, names, "npm-token", refused},
		{"by its name", allow("acme/shop", "npm-token"), names, "npm-token", ""},
		{"by a name that it had", allow("acme/old", "npm-token"), names, "npm-token", ""},
		{"by its id", allow("github:42", "npm-token"), names, "npm-token", ""},
		{"by a glob", allow("acme/*", "*-token"), names, "npm-token", ""},
		{"by an expression", allow("/acme/(shop|web)/", "/npm-.*/"), names, "npm-token", ""},
		{"another repository's", allow("acme/web", "npm-token"), names, "npm-token", refused},
		{"another credential", allow("acme/shop", "npm"), names, "npm-token", refused},
		{"not by images", []config.Policy{{Repositories: []string{"*"}, Images: []string{"*"}}}, names, "npm-token", refused},
		{"the second entry", append(allow("acme/web", "npm-token"), allow("acme/shop", "npm-token")...), names, "npm-token", ""},
		{"halves of two entries", append(allow("acme/web", "npm-token"), allow("acme/shop", "other")...), names, "npm-token", refused},
		{"an id that YAML would read otherwise", nil, []string{"git:acme/shop"}, "a", `credential a may not be used by git:acme/shop; the operator allows it in the server file with policy: [{repositories: ["git:acme/shop"], credentials: [a]}]`},
		{"of no repository", allow("*", "*"), nil, "a", "credential a may not be used here: this belongs to no repository that a policy could name"},
		{"the app's key", allow("*", "*"), names, "github-app-key", "credential github-app-key is the GitHub App's own; no build and no trigger may use it"},
		{"the app", allow("*", "*"), names, "github-app", "credential github-app is the GitHub App's own; no build and no trigger may use it"},
		{"the secret of webhooks at GitLab", allow("*", "*"), names, "gitlab-webhook-gitlab", "credential gitlab-webhook-gitlab is that of our webhooks at GitLab; no build and no trigger may use it"},
		{"the secret that takes over", allow("*", "*"), names, "gitlab-webhook-gitlab-next", "credential gitlab-webhook-gitlab-next is that of our webhooks at GitLab; no build and no trigger may use it"},
		{"named like such a secret", allow("*", "*"), names, "gitlab-webhook", ""},
		{"named like the app's", allow("*", "*"), names, "github-apprentice", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := MayUse(tt.policy, tt.names, tt.credential)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != tt.want || !errors.Is(err, ErrDenied) {
				t.Errorf("error %v; want %s", err, tt.want)
			}
		})
	}
}

// What a refusal tells the operator to write is a policy that allows it.
func TestMayUseTellsWhatHelps(t *testing.T) {
	for _, name := range []string{"acme/shop", "github:42"} {
		server, problems := config.ParseServer("server.yml", []byte(`policy: [{repositories: [`+yamlFlow(name)+`], credentials: [npm-token]}]`))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if err := MayUse(server.Policy, []string{name}, "npm-token"); err != nil {
			t.Error(err)
		}
	}
}
