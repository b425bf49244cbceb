package gitlab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers/forge"
)

// Headers of a delivery of a webhook that has a signing token, as Standard
// Webhooks has them. Newer servers can do so, by a button in the webhook's form.
// https://www.standardwebhooks.com and
// https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944
const (
	headerSignedID  = "Webhook-Id" // the Idempotency-Key
	headerSignedAt  = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const (
	signingPrefix = "whsec_"        // of a signing token; base64 of the key follows
	signingKey    = 32              // bytes
	signedWithin  = 5 * time.Minute // of now, so that what was overheard is soon worth nothing
)

// signingKeyOf reads a signing token, false where the secret is a plain one.
func signingKeyOf(secret string) (key []byte, ok bool) {
	text, ok := strings.CutPrefix(secret, signingPrefix)
	if !ok {
		return nil, false
	}
	key, err := base64.StdEncoding.DecodeString(text)
	return key, err == nil && len(key) == signingKey
}

// verifySignature reports whether one of the signing tokens signed the
// delivery. An error says what is wrong with one that is signed, and is told
// only to whoever has a signing token here.
func (f *Forge) verifySignature(header http.Header, body []byte) (signed bool, err error) {
	signatures := strings.Fields(header.Get(headerSignature))
	var keys [][]byte
	for _, secret := range f.Config.Secrets {
		if key, ok := signingKeyOf(secret); ok {
			keys = append(keys, key)
		}
	}
	if len(signatures) == 0 || len(keys) == 0 {
		return false, nil
	}
	id, stamp := header.Get(headerSignedID), header.Get(headerSignedAt)
	found := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", id, stamp)
		mac.Write(body)
		sum := mac.Sum(nil)
		for _, signature := range signatures {
			text, isV1 := strings.CutPrefix(signature, "v1,")
			got, err := base64.StdEncoding.DecodeString(text)
			found = isV1 && err == nil && hmac.Equal(got, sum) || found
		}
	}
	if !found {
		return false, nil
	}
	if key := header.Get(headerIdempotency); key != "" && key != id {
		return false, fmt.Errorf("the Idempotency-Key is not the webhook-id that was signed: %w", forge.ErrSignature)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if off := f.Now().Sub(time.Unix(seconds, 0)); err != nil || off.Abs() > signedWithin {
		return false, fmt.Errorf("signed at %.20q, which is not within %s of this machine's clock: %w", stamp, signedWithin, forge.ErrSignature)
	}
	return true, nil
}
