package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/builder"
)

const (
	sendLimit = 10 * time.Second // for what was sent when ctx ended
	undoLimit = 30 * time.Second // for putting tags back
)

// write puts the tags that move and reads each back. When one fails, no more
// are begun, but what was sent is waited for: a request that is cut off may
// still arrive, after its tag was put back.
func (p *put) write(ctx context.Context, m manifest) error {
	sending, cancel := linger(ctx, sendLimit)
	defer cancel()
	var failed atomic.Bool
	g := new(errgroup.Group)
	g.SetLimit(parallel)
	for _, t := range p.tags {
		if !t.moves(p.Digest) {
			continue
		}
		g.Go(func() error {
			if failed.Load() {
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t.tried = true
			if err := p.writeTag(sending, t, m); err != nil {
				failed.Store(true)
				return p.explain(ctx, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (p *put) writeTag(ctx context.Context, t *tagState, m manifest) error {
	if err := p.session.put(ctx, t.Tag, m); err != nil {
		return err
	}
	got, err := p.session.digest(ctx, t.Tag)
	if err == nil && got != p.Digest {
		err = &builder.Failure{Stage: builder.StageTag,
			Message: fmt.Sprintf("%s names %s right after it was put on %s: somebody else writes this tag too, or the registry serves old answers from a cache", t, got, p.Digest)}
	}
	return err
}

// linger returns a context that ends some time after ctx has ended.
func linger(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(limit, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel(nil) }
}

// undo puts back what was moved and returns cause, with the tags that could
// not be put back in its sentence. It goes on when ctx has ended, for a
// while, but not without the lease.
func (p *put) undo(ctx context.Context, cause error, last map[string]builder.Position) error {
	if errors.Is(cause, builder.ErrLeaseLost) {
		return fmt.Errorf("tag %s: %w", p.repo, cause)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	ctx = p.lease.while(ctx)
	if err := p.ledger.Extend(ctx, p.repo.Name(), p.lease.token); errors.Is(err, builder.ErrLeaseLost) {
		return fmt.Errorf("tag %s: %w", p.repo, err)
	}

	var tried []*tagState
	for _, t := range p.tags {
		if t.tried {
			tried = append(tried, t)
		}
	}
	stuck := make([]string, len(tried))
	g := new(errgroup.Group)
	g.SetLimit(parallel)
	for i, t := range tried {
		g.Go(func() error {
			if err := p.putBack(ctx, t); err != nil {
				p.log.WarnContext(ctx, "put a tag back", "tag", t.String(), "err", p.explain(ctx, err))
				stuck[i] = t.TagStr()
			}
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	stuck = slices.DeleteFunc(stuck, func(tag string) bool { return tag == "" })
	for _, tag := range stuck {
		delete(last, tag) // it names the new digest and stands there
	}
	if err := p.ledger.SetPositions(ctx, p.repo.Name(), p.lease.token, last); err != nil {
		p.log.WarnContext(ctx, "put the positions of tags back", "repository", p.repo.Name(), "err", err)
	}
	if len(stuck) == 0 {
		return cause
	}
	slices.Sort(stuck)
	note := fmt.Sprintf("could not be put back and may name the new image: %s", strings.Join(stuck, ", "))
	var failure *builder.Failure
	if errors.As(cause, &failure) {
		told := *failure
		told.Message += "; " + note
		return &told
	}
	return fmt.Errorf("%w; %s", cause, note)
}

// putBack makes the tag name what it named before, if it names the new
// digest now: a write that failed may have arrived, this one's too.
func (p *put) putBack(ctx context.Context, t *tagState) error {
	if ours, err := p.isOurs(ctx, t); err != nil || !ours {
		return err
	}
	failed := p.restore(ctx, t)
	if failed == nil {
		return nil
	}
	if ours, err := p.isOurs(ctx, t); err == nil && !ours {
		return nil
	}
	return failed
}

func (p *put) isOurs(ctx context.Context, t *tagState) (bool, error) {
	now, err := p.session.digest(ctx, t.Tag)
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	return now == p.Digest, err
}

func (p *put) restore(ctx context.Context, t *tagState) error {
	if t.before == "" {
		return p.delete(ctx, t.Tag, p.Login)
	}
	m, err := p.session.manifest(ctx, t.before)
	if err != nil {
		return err
	}
	return p.session.put(ctx, t.Tag, m)
}
