package gitlab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// Kinds of scope.
const (
	scopeProject = "project"
	scopeGroup   = "group"
)

// A scope is what a webhook that we made is for.
type scope struct {
	Kind  string // "project" or "group"
	ID    int    // of the project or group
	Probe bool   // only tried: what it delivers is taken and starts nothing
}

const probePrefix = "probe-"

// String is how tokens begin: project-12, probe-group-34.
func (s scope) String() string {
	text := s.Kind + "-" + strconv.Itoa(s.ID)
	if s.Probe {
		text = probePrefix + text
	}
	return text
}

// hookToken is the token of a webhook that we made: it says what the webhook
// is for, and is signed with our secret, so that nothing has to be kept of it
// and the token of one project's webhook is good for that project only, a
// group's for what is in the group: see Admit.
func hookToken(secret, instance string, s scope) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("registry-build GitLab webhook 1\n" + instance + "\n" + s.String()))
	return s.String() + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// scopeOf returns what a token says that its webhook is for; false for those
// that are not of our making. It does not look at the signature.
func scopeOf(token string) (scope, bool) {
	text, _, signed := strings.Cut(token, ".")
	var s scope
	text, s.Probe = strings.CutPrefix(text, probePrefix)
	kind, id, _ := strings.Cut(text, "-")
	n, err := strconv.Atoi(id)
	s.Kind, s.ID = kind, n
	ours := signed && err == nil && n > 0 && (kind == scopeProject || kind == scopeGroup)
	if !ours {
		return scope{}, false
	}
	return s, true
}
