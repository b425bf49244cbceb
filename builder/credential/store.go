package credential

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

const (
	storeFile = "credentials.age"
	lockFile  = "credentials.lock"
	keyName   = "credentials.key"
)

// Store keeps named credentials in one encrypted file. What `credentials set`
// and `credentials rotate` write is seen at once by a running server; what
// was decrypted stays in memory until the file is another one. Writers take
// turns by a file lock. All methods may be called concurrently, by several
// processes too.
type Store struct {
	dir     string
	keyFile string
	now     func() time.Time
	disk    disk

	mu      sync.Mutex // of what follows, while a file is opened
	keys    keys       // as last read; the file may have others by now
	current atomic.Pointer[snapshot]
	uses    uses
}

// Info is what may be shown of a credential.
type Info struct {
	Name      string                 `json:"name"`
	Kind      builder.CredentialKind `json:"kind"`
	CreatedAt time.Time              `json:"createdAt"`
	UpdatedAt time.Time              `json:"updatedAt"` // of the value
	Uses      []Use                  `json:"uses"`      // the latest first, each user once
}

// entry is the stored record.
type entry struct {
	Kind      builder.CredentialKind `json:"kind"`
	Version   string                 `json:"version,omitempty"`
	Fields    map[string]string      `json:"fields,omitempty"`
	Value     string                 `json:"value,omitempty"` // before there were fields
	CreatedAt time.Time              `json:"createdAt"`
	UpdatedAt time.Time              `json:"updatedAt"`
}

// current is the entry as this version writes it.
func (e entry) current() entry {
	if e.Fields == nil {
		e.Fields = map[string]string{builder.FieldValue: e.Value}
	}
	if e.Value = ""; e.Version == "" { // every value had a time of its own
		e.Version = "t" + strconv.FormatInt(e.UpdatedAt.UnixNano(), 36)
	}
	return e
}

// Open opens the store in dir, and makes both dir and the key on first use.
// keyFile "" means credentials.key in dir. The key has the format of
// age-keygen, so `age -d -i KEY credentials.age` reads the store without us.
func Open(dir, keyFile string) (*Store, error) {
	if keyFile == "" {
		keyFile = filepath.Join(dir, keyName)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open credentials: %w", err)
	}
	s := &Store{dir: dir, keyFile: keyFile, now: time.Now}
	unlock, err := s.lock(context.Background())
	if err != nil {
		return nil, err
	}
	defer unlock()
	s.keys, err = loadKeys(keyFile)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	if _, err := os.Lstat(s.path()); err == nil {
		return nil, s.keyLost()
	}
	s.keys, err = createKey(s.disk, keyFile)
	if errors.Is(err, os.ErrExist) { // another process was first
		s.keys, err = loadKeys(keyFile)
	}
	return s, err
}

func (s *Store) keyLost() error {
	return fmt.Errorf("credential key %s is not there, and %s needs it: put the key back, or remove that file and set the credentials again", s.keyFile, s.path())
}

// Set adds the credential or replaces it; its Version is made here. Errors are
// sentences for the person who sets it.
func (s *Store) Set(ctx context.Context, c builder.Credential) error {
	if err := config.CheckCredentialName(c.Name); err != nil {
		return err
	}
	if err := Check(c); err != nil {
		return fmt.Errorf("credential %s: %w", c.Name, err)
	}
	return s.change(ctx, func(all map[string]entry) error {
		now := s.now().UTC()
		e := entry{Kind: c.Kind, Version: rand.Text(), Fields: maps.Clone(c.Fields), CreatedAt: now, UpdatedAt: now}
		if old, ok := all[c.Name]; ok {
			e.CreatedAt = old.CreatedAt
		}
		all[c.Name] = e
		return nil
	})
}

// Remove drops the credential and who used it; builder.ErrNotFound when there
// is none.
func (s *Store) Remove(ctx context.Context, name string) error {
	err := s.change(ctx, func(all map[string]entry) error {
		if _, ok := all[name]; !ok {
			return notFound(name)
		}
		delete(all, name)
		return nil
	})
	if err == nil {
		s.forget(name)
	}
	return err
}

// Get returns the credential; builder.ErrNotFound when there is none.
func (s *Store) Get(ctx context.Context, name string) (builder.Credential, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return builder.Credential{}, err
	}
	e, ok := snap.all[name]
	if !ok {
		return builder.Credential{}, notFound(name)
	}
	return e.credential(name), nil
}

func (e entry) credential(name string) builder.Credential {
	return builder.Credential{Name: name, Kind: e.Kind, Version: e.Version, Fields: maps.Clone(e.Fields)}
}

// OfKind returns every credential of the kind, by name.
func (s *Store) OfKind(ctx context.Context, kind builder.CredentialKind) ([]builder.Credential, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []builder.Credential
	for name, e := range snap.all {
		if e.Kind == kind {
			out = append(out, e.credential(name))
		}
	}
	slices.SortFunc(out, func(a, b builder.Credential) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// List shows what there is, by name, without values.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	used := s.used()
	out := make([]Info, 0, len(snap.all))
	for name, e := range snap.all {
		info := Info{Name: name, Kind: e.Kind, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt, Uses: used[name]}
		if info.Uses == nil {
			info.Uses = []Use{}
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b Info) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func notFound(name string) error {
	return fmt.Errorf("credential %q: %w; set it with: registry-build credentials set", name, builder.ErrNotFound)
}

func (s *Store) path() string { return filepath.Join(s.dir, storeFile) }

// lock waits for the other writers, at most as long as ctx.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	l := flock.New(filepath.Join(s.dir, lockFile), flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock credentials: %w", err)
	}
	return func() { _ = l.Close() }, nil
}

// change reads, edits and replaces the file under the lock.
func (s *Store) change(ctx context.Context, edit func(map[string]entry) error) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	now, snap, err := s.latest()
	if err != nil {
		return err
	}
	all := maps.Clone(snap.all)
	if err := edit(all); err != nil {
		return err
	}
	return s.write(now, all)
}

// write replaces the store. Only for who holds the lock.
func (s *Store) write(k keys, all map[string]entry) error {
	data, err := k.encrypt(all)
	if err != nil {
		return fmt.Errorf("encrypt credentials: %w", err)
	}
	sweep(s.path())
	if err := s.disk.replace(s.path(), data); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return nil
}
