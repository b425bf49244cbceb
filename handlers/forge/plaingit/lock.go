package plaingit

import "context"

// lock holds the repository against other pushes and reconciliation.
func (f *Forge) lock(ctx context.Context, path string) (unlock func(), err error) {
	held := f.lockOf(path)
	select {
	case held <- struct{}{}:
		return func() { <-held }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tryLock is lock that does not wait.
func (f *Forge) tryLock(path string) (unlock func(), ok bool) {
	held := f.lockOf(path)
	select {
	case held <- struct{}{}:
		return func() { <-held }, true
	default:
		return nil, false
	}
}

func (f *Forge) lockOf(path string) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	held, ok := f.locks[path]
	if !ok {
		held = make(chan struct{}, 1)
		f.locks[path] = held
	}
	return held
}
