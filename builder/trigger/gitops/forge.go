package gitops

import (
	"context"

	"github.com/registry-build/registry-build/builder"
)

// Forge lends us the right to write to its repositories. Its methods may be
// called concurrently.
type Forge interface {
	// Find returns the repository that has the name now. builder.ErrNotFound
	// where there is none, or we are not let in.
	Find(ctx context.Context, fullName string) (builder.Repository, error)
	// Remote returns where the repository is fetched from and pushed to, with
	// a fresh right to do so. builder.ErrNotFound, or builder.ErrDenied where
	// we may not write, wrapped in a sentence that says what to do.
	Remote(ctx context.Context, repo builder.Repository) (Remote, error)
}

// Puller is a Forge that has pull requests.
type Puller interface {
	// OpenPull makes the one open pull request from p.Head into p.Base say
	// what p says, and returns its address.
	OpenPull(ctx context.Context, repo builder.Repository, p PullRequest) (url string, err error)
}

// PullRequest is what a pull request is to say. Head and Base are branches of
// the same repository.
type PullRequest struct{ Head, Base, Title, Body string }

// Remote is one repository as git speaks to it.
type Remote struct {
	URL string // https, or http where the forge itself is reached so
	// Header is a whole HTTP header line that opens it. It reaches git through
	// the environment, and is not sent on to where a server redirects.
	Header string
	// CA is a PEM file of the certificate authorities that the server is
	// trusted by, Proxy the address of the proxy that leads there; "" leaves
	// both to the system.
	CA, Proxy string
	// CommitURL is what the address of a commit begins with; "" has none.
	CommitURL   string
	PushOptions []string
	Done        func() // gives the right back; nil: there is nothing to give back
}
