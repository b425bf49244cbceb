package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// objects reads a repository's objects through git cat-file --batch. A
// process answers one request at a time, so each reader has a process of its
// own while it reads: a large blob holds up nobody.
type objects struct {
	git  git
	ctx  context.Context // of the source's life; ends the processes
	stop context.CancelFunc

	mu     sync.Mutex
	idle   []*reader
	closed bool
	alive  sync.WaitGroup // processes
}

// BuildKit asks for four files at once; more processes than that end when
// their reader is done.
const keptReaders = 4

var errClosed = fmt.Errorf("git source: %w", fs.ErrClosed)

func newObjects(ctx context.Context, g git) *objects {
	ctx, stop := context.WithCancel(ctx)
	return &objects{git: g, ctx: ctx, stop: stop}
}

// close ends all processes and waits for them.
func (o *objects) close() {
	o.mu.Lock()
	o.closed = true
	o.idle = nil
	o.mu.Unlock()
	o.stop()
	o.alive.Wait()
}

// reader is one git process.
type reader struct {
	in     io.WriteCloser
	out    *bufio.Reader
	pipe   *os.File
	kill   context.CancelFunc
	stderr *tail
	done   chan struct{} // closed when the process has been waited for
}

// get returns a reader that belongs to the caller until put or drop.
func (o *objects) get() (*reader, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, errClosed
	}
	if err := o.ctx.Err(); err != nil {
		return nil, err
	}
	for n := len(o.idle); n > 0; n = len(o.idle) {
		r := o.idle[n-1]
		o.idle = o.idle[:n-1]
		select {
		case <-r.done: // killed by somebody, such as the system short of memory
			o.drop(r)
		default:
			return r, nil
		}
	}
	return o.start()
}

func (o *objects) start() (*reader, error) {
	// Not cmd.StdoutPipe: Wait would close it under the reader, and Wait runs
	// from the start so that no process stays a zombie when nobody reads on.
	pipe, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	ctx, kill := context.WithCancel(o.ctx)
	cmd := o.git.command(ctx, "cat-file", "--batch")
	// Nothing to clean up, and SIGTERM would wait for a full pipe.
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	r := &reader{pipe: pipe, out: bufio.NewReaderSize(pipe, 64<<10), kill: kill, stderr: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, r.stderr
	if r.in, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	w.Close()
	if err != nil {
		kill()
		pipe.Close()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, explain(o.ctx, err, "cat-file", r.stderr)
		}
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	o.alive.Go(func() {
		_ = cmd.Wait() // what went wrong shows where the output ends early
		kill()
		close(r.done)
	})
	return r, nil
}

// put gives back a reader whose last answer was read to its end.
func (o *objects) put(r *reader) {
	o.mu.Lock()
	if !o.closed && len(o.idle) < keptReaders {
		o.idle = append(o.idle, r)
		r = nil
	}
	o.mu.Unlock()
	if r != nil {
		o.drop(r)
	}
}

// drop ends a reader.
func (o *objects) drop(r *reader) {
	r.in.Close()
	r.kill()
	<-r.done
	r.pipe.Close()
}

// object is the head of an answer.
type object struct {
	hash string
	kind string // blob, tree, commit, tag; "" when there is no such object
	size int64
}

// ask sends one name; it must hold no line feed.
func (r *reader) ask(name string) error {
	_, err := io.WriteString(r.in, name+"\n")
	return err
}

// head reads the head of an answer. The body, size bytes and a line feed,
// follows unless kind is empty.
func (r *reader) head() (object, error) {
	line, err := r.out.ReadString('\n')
	if err != nil {
		return object{}, r.ended(err)
	}
	line = strings.TrimSuffix(line, "\n")
	if strings.HasSuffix(line, " missing") {
		return object{}, nil
	}
	f := strings.Fields(line)
	if len(f) != 3 {
		return object{}, fmt.Errorf("git cat-file answered %q", line)
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || size < 0 {
		return object{}, fmt.Errorf("git cat-file answered %q", line)
	}
	return object{hash: f[0], kind: f[1], size: size}, nil
}

// body reads the rest of an answer.
func (r *reader) body(size int64) ([]byte, error) {
	data := make([]byte, size+1)
	if _, err := io.ReadFull(r.out, data); err != nil {
		return nil, r.ended(err)
	}
	return data[:size], nil
}

// ended explains why the output stopped.
func (r *reader) ended(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.kill()
	<-r.done // stderr is complete
	if text := r.stderr.String(); text != "" {
		return fmt.Errorf("git cat-file: %s: %w", text, err)
	}
	return fmt.Errorf("git cat-file: %w", err)
}

// with runs fn on a reader. fn must read all that it asked for, or fail.
func (o *objects) with(ctx context.Context, fn func(*reader) error) error {
	r, err := o.get()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, r.kill)
	if err = fn(r); stop() && err == nil {
		o.put(r)
		return nil
	}
	o.drop(r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if o.ctx.Err() != nil {
		return o.ctx.Err()
	}
	return err
}

// largest is what read takes into memory: commits and trees. A folder with a
// million files has a tree of 40 MB.
const largest = 64 << 20

// errTooLarge comes with an object's head, without its body.
var errTooLarge = errors.New("object is too large")

// read returns one whole object of at most limit bytes; its kind is empty
// when it is not there.
func (o *objects) read(ctx context.Context, name string, limit int64) (object, []byte, error) {
	var obj object
	var data []byte
	err := o.with(ctx, func(r *reader) (err error) {
		if err = r.ask(name); err != nil {
			return r.ended(err)
		}
		if obj, err = r.head(); err != nil || obj.kind == "" {
			return err
		}
		if obj.size > limit {
			return errTooLarge
		}
		data, err = r.body(obj.size)
		return err
	})
	return obj, data, err
}

// readEach reads small blobs without waiting for each answer, and calls fn in
// order.
func (o *objects) readEach(ctx context.Context, hashes []string, fn func(i int, data []byte)) error {
	if len(hashes) == 0 {
		return nil
	}
	return o.with(ctx, func(r *reader) error {
		asked := make(chan error, 1)
		go func() {
			w := bufio.NewWriterSize(r.in, 32<<10)
			for _, h := range hashes {
				if _, err := w.WriteString(h + "\n"); err != nil {
					asked <- err
					return
				}
			}
			asked <- w.Flush()
		}()
		err := func() error {
			for i, h := range hashes {
				obj, err := r.head()
				if err != nil {
					return err
				}
				if obj.kind == "" || obj.size > largest {
					return fmt.Errorf("object %s is missing or too large (%d bytes)", h, obj.size)
				}
				data, err := r.body(obj.size)
				if err != nil {
					return err
				}
				fn(i, data)
			}
			return nil
		}()
		if err != nil {
			r.kill() // or the writer might block for ever
			<-asked
			return err
		}
		return <-asked
	})
}
