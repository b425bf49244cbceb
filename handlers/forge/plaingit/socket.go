package plaingit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"
)

// maxRequest bounds what a hook may send, in bytes: some 300,000 refs.
const maxRequest = 64 << 20

// Run serves the hooks and reconciles, at once and then every minute, until
// ctx ends. Then it detaches, waits for pushes between their two hooks (ten
// seconds at most) and returns. It can be called once.
func (f *Forge) Run(ctx context.Context) error {
	listener, err := f.listen()
	if err != nil {
		return fmt.Errorf("git remote: %w", err)
	}
	var work sync.WaitGroup
	work.Go(func() { f.accepting(listener, &work) })
	work.Go(func() { f.reconciling(ctx) })
	<-ctx.Done()

	f.Detach()
	finished := make(chan struct{})
	go func() { f.accepted.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(10 * time.Second):
		f.log.Warn("pushes are cut off; they are reconciled at the next start")
	}
	err = listener.Close()
	work.Wait()
	return err
}

// Detach lets those go who follow a build, and accepts no more pushes: what
// http.Server.RegisterOnShutdown is for, because Shutdown waits for requests,
// and a push lasts as long as its builds.
func (f *Forge) Detach() {
	f.mu.Lock() // accept looks under the same lock
	defer f.mu.Unlock()
	f.stop()
}

func (f *Forge) listen() (net.Listener, error) {
	// A socket that a killed server left behind refuses to be bound.
	if err := os.Remove(f.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", f.socket) // its folder is 0700
}

func (f *Forge) accepting(listener net.Listener, work *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			f.log.Error("hook socket", "err", err)
			select {
			case <-time.After(100 * time.Millisecond): // out of file descriptors, mostly
			case <-f.stopping.Done():
				return
			}
			continue
		}
		work.Go(func() {
			defer conn.Close()
			f.answer(conn)
		})
	}
}

// answer speaks with one hook.
func (f *Forge) answer(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(decided))
	var req request
	if err := json.NewDecoder(io.LimitReader(conn, maxRequest)).Decode(&req); err != nil {
		f.log.Warn("hook cannot be read", "err", err)
		return
	}
	f.mu.Lock()
	p := f.pushes[req.Token]
	f.mu.Unlock()
	out := &pusher{out: json.NewEncoder(conn), conn: conn}
	if p == nil {
		out.say("registry-build: this push is not known to the server")
		out.exit(1)
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	switch req.Hook {
	case preReceive:
		out.exit(f.answerPre(p, req, out))
	case postReceive:
		f.answerPost(conn, p, req, out)
		out.exit(0)
	}
}

func (f *Forge) answerPre(p *push, req request, out *pusher) int {
	err := f.preReceive(context.Background(), p, req.Updates)
	var refused *refusal
	switch {
	case err == nil:
		return 0
	case errors.As(err, &refused):
		out.say("registry-build: " + refused.sentence)
	default:
		f.log.Error("push refused", "repo", p.repo.path, "push", p.id, "err", err)
		out.say("registry-build: the server could not take the push (its log says why); nothing was pushed")
	}
	return 1
}

func (f *Forge) answerPost(conn net.Conn, p *push, req request, out *pusher) {
	events, err := f.postReceive(context.Background(), p, req.Updates)
	if err != nil {
		var refused *refusal
		if errors.As(err, &refused) {
			out.say("registry-build: " + refused.sentence)
		} else {
			f.log.Error("post-receive", "repo", p.repo.path, "push", p.id, "err", err)
		}
		return
	}
	ctx, cancel := context.WithCancel(p.watched)
	defer cancel()
	go func() {
		// The hook sends nothing more: reading ends when it is gone.
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	}()
	fl := &follower{builds: f.opts.Store, out: out, url: f.opts.URL, detach: wantsDetach(req.Options, out)}
	fl.follow(ctx, events)
	if f.stopping.Err() != nil {
		out.say("registry-build: the server is stopping; the build goes on when it is back")
	}
}

// pusher writes to the person who pushed. It is safe for concurrent use and
// writes nothing more after an error: they are gone.
type pusher struct {
	mu   sync.Mutex
	out  *json.Encoder
	conn net.Conn
	err  error
}

func (p *pusher) say(line string) { p.send(reply{Line: line}) }

func (p *pusher) exit(status int) { p.send(reply{Exit: &status}) }

func (p *pusher) send(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = p.out.Encode(r)
	}
}
