package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const (
	logBatch    = 16 << 10               // a batch of this size is sent at once
	logPause    = 100 * time.Millisecond // … a smaller one after this
	logMaxBatch = 64 << 10               // while the server is slower than the build
	logBuffer   = 256 << 10              // more than this waiting makes Write wait
	logGiveUp   = 10 * time.Second       // … and a server that is away this long loses lines
)

type writerKey struct {
	id      string
	attempt int
}

// logWriter batches what an attempt writes. One goroutine sends; Write waits
// for it when it falls behind.
type logWriter struct {
	store *Store
	lease builder.Lease
	ctx   context.Context // without cancel: last words of a cancelled build count

	mu      sync.Mutex
	changed *sync.Cond // of everything below
	buf     []byte
	sending bool
	closed  bool
	lost    bool // somebody else writes the log now
	hurry   chan struct{}
	done    chan struct{}
}

// OpenLog implements builder.Logs. Writing never fails; what cannot be kept
// (the lease is lost, the build has ended, the server was away for long) is
// dropped. A write is seen by readers within about 100 ms; Close, Finish and
// Release wait until all is.
func (s *Store) OpenLog(ctx context.Context, l *builder.Lease) io.WriteCloser {
	w := &logWriter{
		store: s, lease: *l, ctx: context.WithoutCancel(ctx),
		hurry: make(chan struct{}, 1), done: make(chan struct{}),
	}
	w.changed = sync.NewCond(&w.mu)
	s.mu.Lock()
	s.writers[writerKey{l.ID, l.Attempt}] = w
	s.mu.Unlock()
	go w.run()
	return w
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, io.ErrClosedPipe
	}
	for rest := p; len(rest) > 0 && !w.lost; {
		for len(w.buf) >= logBuffer && !w.lost {
			w.changed.Wait()
		}
		n := min(len(rest), logBuffer-len(w.buf))
		n = max(n, 0)
		w.buf = append(w.buf, rest[:n]...)
		rest = rest[n:]
		if len(w.buf) >= logBatch {
			w.nudge()
		}
	}
	return len(p), nil
}

func (w *logWriter) nudge() {
	select {
	case w.hurry <- struct{}{}:
	default:
	}
}

// Close sends what is left and waits for it.
func (w *logWriter) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.nudge()
	<-w.done
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	key := writerKey{w.lease.ID, w.lease.Attempt}
	if w.store.writers[key] == w {
		delete(w.store.writers, key)
	}
	return nil
}

// flush waits until everything that was written is sent or dropped.
func (w *logWriter) flush() {
	w.nudge()
	w.mu.Lock()
	defer w.mu.Unlock()
	for (len(w.buf) > 0 || w.sending) && !w.lost {
		w.nudge()
		w.changed.Wait()
	}
}

func (w *logWriter) run() {
	defer close(w.done)
	tick := time.NewTicker(logPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.hurry:
		}
		for w.send() {
		}
		w.mu.Lock()
		over := w.closed && len(w.buf) == 0
		w.mu.Unlock()
		if over {
			return
		}
	}
}

// send sends one batch and reports whether there may be more.
func (w *logWriter) send() bool {
	w.mu.Lock()
	n := min(len(w.buf), logMaxBatch)
	batch := w.buf[:n:n]
	w.buf = w.buf[n:]
	w.sending = n > 0
	w.changed.Broadcast()
	w.mu.Unlock()
	if n == 0 {
		return false
	}
	kept := w.append(batch)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = false
	if !kept {
		w.lost, w.buf = true, nil
	}
	w.changed.Broadcast()
	return kept && len(w.buf) > 0
}

// append sends a batch, waiting out a short absence of the server, and
// reports whether the log is still this attempt's.
func (w *logWriter) append(batch []byte) bool {
	ctx, cancel := context.WithTimeout(w.ctx, logGiveUp)
	defer cancel()
	kept := true
	err := w.store.await(ctx, func() (bool, time.Duration, error) {
		var err error
		kept, err = w.store.appendLog(ctx, &w.lease, batch)
		return err == nil, 0, err
	})
	if err != nil {
		level := w.store.opts.Log.WarnContext
		if errors.Is(err, context.DeadlineExceeded) {
			level(w.ctx, "redis is away: lines of a log are lost", "build", w.lease.ID, "bytes", len(batch))
		} else {
			level(w.ctx, "lines of a log are lost", "build", w.lease.ID, "bytes", len(batch), "err", err)
		}
		return true
	}
	return kept
}

func (s *Store) appendLog(ctx context.Context, l *builder.Lease, data []byte) (bool, error) {
	again := fmt.Sprintf("\n[registry-build] the build starts again: attempt %d\n", l.Attempt)
	r, err := runOn(ctx, s.client, s.scripts.logAppend, []string{logKey(l.ID), logMetaKey(l.ID)},
		l.Attempt, data, again, s.opts.LogHead, s.opts.LogTail, ms(s.opts.Logs), wakeChannel, topicLog(l.ID))
	if err != nil {
		return false, fmt.Errorf("append to log of %s: %w", l.ID, err)
	}
	return r.number(0) == 1, nil
}

// flushLog sends what the lease's log writer in this process still holds, so
// that a build's last lines are there when it is seen to have ended.
func (s *Store) flushLog(ctx context.Context, l *builder.Lease) {
	s.mu.Lock()
	w := s.writers[writerKey{l.ID, l.Attempt}]
	s.mu.Unlock()
	if w != nil {
		w.flush()
	}
}
