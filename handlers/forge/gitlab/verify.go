package gitlab

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"

	"github.com/registry-build/registry-build/handlers/forge"
)

// Headers of a delivery.
// https://docs.gitlab.com/user/project/integrations/webhooks/#delivery-headers
const (
	headerToken       = "X-Gitlab-Token"
	headerEvent       = "X-Gitlab-Event"
	headerEventUUID   = "X-Gitlab-Event-Uuid"
	headerIdempotency = "Idempotency-Key"
)

// Verify implements forge.Verifier: the webhook's token is one of those that
// the operator wrote down, or was made by us. GitLab sends it as it is and
// signs nothing, so the body is as trustworthy as whoever knows the token. Of
// a webhook with a signing token (verifySignature) the signature is enough.
// That the delivery comes from Config.URL is not asked: a server behind a
// proxy may call itself otherwise.
func (f *Forge) Verify(header http.Header, body []byte) error {
	if signed, err := f.verifySignature(header, body); signed || err != nil {
		return err
	}
	token := header.Get(headerToken)
	if token == "" {
		return fmt.Errorf("no X-Gitlab-Token header; give the webhook a secret token: %w", forge.ErrSignature)
	}
	known := oneOf(token, f.plainSecrets())
	if s, ok := scopeOf(token); ok {
		secrets, err := f.Secrets.Secrets(context.Background())
		if err != nil && !known {
			return fmt.Errorf("secrets of webhooks of GitLab %s: %w", f.Config.Name, err)
		}
		ours := make([]string, 0, len(secrets))
		for _, secret := range secrets {
			if secret != "" { // everybody knows that one
				ours = append(ours, hookToken(secret, f.Config.Name, s))
			}
		}
		known = oneOf(token, ours) || known
	}
	if !known {
		return forge.ErrSignature
	}
	return nil
}

// plainSecrets are those that come as they are: a signing token never does.
func (f *Forge) plainSecrets() []string {
	return slices.DeleteFunc(slices.Clone(f.Config.Secrets), func(secret string) bool {
		_, signs := signingKeyOf(secret)
		return signs
	})
}

// oneOf reports whether the token is one of those, in a time that tells
// nothing of any of them: not how much of one is right, nor which, nor how
// long they are.
func oneOf(token string, those []string) bool {
	sum := sha256.Sum256([]byte(token))
	found := 0
	for _, one := range those {
		other := sha256.Sum256([]byte(one))
		found |= subtle.ConstantTimeCompare(sum[:], other[:])
	}
	return found == 1
}
