package builder

import (
	"context"
	"time"
)

// Watcher is a forge that can be asked for what its deliveries tell, where
// those got lost or cannot reach us. All methods may be called concurrently;
// ErrNotFound when the repository is gone or not open to us, a Later when a
// limit leaves no room.
type Watcher interface {
	// OpenPulls returns the pull requests that are open now.
	OpenPulls(ctx context.Context, repo Repository) ([]Pull, error)
	// Comments returns the events of comments that were written since then and
	// may be commands, oldest first, each with the ID that its delivery has.
	Comments(ctx context.Context, repo Repository, since time.Time) ([]Event, error)
}

// Looks remembers up to when a repository's comments were read. It is forgotten
// when we are shut out of the repository.
type Looks interface {
	// Looked returns the zero time where they never were.
	Looked(ctx context.Context, repoKey string) (time.Time, error)
	SetLooked(ctx context.Context, repoKey string, at time.Time) error
}
