// Package forge is the door between a forge (a place that holds repositories
// and tells us of pushes) and the intake in handlers. It hides nothing but
// names what a forge may be able to do: each ability is an interface of its
// own, and a forge implements those that it really has. What every forge must
// do, reporting, is builder.Reporter; a forge that keeps the repositories
// itself also has an Origin.
package forge

import (
	"context"
	"errors"
	"net/http"

	"github.com/registry-build/registry-build/builder"
)

// MaxBody is the largest webhook body that the intake reads, in bytes: the
// cap that GitHub documents for its deliveries (25 MB), rounded up.
const MaxBody = 25 << 20

// What a Verifier may answer beside events. The intake turns them into a
// status; any other error is ours (500) and makes the forge deliver again
// where it can.
var (
	// ErrSignature: the delivery is not signed, or not by us (401). Wrap it
	// with what is missing, never with what was expected.
	ErrSignature = errors.New("signature does not match")
	// ErrIgnored: a genuine delivery of something that starts no build (202,
	// counted). Wrap it with what was ignored: "ping: not wanted".
	ErrIgnored = errors.New("not wanted")
	// ErrPayload: a genuine delivery that cannot be read (400).
	ErrPayload = errors.New("payload cannot be read")
)

// What a check of a person's token may answer, for forges that people reach
// directly. The text that wraps them is shown to the person.
var (
	// ErrUnauthenticated: no token, or not a known one (401).
	ErrUnauthenticated = errors.New("a token is needed")
	// ErrForbidden: the token is known and may not do this here (403).
	ErrForbidden = errors.New("the token does not allow this")
)

// Verifier is a forge that delivers webhooks. Both methods are pure: no
// network, no state, called concurrently, and they never panic whatever the
// body holds.
type Verifier interface {
	// Verify checks the delivery's signature over the raw body, before
	// anything is parsed. ErrSignature when it does not match.
	Verify(header http.Header, body []byte) error
	// Events reads a verified delivery: one event for each ref that it is
	// about, with an ID that a second delivery of the same thing repeats.
	// ErrIgnored for what nobody waits for, ErrPayload for what is broken.
	Events(header http.Header, body []byte) ([]builder.Event, error)
}

// Admitter is a Verifier whose proof may be good for several repositories, so
// that it has to be asked whether a delivery's is one of them.
type Admitter interface {
	// Admit is called with the events of a verified delivery, before any is
	// accepted. ErrSignature when they are not the sender's to tell;
	// builder.ErrUnavailable when that cannot be found out now. It remembers
	// answers: the forge waits.
	Admit(ctx context.Context, header http.Header, events []builder.Event) error
}

// Origin is a forge that holds repositories.
type Origin interface {
	// Origin returns where the repository can be read, with a fresh right to
	// do so where one is needed. builder.ErrNotFound when there is none, or
	// when we are not let in (any more).
	Origin(ctx context.Context, repo builder.Repository) (builder.Origin, error)
}

// Finding is one thing that was looked at. Mend is what to do, "" where all is
// well.
type Finding struct {
	What string
	Mend string
}
