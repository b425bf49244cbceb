package plaingit

import (
	"context"
	"iter"
	"net/http"

	"github.com/registry-build/registry-build/builder"
)

// Store is what the git remote needs kept.
type Store interface {
	Inbox
	Builds
}

// Inbox records what pushes meant to do and what they did. An error that wraps
// builder.ErrUnavailable is told to the pusher as Redis being down.
type Inbox interface {
	// Intend keeps events that are about to happen, durably, all or none.
	Intend(ctx context.Context, events []builder.Event) error
	// Intents returns what was intended for the repository and not dropped.
	Intents(ctx context.Context, repository string) ([]builder.Event, error)
	DropIntents(ctx context.Context, repository string, ids ...string) error
	// Append accepts an event; again with the same ID it does nothing.
	Append(ctx context.Context, e builder.Event) (builder.Receipt, error)
	// AcceptedHeads returns the commit of the last accepted event of each ref
	// of the repository. Deleted refs are absent.
	AcceptedHeads(ctx context.Context, repository string) (map[string]string, error)
}

// Builds is what a pusher is shown.
type Builds interface {
	// AwaitDecision blocks until the event was decided.
	AwaitDecision(ctx context.Context, event string) (builder.Decision, error)
	Build(ctx context.Context, id string) (builder.Record, error)
	// ReadLog yields the build's log after a chunk's ID. With follow it ends
	// when the build is in a terminal state and all was read.
	ReadLog(ctx context.Context, id, after string, follow bool) iter.Seq2[builder.LogChunk, error]
}

// Access says who may read or write a repository (owner/name). The request
// carries Basic authentication with the token as password. The error wraps
// forge.ErrUnauthenticated or forge.ErrForbidden, and its text is shown to
// the person; any other error is ours.
type Access interface {
	Allow(r *http.Request, repository string, write bool) (actor string, err error)
}
