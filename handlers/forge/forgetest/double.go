package forgetest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// DoubleInstance is the Double's name in events.
const DoubleInstance = "double"

const (
	doubleEvent     = "X-Double-Event"     // push, or anything else
	doubleSignature = "X-Double-Signature" // sha256=<hex HMAC-SHA256 of the body>
)

// Double is a forge that only delivers webhooks: JSON, signed with a secret.
type Double struct{ Secret string }

var _ forge.Verifier = Double{}

// DoublePush is the body of its push: one ref that moved.
type DoublePush struct {
	Delivery   string `json:"delivery"`
	Repository string `json:"repository"` // owner/name
	Ref        string `json:"ref"`
	Before     string `json:"before,omitempty"`
	Commit     string `json:"commit,omitempty"`
	Actor      string `json:"actor,omitempty"`
}

// Push returns a signed delivery.
func (d Double) Push(p DoublePush) (http.Header, []byte) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // a struct of strings
	}
	return d.Sign("push", body), body
}

// Sign returns the headers of a delivery of any body.
func (d Double) Sign(event string, body []byte) http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set(doubleEvent, event)
	h.Set(doubleSignature, "sha256="+hex.EncodeToString(d.mac(body)))
	return h
}

func (d Double) mac(body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(d.Secret))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify is forge.Verifier's.
func (d Double) Verify(header http.Header, body []byte) error {
	signature, ok := strings.CutPrefix(header.Get(doubleSignature), "sha256=")
	if !ok {
		return fmt.Errorf("%s: %w", doubleSignature, forge.ErrSignature)
	}
	sum, err := hex.DecodeString(signature)
	if err != nil || !hmac.Equal(sum, d.mac(body)) {
		return forge.ErrSignature
	}
	return nil
}

var (
	doubleCommit = regexp.MustCompile(`^([0-9a-f]{40})?$`)
	doubleName   = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
)

// Events is forge.Verifier's.
func (d Double) Events(header http.Header, body []byte) ([]builder.Event, error) {
	if kind := header.Get(doubleEvent); kind != "push" {
		return nil, fmt.Errorf("%s: %w", kind, forge.ErrIgnored)
	}
	var p DoublePush
	decode := json.NewDecoder(bytes.NewReader(body))
	decode.DisallowUnknownFields()
	if err := decode.Decode(&p); err != nil {
		return nil, fmt.Errorf("%w: %w", forge.ErrPayload, err)
	}
	if p.Delivery == "" || !doubleName.MatchString(p.Repository) || p.Before == p.Commit ||
		!doubleCommit.MatchString(p.Before) || !doubleCommit.MatchString(p.Commit) || strings.Trim(p.Before+p.Commit, "0") == "" {
		return nil, fmt.Errorf("%w: no delivery, repository or commits", forge.ErrPayload)
	}
	kinds := map[bool]builder.EventKind{true: builder.BranchPushed, false: builder.BranchDeleted}
	switch {
	case strings.HasPrefix(p.Ref, "refs/heads/"):
	case strings.HasPrefix(p.Ref, "refs/tags/"):
		kinds = map[bool]builder.EventKind{true: builder.TagPushed, false: builder.TagDeleted}
	default:
		return nil, fmt.Errorf("%s: %w", p.Ref, forge.ErrIgnored)
	}
	owner, name, _ := strings.Cut(p.Repository, "/")
	return []builder.Event{{
		ID:         DoubleInstance + ":" + p.Delivery + ":" + p.Ref,
		Kind:       kinds[p.Commit != ""],
		Repository: builder.Repository{Forge: DoubleInstance, ID: p.Repository, Owner: owner, Name: name},
		Ref:        p.Ref, Before: p.Before, Commit: p.Commit, Actor: p.Actor,
	}}, nil
}
