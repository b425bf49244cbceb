package registry

import (
	"context"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// How often a held lease is extended, and how many times longer a ledger has
// to keep it: two lost calls do not end it.
const (
	renewEvery = 5 * time.Second
	leaseTimes = 3
)

// Ledger keeps what a registry cannot: who may write an image repository's
// tags now, and where in the order of pushes each tag stands. The store
// implements it. Repositories are named with host, in the one spelling that
// go-containerregistry gives them (docker.io is index.docker.io there).
// All methods may be called concurrently.
//
// The lease is a lease and no lock: it runs out on its own (at least 15 s
// after Lock or the last Extend), so a killed worker holds nobody up for
// long. The token fences: what arrives with the token of a former holder
// changes nothing.
type Ledger interface {
	// Lock waits until nobody holds the repository, or the holder's time has
	// run out, and leases it to the owner (a build and its attempt, for
	// people who ask who holds it). No two calls return the same token. It
	// returns ctx's error when ctx ends.
	Lock(ctx context.Context, repository, owner string) (token string, err error)
	// Extend starts the lease's time again. builder.ErrLeaseLost when the
	// token is not the holder's.
	Extend(ctx context.Context, repository, token string) error
	// Unlock ends the lease. A token that is not the holder's any more is no
	// error: there is nothing to give back.
	Unlock(ctx context.Context, repository, token string) error
	// Positions returns where the tags stand, without what they name; a tag
	// that was never set is absent.
	Positions(ctx context.Context, repository string, tags []string) (map[string]builder.Position, error)
	// SetPositions records where tags stand from now on, and what they name
	// there, all or none; the zero Position forgets a tag, one that has nothing
	// but a digest says that the tag stands nowhere and names it. builder.ErrLeaseLost, and nothing is
	// changed, when the token is not the holder's.
	SetPositions(ctx context.Context, repository, token string, positions map[string]builder.Position) error
}

// unguarded is the ledger of a client that has none: tags move as they are
// asked to.
type unguarded struct{}

func (unguarded) Lock(context.Context, string, string) (string, error) { return "", nil }
func (unguarded) Extend(context.Context, string, string) error         { return nil }
func (unguarded) Unlock(context.Context, string, string) error         { return nil }

func (unguarded) Positions(context.Context, string, []string) (map[string]builder.Position, error) {
	return nil, nil
}

func (unguarded) SetPositions(context.Context, string, string, map[string]builder.Position) error {
	return nil
}
