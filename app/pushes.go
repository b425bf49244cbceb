package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/handlers/oci"
)

const (
	pushWait    = 2 * time.Second  // that a client waits for the store
	pushLimit   = 10 * time.Second // of one attempt later
	pushWaiting = 10_000           // pushes that may wait for the store
	pushAgain   = time.Second      // first wait after a failure; it doubles
	pushAtMost  = 30 * time.Second
)

// pushStore is what pushes need of the store.
type pushStore interface {
	builder.Events
	builder.Registrations
}

// pushes makes events of what people push to the embedded registry. A push is
// answered when its event is in the store or, while that is away, in a file of
// its own, from where it gets there later, in the order of the pushes, also
// after a crash: nothing that a client was told is done is forgotten.
type pushes struct {
	dir   string
	door  access
	store pushStore
	log   *slog.Logger

	mu      sync.Mutex
	waiting int           // files in dir
	more    chan struct{} // has one while there is a new file
}

// notedPush is a push as its file keeps it.
type notedPush struct {
	ID    string   `json:"id"`
	Push  oci.Push `json:"push"`
	Actor string   `json:"actor"`
}

// newPushes finds what waits in dir since before.
func newPushes(dir string, door access, store pushStore, log *slog.Logger) (*pushes, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("pushes that wait: %w", err)
	}
	p := &pushes{dir: dir, door: door, store: store, log: log, more: make(chan struct{}, 1)}
	names, err := p.files()
	if err != nil {
		return nil, err
	}
	p.waiting = len(names)
	return p, nil
}

// Pushed is oci.Options.Pushed. What our own builds push is nobody's push.
func (p *pushes) Pushed(r *http.Request, push oci.Push) error {
	n := notedPush{ID: strings.ToLower(rand.Text()), Push: push}
	if id := p.door.identity(r); id != nil {
		if ofBuild(id.Name) {
			return nil
		}
		n.Actor = id.Name
	}
	p.mu.Lock()
	behind := p.waiting > 0 // others go first
	p.mu.Unlock()
	if !behind {
		// The client may hang up; the tag is there all the same.
		ctx, done := context.WithTimeout(context.WithoutCancel(r.Context()), pushWait)
		err := p.append(ctx, n)
		done()
		if err == nil {
			return nil
		}
		p.log.Warn("push waits for the store", "repository", push.Repository, "tag", push.Tag, "err", err)
	}
	return p.keep(n)
}

// ofBuild reports whether a token of this name was minted for a build.
func ofBuild(name string) bool {
	id, ok := strings.CutPrefix(name, "build ")
	return ok && builder.ValidBuildID(id)
}

func (p *pushes) append(ctx context.Context, n notedPush) error {
	e, err := builder.PushEvent(ctx, p.store, n.ID, builder.ImagePush{Destination: n.Push.Repository, Tag: n.Push.Tag, Digest: n.Push.Digest}, n.Actor)
	if err != nil {
		return err
	}
	_, err = p.store.Append(ctx, e)
	return err
}

// keep writes the push to the disk. Names sort by time.
func (p *pushes) keep(n notedPush) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting >= pushWaiting {
		return fmt.Errorf("%d pushes wait for the store", p.waiting)
	}
	path := filepath.Join(p.dir, fmt.Sprintf("%020d-%s.json", time.Now().UnixNano(), n.ID))
	if err := writeDurably(path, text); err != nil {
		return fmt.Errorf("keep a push: %w", err)
	}
	p.waiting++
	select {
	case p.more <- struct{}{}:
	default:
	}
	return nil
}

// Run takes what waits to the store until ctx ends.
func (p *pushes) Run(ctx context.Context) error {
	wait := pushAgain
	for {
		again := time.Duration(0)
		if err := p.carry(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("pushes wait for the store", "again", wait, "err", err)
			again, wait = wait, min(2*wait, pushAtMost)
		} else {
			wait = pushAgain
		}
		if !p.idle(ctx, again) {
			return nil
		}
	}
}

// idle waits for the time, or where that is 0 until there is something new.
// false: ctx has ended.
func (p *pushes) idle(ctx context.Context, wait time.Duration) bool {
	more := p.more
	var after <-chan time.Time
	if wait > 0 {
		more = nil
		timer := time.NewTimer(wait)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-more:
	case <-after:
	}
	return true
}

// carry takes all that waits to the store, oldest first, up to the first that
// it does not take.
func (p *pushes) carry(ctx context.Context) error {
	names, err := p.files()
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(p.dir, name)
		n, err := readPush(path)
		if err != nil { // no retry mends it, and it must not hold up the others
			p.log.Error("a push that waited cannot be read; its file is kept aside", "file", path, "err", err)
			if err := os.Rename(path, path+".bad"); err != nil {
				return err
			}
			p.gone()
			continue
		}
		limited, done := context.WithTimeout(ctx, pushLimit)
		err = p.append(limited, n)
		done()
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err // it is appended again, and a duplicate
		}
		p.gone()
		p.log.Info("push taken to the store", "repository", n.Push.Repository, "tag", n.Push.Tag)
	}
	return nil
}

func (p *pushes) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
}

// files are the names of what waits, oldest first.
func (p *pushes) files() ([]string, error) {
	entries, err := os.ReadDir(p.dir) // sorted
	if err != nil {
		return nil, fmt.Errorf("pushes that wait: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func readPush(path string) (n notedPush, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return n, err
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return n, err
	}
	if n.ID == "" || n.Push.Repository == "" || n.Push.Tag == "" || n.Push.Digest == "" {
		return n, errors.New("it is not whole")
	}
	return n, nil
}

// writeDurably writes a file that is whole, or not there, after a crash.
func writeDurably(path string, data []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// tagReader asks registries what tags name now: them, and none of their
// mirrors, which may not have heard of it yet.
type tagReader struct {
	images interface { // has no mirrors
		Resolve(ctx context.Context, reference string, login builder.Login) (string, error)
	}
	tokens  *credential.Tokens
	host    string // of the embedded registry; "" where there is none
	outside func(destination string) (builder.Login, error)
}

// TagNames is builder.Dispatcher.TagNames.
func (t tagReader) TagNames(ctx context.Context, destination, tag string) (string, error) {
	full := builder.FullDestination(t.host, destination)
	var login builder.Login
	if name, ours := strings.CutPrefix(full, t.host+"/"); t.host != "" && ours {
		token, revoke := t.tokens.Mint("push of "+name, []credential.Grant{
			{Repositories: []string{name}, Scopes: []credential.Scope{credential.RegistryPull}}}, time.Minute)
		defer revoke()
		login = builder.Login{Host: t.host, Username: "push", Password: token}
	} else {
		var err error
		if login, err = t.outside(full); err != nil {
			return "", err
		}
	}
	return t.images.Resolve(ctx, full+":"+tag, login)
}
