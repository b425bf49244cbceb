package gitlab

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
)

const (
	hookInstance = "gitlab"
	hookSecret   = "It's a Secret to Everybody"
)

// fixedSecrets are of webhooks that nobody makes anew.
type fixedSecrets struct {
	secrets []string
	err     error
}

func (f fixedSecrets) Secrets(context.Context) ([]string, error) { return f.secrets, f.err }

// newIntake returns a server that is only told of deliveries.
func newIntake(t testing.TB, secrets fixedSecrets, byHand []string, bots ...string) *Forge {
	t.Helper()
	f, err := New(Options{
		Config:  config.GitLab{Name: hookInstance, URL: "https://gitlab.example.com", Token: "glpat-x", Secrets: byHand, Bots: bots},
		Secrets: secrets,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tokenHeader(token string) http.Header {
	h := http.Header{}
	if token != "" {
		h.Set("X-Gitlab-Token", token)
	}
	return h
}

func TestVerify(t *testing.T) {
	project, group := scope{Kind: scopeProject, ID: 12}, scope{Kind: scopeGroup, ID: 34}
	mine := hookToken("new", hookInstance, project)
	broken := errors.New("disk on fire")
	for _, tt := range []struct {
		name    string
		secrets fixedSecrets
		byHand  []string
		token   string
		want    string // "": it is genuine
	}{
		{name: "made by hand", byHand: []string{hookSecret}, token: hookSecret},
		{name: "the older of two made by hand", byHand: []string{"new", hookSecret}, token: hookSecret},
		{name: "the newer of two made by hand", byHand: []string{hookSecret, "old"}, token: hookSecret},
		{name: "made by hand, when ours cannot be read", byHand: []string{mine}, secrets: fixedSecrets{err: broken}, token: mine},
		{name: "made by hand, looking like one of ours", byHand: []string{"project-1.x"}, token: "project-1.x"},
		{name: "of a project", secrets: fixedSecrets{secrets: []string{"new"}}, token: mine},
		{name: "of a group", secrets: fixedSecrets{secrets: []string{"new"}}, token: hookToken("new", hookInstance, group)},
		{name: "of one that is tried", secrets: fixedSecrets{secrets: []string{"new"}}, token: hookToken("new", hookInstance, scope{Kind: scopeProject, ID: 12, Probe: true})},
		{name: "under the older of two secrets", secrets: fixedSecrets{secrets: []string{"newer", "new"}}, token: mine},
		{name: "under the newer of two secrets", secrets: fixedSecrets{secrets: []string{"new", "older"}}, token: mine},

		{name: "no token", byHand: []string{""}, want: "no X-Gitlab-Token header; give the webhook a secret token: signature does not match"},
		{name: "another token", byHand: []string{hookSecret}, token: hookSecret + "x", want: "signature does not match"},
		{name: "half a token", byHand: []string{hookSecret}, token: hookSecret[:5], want: "signature does not match"},
		{name: "nobody has made a webhook yet", token: mine, want: "signature does not match"},
		{name: "signed with nothing", secrets: fixedSecrets{secrets: []string{""}}, token: hookToken("", hookInstance, project), want: "signature does not match"},
		{name: "under another secret", secrets: fixedSecrets{secrets: []string{"other"}}, token: mine, want: "signature does not match"},
		{name: "the secret itself", secrets: fixedSecrets{secrets: []string{"new"}}, token: "new", want: "signature does not match"},
		{name: "of another server", secrets: fixedSecrets{secrets: []string{"new"}}, token: hookToken("new", "other", project), want: "signature does not match"},
		{name: "of another project", secrets: fixedSecrets{secrets: []string{"new"}}, token: "project-13" + mine[len("project-12"):], want: "signature does not match"},
		{name: "of a group with the project's number", secrets: fixedSecrets{secrets: []string{"new"}}, token: "group-12" + mine[len("project-12"):], want: "signature does not match"},
		{name: "of a probe, made from the real one", secrets: fixedSecrets{secrets: []string{"new"}}, token: "probe-" + mine, want: "signature does not match"},
		{name: "of a project that is written otherwise", secrets: fixedSecrets{secrets: []string{"new"}}, token: "project-012" + mine[len("project-12"):], want: "signature does not match"},
		{name: "cut short", secrets: fixedSecrets{secrets: []string{"new"}}, token: mine[:len(mine)-1], want: "signature does not match"},
		{name: "our failure", secrets: fixedSecrets{err: broken}, token: mine, want: "secrets of webhooks of GitLab gitlab: disk on fire"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := newIntake(t, tt.secrets, tt.byHand).Verify(tokenHeader(tt.token), []byte(`{}`))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if ours := errors.Is(err, broken); err != nil && errors.Is(err, forge.ErrSignature) == ours {
				t.Errorf("%v: ErrSignature %t", err, !ours)
			}
		})
	}
}

func TestScopeOf(t *testing.T) {
	for _, s := range []scope{{Kind: "project", ID: 12}, {Kind: "group", ID: 1}, {Kind: "group", ID: 34, Probe: true}} {
		if got, ok := scopeOf(hookToken("x", "gitlab.example.com", s)); !ok || got != s {
			t.Errorf("%v: %+v, %t", s, got, ok)
		}
	}
	for _, token := range []string{"", "project-12", "project-0.x", "project--1.x", "project-x.x", "user-12.x", "probe-probe-project-12.x", "project-99999999999999999999.x", hookSecret} {
		if got, ok := scopeOf(token); ok || !cmp.Equal(got, scope{}) {
			t.Errorf("%q: %+v, %t", token, got, ok)
		}
	}
}
