package credential

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Use is who used a credential, and when last.
type Use struct {
	By string    `json:"by"` // "build of acme/shop"
	At time.Time `json:"at"`
}

const (
	usesFile = "uses.json"
	usesLock = "uses.lock"
	maxUsers = 10                     // of a name, the latest
	maxUser  = 200                    // bytes of By
	useNoted = time.Minute            // one user of one name is written once in this time
	useWait  = 200 * time.Millisecond // for another process that writes
	maxNotes = 10_000                 // that are remembered; then all are forgotten
)

// uses are what this process noted.
type uses struct {
	mu      sync.Mutex
	noted   map[note]time.Time // when it was last written, or is about to be
	pending map[note]time.Time
	writing bool
}

type note struct{ name, by string }

// Used notes that somebody used the credential. It never fails: what cannot be
// written is forgotten. It is a file beside the store, without secrets.
func (s *Store) Used(name, by string) {
	n := note{name, by[:min(len(by), maxUser)]}
	now := s.now().UTC()
	u := &s.uses
	u.mu.Lock()
	if last, ok := u.noted[n]; ok && now.Sub(last) < useNoted {
		u.mu.Unlock()
		return
	}
	if u.noted == nil || len(u.noted) >= maxNotes {
		u.noted = map[note]time.Time{}
	}
	if u.pending == nil {
		u.pending = map[note]time.Time{}
	}
	u.noted[n], u.pending[n] = now, now
	if u.writing { // whoever writes takes it along
		u.mu.Unlock()
		return
	}
	u.writing = true
	for len(u.pending) > 0 {
		batch := u.pending
		u.pending = nil
		u.mu.Unlock()
		s.changeUses(func(all map[string][]Use) {
			for n, at := range batch {
				all[n.name] = withUse(all[n.name], Use{n.by, at})
			}
		})
		u.mu.Lock()
	}
	u.writing = false
	u.mu.Unlock()
}

// withUse adds a use, the latest first and each user once.
func withUse(list []Use, use Use) []Use {
	list = slices.DeleteFunc(list, func(u Use) bool {
		if u.By == use.By && u.At.After(use.At) {
			use.At = u.At // another process was later
		}
		return u.By == use.By
	})
	list = append(list, use)
	slices.SortStableFunc(list, func(a, b Use) int { return b.At.Compare(a.At) })
	return list[:min(len(list), maxUsers)]
}

// forget drops the uses of a name.
func (s *Store) forget(name string) {
	s.uses.mu.Lock()
	for n := range s.uses.noted {
		if n.name == name {
			delete(s.uses.noted, n)
		}
	}
	s.uses.mu.Unlock()
	s.changeUses(func(all map[string][]Use) { delete(all, name) })
}

// changeUses edits the file under its lock, or leaves it.
func (s *Store) changeUses(edit func(map[string][]Use)) {
	ctx, done := context.WithTimeout(context.Background(), useWait)
	defer done()
	l := flock.New(filepath.Join(s.dir, usesLock), flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return
	}
	defer l.Close()
	all := s.used()
	edit(all)
	data, err := json.Marshal(all)
	if err != nil {
		return
	}
	path := filepath.Join(s.dir, usesFile)
	sweep(path)
	// Not synced: it is worth no wait, and one that is damaged is begun anew.
	next := filepath.Join(s.dir, tempName(path)+"next")
	if os.WriteFile(next, data, 0o600) == nil {
		_ = os.Rename(next, path)
	}
}

// used reads the file; what cannot be read was never noted.
func (s *Store) used() map[string][]Use {
	all := map[string][]Use{}
	data, err := os.ReadFile(filepath.Join(s.dir, usesFile))
	if err != nil || json.Unmarshal(data, &all) != nil || all == nil {
		return map[string][]Use{}
	}
	return all
}
