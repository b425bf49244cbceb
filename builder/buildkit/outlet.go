package buildkit

import (
	"io"
	"sync"
	"time"
)

// outlet stands between BuildKit's status stream and a build's log. The stream
// must be drained or the solve never ends, and the log may be slow: what is
// written is held, waits for a slow log, and is lost, with a note in its
// place, when the log has not taken anything for stall.
//
// Write must be called by one goroutine at a time. What comes after Close is
// dropped: a cancelled solve may still be winding up.
type outlet struct {
	mu     sync.Mutex
	held   []byte
	lost   bool
	taken  chan struct{} // the log took what was held
	more   chan struct{} // something is held
	closed chan struct{}
	copied chan struct{} // all is written
	stall  time.Duration
}

// heldSize in bytes is how far the stream may be ahead of the log.
const heldSize = 1 << 20

const lostNote = "\n[some of the log was lost here: it could not be written fast enough]\n"

func newOutlet(w io.Writer, stall time.Duration) *outlet {
	o := &outlet{
		taken:  make(chan struct{}, 1),
		more:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		copied: make(chan struct{}),
		stall:  stall,
	}
	go o.copy(w)
	return o
}

func (o *outlet) copy(w io.Writer) {
	defer close(o.copied)
	var spare []byte
	for last := false; !last; {
		select {
		case <-o.more:
		case <-o.closed:
			last = true
		}
		o.mu.Lock()
		out := o.held
		o.held = spare[:0]
		o.mu.Unlock()
		notify(o.taken)
		if w != nil && len(out) > 0 {
			if _, err := w.Write(out); err != nil {
				w = nil // the log is gone, the build goes on
			}
		}
		spare = out
	}
}

// Write never fails.
func (o *outlet) Write(p []byte) (int, error) {
	if !o.hold(p) {
		t := time.NewTimer(o.stall)
		defer t.Stop()
		for waiting := true; waiting && !o.hold(p); {
			select {
			case <-o.taken:
			case <-o.closed:
				waiting = false
			case <-t.C:
				o.mu.Lock()
				o.lost, waiting = true, false
				o.mu.Unlock()
			}
		}
	}
	notify(o.more)
	return len(p), nil
}

// hold keeps p, unless the log is too far behind: then it returns false, or
// drops p where something was lost already.
func (o *outlet) hold(p []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) >= heldSize {
		return o.lost
	}
	if o.lost {
		o.held = append(o.held, lostNote...)
		o.lost = false
	}
	o.held = append(o.held, p...)
	return true
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close waits until all is written, at most limit; a log that hangs keeps its
// goroutine until it returns.
func (o *outlet) Close(limit time.Duration) {
	close(o.closed)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-o.copied:
	case <-t.C:
	}
}
