package buildkit

import (
	"io"
	"time"
)

// outlet stands between BuildKit's status stream and a build's log. The stream
// must be drained or the solve never ends, and the log may be slow: writes are
// queued, wait for a slow log, and are lost, with a note in their place, when
// the log has not taken anything for stall.
//
// Write must be called by one goroutine at a time. What comes after Close is
// dropped: a cancelled solve may still be winding up.
type outlet struct {
	queue  chan []byte
	closed chan struct{}
	copied chan struct{} // closed when all is written
	stall  time.Duration
	lost   bool
}

// queued writes are lines mostly; a longer queue only hides a slow log.
const queued = 256

func newOutlet(w io.Writer, stall time.Duration) *outlet {
	o := &outlet{
		queue:  make(chan []byte, queued),
		closed: make(chan struct{}),
		copied: make(chan struct{}),
		stall:  stall,
	}
	go o.copy(w)
	return o
}

func (o *outlet) copy(w io.Writer) {
	defer close(o.copied)
	var failed bool
	write := func(p []byte) {
		if failed {
			return // the log is gone, the build goes on
		}
		_, err := w.Write(p)
		failed = err != nil
	}
	for {
		select {
		case p := <-o.queue:
			write(p)
			continue
		case <-o.closed:
		}
		for {
			select {
			case p := <-o.queue:
				write(p)
			default:
				return
			}
		}
	}
}

// Write never fails.
func (o *outlet) Write(p []byte) (int, error) {
	line := append([]byte(nil), p...)
	if o.lost {
		line = append([]byte("\n[some of the log was lost here: it could not be written fast enough]\n"), line...)
		select {
		case o.queue <- line:
			o.lost = false
		default:
		}
		return len(p), nil
	}
	select {
	case o.queue <- line:
		return len(p), nil
	default:
	}
	t := time.NewTimer(o.stall)
	defer t.Stop()
	select {
	case o.queue <- line:
	case <-o.closed:
	case <-t.C:
		o.lost = true
	}
	return len(p), nil
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
