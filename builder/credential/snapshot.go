package credential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"
)

// snapshot is what the store held when it was last opened. It never changes,
// but for the redactors that are made when they are first asked for.
type snapshot struct {
	all map[string]entry
	// file stays open as long as the snapshot is known: no other file gets its
	// inode number until then. nil: there was no file.
	file *os.File
	info os.FileInfo
	old  []string // forms of values that were replaced or removed lately

	mu        sync.Mutex
	redactors map[string]*Redactor // by the extra values
}

// maxRedactors bounds what one snapshot holds: extra values are few.
const maxRedactors = 8

// of reports whether the snapshot is of the file that info describes.
func (s *snapshot) of(info os.FileInfo) bool {
	if s == nil || s.info == nil || info == nil {
		return s != nil && s.info == nil && info == nil
	}
	return os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime())
}

// read needs no lock between processes: the file is only ever replaced whole.
func (s *Store) read(ctx context.Context) (*snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := statFile(s.path())
	if err != nil {
		return nil, err
	}
	if snap := s.current.Load(); snap.of(info) {
		return snap, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if info, err = statFile(s.path()); err != nil {
		return nil, err
	}
	if snap := s.current.Load(); snap.of(info) { // another caller has read it meanwhile
		return snap, nil
	}
	return s.reopen()
}

// reopen reads the file. Only for who holds s.mu.
func (s *Store) reopen() (*snapshot, error) {
	snap, err := s.open()
	if err != nil {
		return nil, err
	}
	snap.old = retired(s.current.Load(), snap)
	s.current.Store(snap)
	return snap, nil
}

// latest is for who holds the lock and is about to write: the keys as the key
// file has them, which may be others than when we began, and what they open. A
// key that does not open the store must not be written for, though its values
// be in memory.
func (s *Store) latest() (keys, *snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := loadKeys(s.keyFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, s.keyLost()
	}
	if err != nil {
		return nil, nil, err
	}
	s.keys = now
	snap, err := s.reopen()
	return now, snap, err
}

// statFile describes a file; nil when there is none.
func statFile(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return info, nil
}

// open decrypts the file with the keys in memory, else with those that the key
// file has now. While the key is changed both files are replaced, so one that
// does not fit the other is looked at again as long as either changes.
func (s *Store) open() (*snapshot, error) {
	var tried *snapshot
	for {
		snap, err := s.decrypt()
		var wrong *age.NoIdentityMatchError
		if err == nil {
			return snap, nil
		}
		defer snap.close() // not sooner: tried must stay what it is
		if !errors.As(err, &wrong) {
			return nil, err
		}
		now, failed := loadKeys(s.keyFile)
		if failed != nil && !errors.Is(failed, os.ErrNotExist) {
			return nil, failed
		}
		if failed != nil || now.equal(s.keys) && tried.of(snap.info) {
			return nil, fmt.Errorf("credentials in %s were encrypted with another key: put that key back, or remove the file and set them again", s.path())
		}
		s.keys, tried = now, snap
	}
}

// decrypt reads the file; the snapshot tells which one with an error, too.
func (s *Store) decrypt() (*snapshot, error) {
	f, err := os.Open(s.path())
	if errors.Is(err, os.ErrNotExist) {
		return &snapshot{all: map[string]entry{}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	snap := &snapshot{file: f}
	if snap.info, err = f.Stat(); err == nil {
		snap.all, err = s.keys.decrypt(f)
	}
	if err != nil {
		return snap, fmt.Errorf("read credentials %s: %w", s.path(), err)
	}
	return snap, nil
}

func (s *snapshot) close() {
	if s != nil && s.file != nil {
		s.file.Close()
	}
}

// maxRetired bounds the forms of former values: those that came last are kept.
const maxRetired = 2000

// retired are the forms of values that the store had and has no more: a build
// that began before may still print them.
func retired(before, now *snapshot) []string {
	if before == nil {
		return nil
	}
	old := slices.Clone(before.old)
	for name, e := range before.all {
		if now.all[name].Version != e.Version {
			old = append(old, e.forms()...)
		}
	}
	return old[max(0, len(old)-maxRetired):]
}

// Redactor hides every secret of the store as it stands now, those that it had
// since this process looked first, and extra values. Asking again costs a look
// at the file as long as nothing changed.
func (s *Store) Redactor(ctx context.Context, extra ...string) (*Redactor, error) {
	snap, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return snap.redactor(extra), nil
}

// Writer is a Redactor's, and learns what is set while it is written to: a
// credential may be younger than the log of the build that uses it. Where the
// store cannot be read any more it hides what it knew.
func (s *Store) Writer(ctx context.Context, w io.Writer, extra ...string) (io.WriteCloser, error) {
	r, err := s.Redactor(ctx, extra...)
	if err != nil {
		return nil, err
	}
	return &writer{auto: r.auto, w: w, next: func() *automaton {
		if now, err := s.Redactor(ctx, extra...); err == nil {
			r = now
		}
		return r.auto
	}}, nil
}

func (s *snapshot) redactor(extra []string) *Redactor {
	key := strings.Join(extra, "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.redactors[key]; ok {
		return r
	}
	patterns := slices.Clone(s.old)
	for _, name := range slices.Sorted(maps.Keys(s.all)) {
		patterns = append(patterns, s.all[name].forms()...)
	}
	for _, v := range extra {
		patterns = append(patterns, forms(v)...)
	}
	r := redactorOf(patterns)
	if s.redactors == nil || len(s.redactors) >= maxRedactors {
		s.redactors = map[string]*Redactor{}
	}
	s.redactors[key] = r
	return r
}
