package github

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Headers of a delivery.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
const (
	headerEvent      = "X-Github-Event"
	headerDelivery   = "X-Github-Delivery"
	headerSignature  = "X-Hub-Signature-256"
	headerTarget     = "X-Github-Hook-Installation-Target-Id"
	headerTargetType = "X-Github-Hook-Installation-Target-Type"
)

const (
	signaturePrefix = "sha256="
	targetApp       = "integration" // what GitHub calls an app there
)

// Verify implements forge.Verifier: the HMAC-SHA256 of the raw body under one
// of the app's secrets. A delivery that says that it is another app's, or of
// a webhook that is no app's, is refused also when it is signed: somebody gave
// two of them the same secret.
// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
func (a *App) Verify(header http.Header, body []byte) error {
	text := header.Get(headerSignature)
	if text == "" {
		return fmt.Errorf("no X-Hub-Signature-256 header: %w", forge.ErrSignature)
	}
	digits, ok := strings.CutPrefix(text, signaturePrefix)
	signature, err := hex.DecodeString(digits)
	if !ok || err != nil || len(signature) != sha256.Size {
		return fmt.Errorf("the X-Hub-Signature-256 header is not sha256= and 64 hexadecimal digits: %w", forge.ErrSignature)
	}
	identity, err := a.Identities.Identity(context.Background())
	switch {
	case errors.Is(err, builder.ErrNotFound):
		return fmt.Errorf("no GitHub App is set up yet: %w", forge.ErrSignature)
	case err != nil:
		return fmt.Errorf("identity of the GitHub App: %w", err)
	}
	if err := meant(header, identity.ID); err != nil {
		return err
	}
	if !signed(identity.Secrets, signature, body) {
		return forge.ErrSignature
	}
	return nil
}

// signed reports whether one of the secrets made the signature. How long it
// takes tells which of them, and nothing of any of them.
func signed(secrets []string, signature, body []byte) bool {
	for _, secret := range secrets {
		if secret == "" {
			continue // everybody knows that one
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if hmac.Equal(signature, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// meant looks at whose webhook the delivery says it is. Old servers do not say.
func meant(header http.Header, app int64) error {
	if kind := header.Get(headerTargetType); kind != "" && kind != targetApp {
		return fmt.Errorf("the delivery is of a webhook that is no app's: %w", forge.ErrSignature)
	}
	if id := header.Get(headerTarget); id != "" && id != strconv.FormatInt(app, 10) {
		return fmt.Errorf("the delivery is for another app: %w", forge.ErrSignature)
	}
	return nil
}
