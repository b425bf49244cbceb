package app

import (
	"net/http/httptest"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
)

// A token may name repositories whatever their forge, or those of one forge.
func TestTokensOfOneForge(t *testing.T) {
	var static []config.Token
	for name, glob := range map[string]string{"everywhere": "acme/*", "lab": "lab:acme/*", "letter": "g*", "owner": "*"} {
		static = append(static, config.Token{Name: name, Hash: credential.HashToken(name), Repositories: []string{glob}, Scopes: []string{config.ScopeAPI}})
	}
	tokens, err := credential.NewTokens(static)
	if err != nil {
		t.Fatal(err)
	}
	repo := func(forge, owner string) string {
		return builder.Repository{Forge: forge, ID: "1", Owner: owner, Name: "shop"}.Qualified()
	}
	for _, tt := range []struct {
		token, repository string
		want              bool
	}{
		{"everywhere", repo("lab", "acme"), true}, {"everywhere", repo("github", "acme"), true}, {"everywhere", repo("lab", "acme/platform"), true},
		{"everywhere", repo("lab", "evil"), false},
		{"letter", repo("gitlab", "evil"), false}, {"letter", repo("lab", "grace"), true},
		{"lab", repo("lab", "acme/platform"), true}, {"lab", repo("github", "acme"), false}, {"lab", repo("other", "acme"), false},
		{"owner", repo("lab", "acme"), true}, {"owner", nowhere, true}, {"everywhere", nowhere, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth("x", tt.token)
		if got := (apiAccess{access: access{tokens}}).Caller(r).MayUseAPI(tt.repository); got != tt.want {
			t.Errorf("%s reaches %s: %v, want %v", tt.token, tt.repository, got, tt.want)
		}
	}
}
