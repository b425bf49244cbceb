package builder

import "context"

// Login is a right at one registry, minted for one attempt where the
// registry is ours.
type Login struct {
	Host     string
	Username string
	Password string
}

// BaseLogin is the right to pull some repositories of one registry.
type BaseLogin struct {
	Login
	Repositories []string // paths without host, whole names
}

// Registry reads and tags images by name. Errors that the pusher can mend
// are a *Failure; ErrNotFound where something is not there.
type Registry interface {
	// Resolve returns the digest that a reference names now.
	Resolve(ctx context.Context, reference string, login Login) (digest string, err error)
	// Put puts tags on a digest of the same repository: in parallel, once
	// each, only forward, all or (on error) none.
	Put(ctx context.Context, r TagRequest) ([]TagOutcome, error)
}

// TagRequest asks for tags on a digest that the repository has already.
type TagRequest struct {
	Repository string // with host
	Digest     string
	Tags       []string
	Quiet      []string // those of Tags that set no trigger off
	Login      Login
	Owner      string   // who asks: build and attempt
	Position   Position // where the build stands, for "latest means latest"
	// Descends is Source.Descends of the build's repository.
	Descends func(ctx context.Context, ancestor, commit string) (bool, error)
	// Fence returns ErrLeaseLost when the caller may no longer write.
	Fence func(ctx context.Context) error
}

// Untagger takes tags away. The digests stay: another tag may name them.
type Untagger interface {
	// Untag removes those of the tags that still stand where the owner's ref
	// put them. It never deletes a digest.
	Untag(ctx context.Context, r UntagRequest) ([]UntagOutcome, error)
}

// UntagRequest asks for tags to go.
type UntagRequest struct {
	Repository string // with host
	Tags       []string
	Login      Login
	Source     string // Repository.Key of the source repository that put them
	Ref        string // … and the ref: a tag that another ref has taken since stays
}

// UntagOutcome is what became of one tag.
type UntagOutcome struct {
	Tag     string `json:"tag"`
	Removed bool   `json:"removed"`          // also when it was gone already
	Reason  string `json:"reason,omitempty"` // why it stays, for a person
}

// FullDestination adds the embedded registry's host to a name that has none.
// Such names are kept without host, so that a registry can move.
func FullDestination(host, destination string) string {
	if hasHost(destination) {
		return destination
	}
	return host + "/" + destination
}
