package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Prune removes mirrors that nobody opened for longer than olderThan, and
// returns how many. A mirror in use by this process stays; other processes
// are taken to be done after olderThan, which should be days.
func (s *Sources) Prune(ctx context.Context, olderThan time.Duration) (int, error) {
	dirs, err := filepath.Glob(filepath.Join(s.dir, "*.git"))
	if err != nil {
		return 0, fmt.Errorf("prune mirrors: %w", err)
	}
	removed := 0
	var errs []error
	for _, dir := range dirs {
		gone, err := s.pruneMirror(ctx, dir, time.Now().Add(-olderThan))
		if err != nil {
			errs = append(errs, fmt.Errorf("prune mirror %s: %w", filepath.Base(dir), err))
		}
		if gone {
			removed++
		}
		if ctx.Err() != nil {
			return removed, ctx.Err()
		}
	}
	// Also what an interrupted Prune left.
	rest, _ := filepath.Glob(filepath.Join(s.dir, "*"+removing))
	for _, dir := range rest {
		errs = append(errs, os.RemoveAll(dir))
	}
	return removed, errors.Join(errs...)
}

// removing ends the name of a mirror on its way out: renamed in one step, so
// that nobody finds half of it.
const removing = ".removing"

// pruneMirror takes a mirror out of use; Prune removes it without its lock.
func (s *Sources) pruneMirror(ctx context.Context, dir string, before time.Time) (bool, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}
	m := s.mirrorAt(dir)
	unlock, err := m.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	// Held, so that nobody begins to use it meanwhile.
	m.mu.Lock()
	defer m.mu.Unlock()
	used, err := os.Stat(filepath.Join(dir, stamp))
	if errors.Is(err, os.ErrNotExist) {
		used, err = os.Stat(dir) // left half made
	}
	if err != nil || m.users > 0 || used.ModTime().After(before) {
		return false, err
	}
	out := strings.TrimSuffix(dir, ".git") + removing
	if err := os.RemoveAll(out); err != nil {
		return false, err
	}
	if err := os.Rename(dir, out); err != nil {
		return false, err
	}
	return true, nil
}
