package credential

import (
	"context"
	"fmt"

	"filippo.io/age"
)

// Rotation is what became of the key.
type Rotation struct {
	KeyFile     string
	Old, New    string // public keys
	Credentials int
}

// Rotate encrypts the store for a new key. At every moment, whatever crashes,
// the key file opens the store: first it gets the new key beside the old one,
// then the store is replaced, then the old key goes. A rotation that was cut
// off leaves two keys, and the next one ends with one again. Other processes
// find the new key by themselves.
func (s *Store) Rotate(ctx context.Context) (Rotation, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return Rotation{}, err
	}
	defer unlock()
	old, snap, err := s.latest()
	if err != nil {
		return Rotation{}, err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return Rotation{}, fmt.Errorf("make credential key: %w", err)
	}
	sweep(s.keyFile)
	if err := s.disk.replace(s.keyFile, append(keys{id}, old...).text()); err != nil {
		return Rotation{}, fmt.Errorf("the credential key cannot be replaced, and nothing was changed: %w; where the key file is mounted read-only, let %s be a file that this user may replace while the key is rotated", err, s.keyFile)
	}
	if err := s.write(keys{id}, snap.all); err != nil {
		return Rotation{}, fmt.Errorf("%w; the old key opens the store as before, run rotate again", err)
	}
	if err := s.disk.replace(s.keyFile, keys{id}.text()); err != nil {
		return Rotation{}, fmt.Errorf("the store is encrypted for the new key, but the old one is still in %s: %w; run rotate again", s.keyFile, err)
	}
	return Rotation{KeyFile: s.keyFile, Old: old[0].Recipient().String(), New: id.Recipient().String(), Credentials: len(snap.all)}, nil
}
