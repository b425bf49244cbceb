package credential

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/gofrs/flock"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

const (
	storeFile = "credentials.age"
	lockFile  = "credentials.lock"
	keyName   = "credentials.key"
)

// Store keeps named credentials in one encrypted file. Every call reads the
// file, so what `credentials set` writes is seen at once by a running server;
// writers take turns by a file lock. All methods may be called concurrently,
// by several processes too.
type Store struct {
	dir string
	key *age.X25519Identity
	now func() time.Time
}

// Info is what may be shown of a credential.
type Info struct {
	Name      string    `json:"name"`
	Kind      Kind      `json:"kind"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"` // of the value
}

// entry is the stored record.
type entry struct {
	Kind      Kind      `json:"kind"`
	Value     string    `json:"value"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
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
	s := &Store{dir: dir, now: time.Now}
	unlock, err := s.lock(context.Background())
	if err != nil {
		return nil, err
	}
	defer unlock()
	s.key, err = loadKey(keyFile)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	if _, err := os.Lstat(s.path()); err == nil {
		return nil, fmt.Errorf("credential key %s is not there, and %s needs it: put the key back, or remove that file and set the credentials again", keyFile, s.path())
	}
	s.key, err = createKey(keyFile)
	return s, err
}

// Set adds the credential or replaces it. Errors are sentences for the person
// who sets it.
func (s *Store) Set(ctx context.Context, name string, c Credential) error {
	if err := config.CheckCredentialName(name); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("credential %s: %w", name, err)
	}
	return s.change(ctx, func(all map[string]entry) error {
		now := s.now().UTC()
		e := entry{Kind: c.Kind, Value: c.Value, CreatedAt: now, UpdatedAt: now}
		if old, ok := all[name]; ok {
			e.CreatedAt = old.CreatedAt
		}
		all[name] = e
		return nil
	})
}

// Remove drops the credential; builder.ErrNotFound when there is none.
func (s *Store) Remove(ctx context.Context, name string) error {
	return s.change(ctx, func(all map[string]entry) error {
		if _, ok := all[name]; !ok {
			return notFound(name)
		}
		delete(all, name)
		return nil
	})
}

// Get returns the credential; builder.ErrNotFound when there is none.
func (s *Store) Get(ctx context.Context, name string) (Credential, error) {
	all, err := s.read(ctx)
	if err != nil {
		return Credential{}, err
	}
	e, ok := all[name]
	if !ok {
		return Credential{}, notFound(name)
	}
	return Credential{Kind: e.Kind, Value: e.Value}, nil
}

// SigningSecret returns the value of a credential of that kind; one of
// another kind is refused, so that no token is ever used to sign.
func (s *Store) SigningSecret(ctx context.Context, name string) (string, error) {
	c, err := s.Get(ctx, name)
	if err != nil {
		return "", err
	}
	if c.Kind != KindSigningSecret {
		return "", fmt.Errorf("credential %s is a %s, and a %s is needed here", name, c.Kind, KindSigningSecret)
	}
	return c.Value, nil
}

// List shows what there is, by name, without values.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	all, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(all))
	for name, e := range all {
		out = append(out, Info{Name: name, Kind: e.Kind, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt})
	}
	slices.SortFunc(out, func(a, b Info) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Redactor hides every value of the store as it stands now, and extra ones.
func (s *Store) Redactor(ctx context.Context, extra ...string) (*Redactor, error) {
	all, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	values := slices.Clone(extra)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		values = append(values, all[name].Value)
	}
	return NewRedactor(values...), nil
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
	all, err := s.read(ctx)
	if err != nil {
		return err
	}
	if err := edit(all); err != nil {
		return err
	}
	data, err := encrypt(s.key, all)
	if err != nil {
		return fmt.Errorf("encrypt credentials: %w", err)
	}
	if err := replaceFile(s.path(), data); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return nil
}

// read needs no lock: the file is only ever replaced whole.
func (s *Store) read(ctx context.Context) (map[string]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path())
	if errors.Is(err, os.ErrNotExist) {
		return map[string]entry{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	all, err := decrypt(s.key, f)
	if err != nil {
		var wrong *age.NoIdentityMatchError
		if errors.As(err, &wrong) {
			return nil, fmt.Errorf("credentials in %s were encrypted with another key: put that key back, or remove the file and set them again", s.path())
		}
		return nil, fmt.Errorf("read credentials %s: %w", s.path(), err)
	}
	return all, nil
}
