package plaingit

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/registry-build/registry-build/builder"
)

// decided is how long the store may take for one step of a push.
const decided = 20 * time.Second

// stage is how far a push has come.
type stage int

const (
	open      stage = iota
	abandoned       // the pusher went away before it was accepted
	accepted        // intents are written, the repository is locked
	confirmed       // events are appended, the lock is given back
)

// push is one run of git receive-pack.
type push struct {
	id, token string
	repo      repository
	actor     string
	created   bool

	watched context.Context // ends when the pusher no longer reads
	hangUp  context.CancelFunc

	mu     sync.Mutex
	stage  stage
	events []builder.Event // as intended
	branch string          // default branch after the push
	unlock func()          // set when accepted
}

// begin registers a push and makes its repository where that is missing.
func (f *Forge) begin(ctx context.Context, repo repository, actor string) (*push, error) {
	id, err := ulid.New(ulid.Now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &push{id: id.String(), token: rand.Text(), repo: repo, actor: actor}
	p.watched, p.hangUp = context.WithCancel(f.stopping)
	f.mu.Lock()
	f.pushes[p.token] = p
	f.mu.Unlock()
	if p.created, err = f.create(ctx, repo); err != nil {
		f.end(ctx, p)
		return nil, err
	}
	return p, nil
}

// end forgets the push and its token. A push that was accepted and not
// confirmed has lost its post-receive hook: what moved is looked up.
func (f *Forge) end(ctx context.Context, p *push) {
	p.hangUp()
	ctx = context.WithoutCancel(ctx)
	p.mu.Lock()
	unlock := p.unlock
	p.mu.Unlock()
	if unlock != nil {
		ctx, cancel := context.WithTimeout(ctx, decided)
		if err := f.reconcile(ctx, p.repo); err != nil {
			f.log.Warn("push is not recorded yet", "repo", p.repo.path, "push", p.id, "err", err)
		}
		cancel()
		p.release(confirmed)
	}
	f.creating.Lock()
	defer f.creating.Unlock()
	f.mu.Lock()
	delete(f.pushes, p.token)
	others := false
	for _, other := range f.pushes {
		others = others || other.repo.path == p.repo.path
	}
	f.mu.Unlock()
	if p.created && !others {
		if err := f.takeBack(ctx, p.repo); err != nil {
			f.log.Warn("empty repository stays", "repo", p.repo.path, "err", err)
		}
	}
}

// abandon is called when the pusher is gone. It reports whether the push may
// be stopped: once accepted it may not.
func (p *push) abandon() bool {
	p.hangUp()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage == open {
		p.stage = abandoned
	}
	return p.stage == abandoned
}

// accept takes the push over from the pusher. Run waits for what is accepted.
func (f *Forge) accept(p *push, events []builder.Event, branch string, unlock func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case f.stopping.Err() != nil:
		return &refusal{"the server is stopping; nothing was pushed, try again in a minute"}
	case p.stage != open:
		return &refusal{"the connection was lost; nothing was pushed"}
	}
	f.accepted.Add(1)
	p.stage, p.events, p.branch = accepted, events, branch
	p.unlock = func() { unlock(); f.accepted.Done() }
	return nil
}

// release gives the repository's lock back, once.
func (p *push) release(to stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unlock != nil {
		p.unlock()
		p.unlock, p.stage = nil, to
	}
}

// preReceive records what the push means to do. The error is a *refusal where
// it is meant for the pusher.
func (f *Forge) preReceive(ctx context.Context, p *push, updates []update) error {
	ctx, cancel := context.WithTimeout(ctx, decided)
	defer cancel()
	unlock, err := f.lock(ctx, p.repo.path)
	if err != nil {
		return &refusal{"another push to " + p.repo.path + " is not finished; nothing was pushed, try again in a minute"}
	}
	branch, err := f.branchAfter(ctx, p.repo, updates)
	if err != nil {
		unlock()
		return err
	}
	events := p.plan(updates, branch)
	if err := f.accept(p, events, branch, unlock); err != nil {
		unlock()
		return err
	}
	if len(events) == 0 {
		return nil
	}
	if err := f.opts.Store.Intend(ctx, events); err != nil {
		p.release(open)
		f.log.Error("push refused", "repo", p.repo.path, "push", p.id, "err", err)
		return &refusal{unavailable(err) + "; nothing was pushed, try again in a minute"}
	}
	return nil
}

// postReceive appends the events of the refs that moved.
func (f *Forge) postReceive(ctx context.Context, p *push, updates []update) ([]builder.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, decided)
	defer cancel()
	p.mu.Lock()
	intended, branch, at := p.events, p.branch, p.stage
	p.mu.Unlock()
	if at != accepted {
		return nil, errors.New("post-receive without an accepted pre-receive")
	}
	moved := make(map[string]bool, len(updates))
	for _, u := range updates {
		moved[u.Ref] = true
	}
	if head, err := p.repo.head(); err == nil && head != branch && moved["refs/heads/"+branch] {
		if err := f.setHead(ctx, p.repo, branch); err != nil {
			f.log.Warn("default branch", "repo", p.repo.path, "err", err)
		}
	}
	var events []builder.Event
	ids := make([]string, len(intended))
	for i, e := range intended {
		ids[i] = e.ID
		if !moved[e.Ref] {
			continue
		}
		if _, err := f.opts.Store.Append(ctx, e); err != nil {
			f.log.Error("push is not recorded yet", "repo", p.repo.path, "event", e.ID, "err", err)
			return events, &refusal{"pushed, but " + unavailable(err) + "; the build starts by itself when it is back"}
		}
		events = append(events, e)
	}
	if len(ids) > 0 {
		if err := f.opts.Store.DropIntents(ctx, p.repo.key(), ids...); err != nil {
			f.log.Warn("intents stay until the next reconciliation", "repo", p.repo.path, "err", err)
		}
	}
	p.release(confirmed)
	return events, nil
}

func unavailable(err error) string {
	if errors.Is(err, builder.ErrUnavailable) {
		return "the queue is not available (Redis is down)"
	}
	return "the push could not be recorded (the server's log says why)"
}

// plan makes one event for each branch and tag that moves.
func (p *push) plan(updates []update, branch string) []builder.Event {
	var events []builder.Event
	for _, u := range updates {
		e, ok := event(p.repo.domain(branch), p.id, u.Ref, u.Before, u.Commit)
		if !ok || (u.Commit == "" && !u.deletes()) {
			continue // a ref that we do not watch, or a tag of something that is no commit
		}
		e.Actor = p.actor
		events = append(events, e)
	}
	return events
}

// branchAfter says which branch HEAD names once the push is done.
func (f *Forge) branchAfter(ctx context.Context, r repository, updates []update) (string, error) {
	current, err := r.head()
	if err != nil {
		return "", err
	}
	out, err := f.output(ctx, r, "for-each-ref", "--format=%(refname)", "refs/heads/"+current)
	if err != nil {
		return "", err
	}
	var branches []string
	// The pattern also finds branches below a folder of this name.
	if slices.Contains(strings.Fields(out), "refs/heads/"+current) {
		branches = append(branches, current)
	}
	for _, u := range updates {
		if b, ok := strings.CutPrefix(u.Ref, "refs/heads/"); ok && !u.deletes() {
			branches = append(branches, b)
		}
	}
	return chooseHead(current, branches), nil
}
