package buildkit

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// retryPolicy bounds how often a refused push is tried. A try after the first
// finds every step cached and every layer that went through already there.
type retryPolicy struct {
	tries uint
	limit time.Duration // over all tries
	first time.Duration // wait before the second try
}

// BuildKit's own retries are of no help: 429 five times within a millisecond,
// 5xx within some seconds.
var defaultRetry = retryPolicy{tries: 5, limit: time.Minute, first: time.Second}

// refusal is a push that the registry did not take.
type refusal struct {
	status int    // HTTP; 0 when there was no answer or BuildKit did not tell
	text   string // BuildKit's
}

var (
	pushFailed = regexp.MustCompile(`failed to push \S+: |` + tokenFailed + `: `)
	httpStatus = regexp.MustCompile(`unexpected status from \w+ request to \S+: (\d{3})\b`)
	// ociCode is how BuildKit begins what it makes of a registry's JSON error;
	// codes that it does not know are "unknown".
	ociCode = regexp.MustCompile(`^(?:errors:\s+)?(unauthorized|denied|unavailable|toomanyrequests): `)
)

// pushRefused recognises a failed push. Registry errors arrive as text, and
// with a JSON body without the status, which then is in the step's output only
// (and there only where BuildKit tried again).
func pushRefused(err error, p *progress) (refusal, bool) {
	text := err.Error()
	at := pushFailed.FindStringIndex(text)
	if at == nil {
		return refusal{}, false
	}
	r := refusal{text: text[at[1]:]}
	if m := httpStatus.FindStringSubmatch(r.text); m != nil {
		r.status, _ = strconv.Atoi(m[1])
		return r, true
	}
	if m := ociCode.FindStringSubmatch(r.text); m != nil {
		r.status = map[string]int{
			"unauthorized":    http.StatusUnauthorized,
			"denied":          http.StatusForbidden,
			"unavailable":     http.StatusServiceUnavailable,
			"toomanyrequests": http.StatusTooManyRequests,
		}[m[1]]
		return r, true
	}
	for _, m := range httpStatus.FindAllStringSubmatch(p.failedStep("").output(), -1) {
		r.status, _ = strconv.Atoi(m[1])
	}
	return r, true
}

// temporary reports whether the same push may work later.
func (r refusal) temporary() bool {
	switch {
	case r.status == http.StatusTooManyRequests, r.status == http.StatusRequestTimeout, r.status >= 500:
		return true
	case r.status != 0:
		return false
	}
	for _, sign := range []string{"connection refused", "connection reset", "broken pipe", "EOF", "timeout", "deadline exceeded", "no route to host"} {
		if strings.Contains(r.text, sign) {
			return true
		}
	}
	return false
}

// denied reports whether the login is the reason.
func (r refusal) denied() bool {
	if r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
		return true
	}
	for _, sign := range []string{"insufficient_scope", "failed to find supported auth scheme", "push access denied", "failed to authorize"} {
		if strings.Contains(r.text, sign) {
			return true
		}
	}
	return false
}

// short says what the registry answered.
func (r refusal) short() string {
	if r.status != 0 {
		return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)))
	}
	return clean(r.text)
}

func (r refusal) sentence(destination string) string {
	switch {
	case r.denied():
		return fmt.Sprintf("the registry refused the push to %s: the login may not write there", destination)
	case r.status == 0 && r.temporary():
		return fmt.Sprintf("the registry of %s cannot be reached (%s); build again when it is back", destination, r.short())
	case r.status == http.StatusTooManyRequests:
		return fmt.Sprintf("the registry refused the push to %s (%s): it is asked too often; build again later", destination, r.short())
	case r.temporary():
		return fmt.Sprintf("the registry refused the push to %s (%s) and did not recover in time; build again later", destination, r.short())
	case r.status == http.StatusRequestEntityTooLarge:
		return fmt.Sprintf("the registry refused the push to %s (%s): a layer is larger than it takes", destination, r.short())
	}
	return fmt.Sprintf("the registry refused the push to %s: %s", destination, r.short())
}
