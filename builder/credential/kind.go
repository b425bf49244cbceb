package credential

import (
	"fmt"
	"log/slog"
	"strings"
)

// Kind says what a credential is for, and so what may use it.
type Kind string

const (
	KindToken         Kind = "token"          // an opaque value, for a service that asks for one
	KindSigningSecret Kind = "signing-secret" // the HMAC key of a webhook
)

// kinds is the one place that knows them all; a new kind is a row here.
var kinds = [...]struct {
	kind    Kind
	minimum int // bytes
	why     string
}{
	// Shorter values stand in ordinary words, and hiding them would make logs
	// unreadable.
	{KindToken, 8, "a shorter one cannot be hidden in logs"},
	// 16 bytes are the least that a guess by brute force cannot reach.
	{KindSigningSecret, 16, "a shorter one can be guessed; make one with: openssl rand -hex 32"},
}

// Kinds lists every kind, in the order in which they are documented.
func Kinds() []Kind {
	out := make([]Kind, len(kinds))
	for i, k := range kinds {
		out[i] = k.kind
	}
	return out
}

// Credential is a kind and its value. Printing, logging or marshalling one
// shows the kind only.
type Credential struct {
	Kind  Kind
	Value string
}

// check returns one sentence for the person who sets the credential.
func (c Credential) check() error {
	for _, k := range kinds {
		if k.kind != c.Kind {
			continue
		}
		switch {
		case c.Value == "":
			return fmt.Errorf("the value is empty")
		case len(c.Value) > MaxValue:
			return errTooLong
		case len(c.Value) < k.minimum:
			return fmt.Errorf("the value has %d bytes, a %s needs at least %d: %s", len(c.Value), c.Kind, k.minimum, k.why)
		}
		return nil
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k.kind)
	}
	return fmt.Errorf("kind %q is unknown; write one of: %s", c.Kind, strings.Join(names, ", "))
}

// Format covers every verb of fmt, so that no %+v ever shows the value.
func (c Credential) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s (hidden)", string(c.Kind)) }

// LogValue implements slog.LogValuer.
func (c Credential) LogValue() slog.Value { return slog.StringValue(string(c.Kind) + " (hidden)") }

// MarshalText keeps the value out of JSON and the like.
func (c Credential) MarshalText() ([]byte, error) { return []byte(string(c.Kind) + " (hidden)"), nil }
