package oci

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
)

const (
	pushWait    = 2 * time.Second  // that a client waits for the store
	pushLimit   = 10 * time.Second // of one attempt later
	pushWaiting = 10_000           // pushes that may wait for the store
	pushAgain   = time.Second      // first wait after a failure; it doubles
	pushAtMost  = 30 * time.Second
)

// PushStore is what pushes need of the store.
type PushStore interface {
	builder.Events
	builder.Registrations
}

// JournalOptions is all that a Journal needs to know.
type JournalOptions struct {
	// Dir holds the pushes that wait for the store. It is made when it is not
	// there. One process at a time may use it.
	Dir   string
	Store PushStore
	// Pusher says who sent a request, and whether that is a build of ours,
	// whose pushes are nobody's.
	Pusher func(r *http.Request) (name string, build bool)
	Log    *slog.Logger
}

// Journal makes events of what people push to the registry. A push is
// answered when its event is in the store or, while that is away, in a file of
// its own, from where it gets there later, in the order of the pushes, also
// after a crash: nothing that a client was told is done is forgotten.
type Journal struct {
	dir    string
	store  PushStore
	pusher func(*http.Request) (name string, build bool)
	log    *slog.Logger

	mu      sync.Mutex
	waiting int           // files in dir
	more    chan struct{} // has one while there is a new file
}

// notedPush is a push as its file keeps it.
type notedPush struct {
	ID    string `json:"id"`
	Push  Push   `json:"push"`
	Actor string `json:"actor"`
}

// OpenJournal finds what waits since before.
func OpenJournal(o JournalOptions) (*Journal, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("pushes that wait: %w", err)
	}
	j := &Journal{dir: o.Dir, store: o.Store, pusher: o.Pusher, log: o.Log, more: make(chan struct{}, 1)}
	names, err := j.files()
	if err != nil {
		return nil, err
	}
	j.waiting = len(names)
	return j, nil
}

// Pushed is Options.Pushed.
func (j *Journal) Pushed(r *http.Request, push Push) error {
	name, build := j.pusher(r)
	if build {
		return nil
	}
	n := notedPush{ID: strings.ToLower(rand.Text()), Push: push, Actor: name}
	j.mu.Lock()
	behind := j.waiting > 0 // others go first
	j.mu.Unlock()
	if !behind {
		// The client may hang up; the tag is there all the same.
		ctx, done := context.WithTimeout(context.WithoutCancel(r.Context()), pushWait)
		err := j.append(ctx, n)
		done()
		if err == nil {
			return nil
		}
		j.log.Warn("push waits for the store", "repository", push.Repository, "tag", push.Tag, "err", err)
	}
	return j.keep(n)
}

func (j *Journal) append(ctx context.Context, n notedPush) error {
	e, err := builder.PushEvent(ctx, j.store, n.ID, builder.ImagePush{Destination: n.Push.Repository, Tag: n.Push.Tag, Digest: n.Push.Digest}, n.Actor)
	if err != nil {
		return err
	}
	_, err = j.store.Append(ctx, e)
	return err
}

// keep writes the push to the disk. Names sort by time.
func (j *Journal) keep(n notedPush) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waiting >= pushWaiting {
		return fmt.Errorf("%d pushes wait for the store", j.waiting)
	}
	path := filepath.Join(j.dir, fmt.Sprintf("%020d-%s.json", time.Now().UnixNano(), n.ID))
	if err := writeDurably(path, text); err != nil {
		return fmt.Errorf("keep a push: %w", err)
	}
	j.waiting++
	select {
	case j.more <- struct{}{}:
	default:
	}
	return nil
}

// Run takes what waits to the store until ctx ends.
func (j *Journal) Run(ctx context.Context) error {
	wait := pushAgain
	for {
		again := time.Duration(0)
		if err := j.carry(ctx); err != nil && ctx.Err() == nil {
			j.log.Warn("pushes wait for the store", "again", wait, "err", err)
			again, wait = wait, min(2*wait, pushAtMost)
		} else {
			wait = pushAgain
		}
		if !j.idle(ctx, again) {
			return nil
		}
	}
}

// idle waits for the time, or where that is 0 until there is something new.
// false: ctx has ended.
func (j *Journal) idle(ctx context.Context, wait time.Duration) bool {
	more := j.more
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
func (j *Journal) carry(ctx context.Context) error {
	names, err := j.files()
	if err != nil {
		return err
	}
	for _, name := range names {
		path := filepath.Join(j.dir, name)
		n, err := readPush(path)
		if err != nil { // no retry mends it, and it must not hold up the others
			j.log.Error("a push that waited cannot be read; its file is kept aside", "file", path, "err", err)
			if err := os.Rename(path, path+".bad"); err != nil {
				return err
			}
			j.gone()
			continue
		}
		limited, done := context.WithTimeout(ctx, pushLimit)
		err = j.append(limited, n)
		done()
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err // it is appended again, and a duplicate
		}
		j.gone()
		j.log.Info("push taken to the store", "repository", n.Push.Repository, "tag", n.Push.Tag)
	}
	return nil
}

func (j *Journal) gone() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting--
}

// files are the names of what waits, oldest first.
func (j *Journal) files() ([]string, error) {
	entries, err := os.ReadDir(j.dir) // sorted
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
