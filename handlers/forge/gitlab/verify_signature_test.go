package gitlab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/handlers/forge"
)

func signingToken(letter string) string {
	return signingPrefix + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, signingKey)))
}

// signedHeader is what GitLab sends of a webhook with a signing token.
func signedHeader(t *testing.T, token, id string, at time.Time, body string) http.Header {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(token, signingPrefix))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	h := http.Header{}
	h.Set("Idempotency-Key", id)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return h
}

func TestVerifySignature(t *testing.T) {
	mine, other := signingToken("a"), signingToken("b")
	now := time.Now()
	for _, tt := range []struct {
		name    string
		secrets []string
		change  func(http.Header)
		at      time.Time
		body    string
		want    string // "": it is genuine
	}{
		{name: "signed", secrets: []string{mine}},
		{name: "beside plain secrets and an older token", secrets: []string{"plain", other, mine}},
		{name: "one signature of several", secrets: []string{mine}, change: func(h http.Header) {
			h.Set("webhook-signature", "v1a,xx v1,AAAA "+h.Get("webhook-signature"))
		}},
		{name: "with another token", secrets: []string{other}, want: "no X-Gitlab-Token"},
		{name: "nobody knows signing tokens", secrets: []string{"plain"}, want: "no X-Gitlab-Token"},
		{name: "another body", secrets: []string{mine}, body: "{}x", want: "no X-Gitlab-Token"},
		{name: "another id", secrets: []string{mine}, change: func(h http.Header) { h.Set("webhook-id", "2") }, want: "no X-Gitlab-Token"},
		{name: "another time", secrets: []string{mine}, change: func(h http.Header) { h.Set("webhook-timestamp", "1") }, want: "no X-Gitlab-Token"},
		{name: "no signature", secrets: []string{mine}, change: func(h http.Header) { h.Del("webhook-signature") }, want: "no X-Gitlab-Token"},
		{name: "an unknown version", secrets: []string{mine}, change: func(h http.Header) {
			h.Set("webhook-signature", "v2,"+strings.TrimPrefix(h.Get("webhook-signature"), "v1,"))
		}, want: "no X-Gitlab-Token"},
		{name: "sent again as another", secrets: []string{mine}, change: func(h http.Header) { h.Set("Idempotency-Key", "2") }, want: "Idempotency-Key"},
		{name: "overheard long ago", secrets: []string{mine}, at: now.Add(-signedWithin - 2*time.Second), want: "not within 5m0s"},
		{name: "signed in the future", secrets: []string{mine}, at: now.Add(signedWithin + 2*time.Second), want: "not within 5m0s"},
		{name: "the token as it is", secrets: []string{mine}, change: func(h http.Header) {
			h.Del("webhook-signature")
			h.Set("X-Gitlab-Token", mine)
		}, want: "signature"},
		{name: "no token, but such a word", secrets: []string{"whsec_short"}, change: func(h http.Header) {
			h.Set("X-Gitlab-Token", "whsec_short")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newIntake(t, fixedSecrets{}, tt.secrets)
			if tt.at.IsZero() {
				tt.at = now
			}
			h := signedHeader(t, mine, "1", tt.at, "{}")
			if tt.change != nil {
				tt.change(h)
			}
			if tt.body == "" {
				tt.body = "{}"
			}
			err := f.Verify(h, []byte(tt.body))
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, forge.ErrSignature) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v; want %q", err, tt.want)
			}
		})
	}
}
