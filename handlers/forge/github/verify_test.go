package github_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/github"
)

const (
	hookApp    = 4711
	hookSecret = "It's a Secret to Everybody"
)

// fixedIdentity is an app that nobody changes.
type fixedIdentity struct {
	identity github.Identity
	err      error
}

func (f fixedIdentity) Identity(context.Context) (github.Identity, error) { return f.identity, f.err }

// intake returns an app that is only told of deliveries.
func newIntake(bots ...string) *github.App {
	return github.New(github.Options{
		Identities: fixedIdentity{identity: github.Identity{ID: hookApp, Slug: "registry-build", Secrets: []string{hookSecret}}},
		Config:     config.GitHub{Bots: bots},
	})
}

// signedHeader is the header of a delivery as GitHub sends it.
func hookHeader(event, delivery string, body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("X-GitHub-Event", event)
	h.Set("X-GitHub-Delivery", delivery)
	h.Set("X-GitHub-Hook-Installation-Target-Type", "integration")
	h.Set("X-GitHub-Hook-Installation-Target-ID", "4711")
	h.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return h
}

func TestVerify(t *testing.T) {
	// GitHub's own example.
	const good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	one := github.Identity{ID: hookApp, Secrets: []string{hookSecret}}
	broken := errors.New("disk on fire")
	for _, tt := range []struct {
		name      string
		identity  fixedIdentity
		signature string
		target    string // type and id
		want      string // "": it is genuine
	}{
		{"genuine", fixedIdentity{identity: one}, good, "integration 4711", ""},
		{"genuine, of a server that names no target", fixedIdentity{identity: one}, good, "", ""},
		{"the older of two secrets", fixedIdentity{identity: github.Identity{ID: hookApp, Secrets: []string{"new", hookSecret}}}, good, "", ""},
		{"the newer of two secrets", fixedIdentity{identity: github.Identity{ID: hookApp, Secrets: []string{hookSecret, "old"}}}, good, "", ""},
		{"another secret", fixedIdentity{identity: github.Identity{ID: hookApp, Secrets: []string{"another"}}}, good, "", "signature does not match"},
		{"no secret", fixedIdentity{identity: github.Identity{ID: hookApp}}, good, "", "signature does not match"},
		{"signed with nothing", fixedIdentity{identity: github.Identity{ID: hookApp, Secrets: []string{""}}},
			"sha256=" + hookMAC("", "Hello, World!"), "", "signature does not match"},
		{"no header", fixedIdentity{identity: one}, "", "", "no X-Hub-Signature-256 header: signature does not match"},
		{"no prefix", fixedIdentity{identity: one}, good[7:], "", "the X-Hub-Signature-256 header is not sha256= and 64 hexadecimal digits: signature does not match"},
		{"cut short", fixedIdentity{identity: one}, good[:len(good)-2], "", "the X-Hub-Signature-256 header is not sha256= and 64 hexadecimal digits: signature does not match"},
		{"no digits", fixedIdentity{identity: one}, "sha256=" + strings.Repeat("x", 64), "", "the X-Hub-Signature-256 header is not sha256= and 64 hexadecimal digits: signature does not match"},
		{"SHA-1", fixedIdentity{identity: one}, "sha1=0123456789abcdef0123456789abcdef01234567", "", "the X-Hub-Signature-256 header is not sha256= and 64 hexadecimal digits: signature does not match"},
		{"no app yet", fixedIdentity{err: builder.ErrNotFound}, good, "", "no GitHub App is set up yet: signature does not match"},
		{"another app with the same secret", fixedIdentity{identity: one}, good, "integration 4712", "the delivery is for another app: signature does not match"},
		{"a repository's webhook with the same secret", fixedIdentity{identity: one}, good, "repository 4711", "the delivery is of a webhook that is no app's: signature does not match"},
		{"our failure", fixedIdentity{err: broken}, good, "", "identity of the GitHub App: disk on fire"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := github.New(github.Options{Identities: tt.identity})
			h := http.Header{}
			if tt.signature != "" {
				h.Set("X-Hub-Signature-256", tt.signature)
			}
			if kind, id, ok := strings.Cut(tt.target, " "); ok {
				h.Set("X-GitHub-Hook-Installation-Target-Type", kind)
				h.Set("X-GitHub-Hook-Installation-Target-ID", id)
			}
			err := a.Verify(h, []byte("Hello, World!"))
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

func hookMAC(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}
