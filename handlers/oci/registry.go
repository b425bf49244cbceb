// Package oci is the registry that comes with the product: distribution
// (github.com/distribution/distribution) as a library, on the file system,
// behind our own tokens. It hides how distribution is configured, what it
// does wrong as a library (it panics on bad configuration, logs every 404 as
// an error to a global logger, answers denials with 400) and where it keeps
// things.
//
// What it keeps to: manifests up to 4 MiB (distribution's limit, answered
// with an error of the registry's protocol); deleting a tag leaves the digest
// it named; nothing that was answered with 201 is lost by a crash (files are
// synced before they are renamed into place); an upload that a restart
// interrupted goes on, as long as the caller keeps the secret; a tag that was
// pushed is told of before the client hears that it is there (Options.Pushed),
// and a Journal keeps what was told while the store is away.
//
// What it does not do yet: collect garbage (abandoned uploads and untagged
// blobs stay), keep quotas, serve the referrers API. For that
// reason there is no cache of descriptors in memory either: it would name
// blobs that a collection removed.
package oci

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/gorilla/mux"
	"github.com/sirupsen/logrus"

	// The storage driver that configure names.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

const (
	minSecret  = 16   // bytes
	maxCatalog = 1000 // repositories in one answer
)

// Options of a registry. Dir, Access and Secret are required.
type Options struct {
	// Dir holds everything; it is made when it is not there. One process at
	// a time may use it.
	Dir string
	// Access is asked before every request.
	Access Access
	// Secret signs the state of uploads that is kept by the client. It has at
	// least 16 bytes, and must be the same after a restart and on every
	// replica, or uploads under way fail.
	Secret []byte
	// Pushed is called for every manifest that was put under a tag, before the
	// client is told so: with its request, so that the caller can tell its own
	// pushes from others'. It may be called concurrently, and for the same push
	// again. An error is answered with 503, and the client pushes again. nil:
	// nobody is told.
	Pushed func(r *http.Request, p Push) error
	// Log gets what went wrong in the registry itself; what a client did
	// wrong, and the access log, are written at debug. nil discards.
	Log *slog.Logger
}

// Registry serves the OCI distribution API below /v2/.
type Registry struct {
	app    *handlers.App
	pushed func(*http.Request, Push) error
	router *mux.Router
	log    *slog.Logger
	entry  *logrus.Entry // log, as distribution wants it
}

var _ http.Handler = (*Registry)(nil)

// New opens the registry in o.Dir.
func New(o Options) (*Registry, error) {
	switch {
	case o.Dir == "":
		return nil, errors.New("registry: no folder given")
	case o.Access == nil:
		return nil, errors.New("registry: nothing given that checks access")
	case len(o.Secret) < minSecret:
		return nil, fmt.Errorf("registry: the secret for uploads has %d bytes; it needs at least %d", len(o.Secret), minSecret)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := writableDir(o.Dir)
	if err != nil {
		return nil, err
	}
	r := &Registry{log: o.Log, entry: newEntry(o.Log), pushed: o.Pushed}
	r.app, err = newApp(logContext{context.Background(), r.entry}, configure(dir, o.Secret))
	if err != nil {
		return nil, fmt.Errorf("registry in %s: %w", dir, err)
	}
	r.router = r.guard(o.Access)
	return r, nil
}

// ServeHTTP answers /v2/ and everything below it.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.router.ServeHTTP(w, req)
}

// Close ends what runs behind the registry. Stop the HTTP server first:
// requests that still run are cut off.
func (r *Registry) Close() error { return r.app.Shutdown() }

// newApp turns distribution's panics into errors.
func newApp(ctx context.Context, c *configuration.Configuration) (app *handlers.App, err error) {
	defer func() {
		if p := recover(); p != nil {
			app, err = nil, fmt.Errorf("configure distribution: %v", p)
		}
	}()
	return handlers.NewApp(ctx, c), nil
}

func configure(dir string, secret []byte) *configuration.Configuration {
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": dir},
			"delete":     {"enabled": true},
			// Blobs are always served by us: there is no address behind us
			// that a client could be sent to.
			"redirect": {"disable": true},
			// The purger deletes by age alone, also what is being uploaded.
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	c.Catalog.MaxEntries = maxCatalog
	c.HTTP.Secret = string(secret)
	// Behind a proxy we do not know how people reach us.
	c.HTTP.RelativeURLs = true
	// We share the origin with pages for people: a browser must not guess
	// that a blob is a page.
	c.HTTP.Headers = http.Header{"X-Content-Type-Options": {"nosniff"}}
	return c
}

// writableDir makes the folder and tries to write in it, because distribution
// would find out at the first push only.
func writableDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("registry: make its folder: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return "", fmt.Errorf("registry: its folder cannot be written to: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return "", fmt.Errorf("registry: its folder cannot be written to: %w", err)
	}
	return dir, nil
}
