package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Headers of a delivery.
const (
	EventHeader     = "Registry-Build-Event"
	DeliveryHeader  = "Registry-Build-Delivery"
	SignatureHeader = "Registry-Build-Signature"
)

// Sign returns the signature header's value: "t=" and the Unix time in
// seconds, and "v1=" and the hexadecimal HMAC-SHA256 over that time, a dot and
// the body. It is Stripe's scheme: the time inside the signature lets the
// receiver refuse what was recorded and sent again, and a later scheme, or a
// second secret while one is changed, is one more part after a comma.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return fmt.Sprintf("t=%s,v1=%s", t, hex.EncodeToString(mac.Sum(nil)))
}
