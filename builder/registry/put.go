package registry

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/builder"
)

const (
	parallel    = 16 // requests of one Put at a time
	unlockLimit = 5 * time.Second
	uploaded    = "upload" // what holds a tag that a build without a commit put
)

// Put puts the tags on the digest, in parallel, once each, only forward (see
// the package comment), and reads them back. A tag that names the digest
// already is not written again, but stands at the new position from then on;
// a tag that somebody deleted in the registry has lost its position. Outcomes
// come in the order of r.Tags.
//
// When putting fails, the tags that were moved are put back and those that
// were new are deleted, where the registry can delete tags; the failure names
// the ones that could not be. The error wraps builder.ErrNotFound when the
// repository does not have the digest (nothing was written then), wraps
// builder.ErrLeaseLost when the fence or the repository's lease says that
// somebody else is at work (tags are left as they are: whoever is at work
// decides about them), is ctx's when ctx ended, or is a *builder.Failure of
// StageTag.
func (c *Client) Put(ctx context.Context, r builder.TagRequest) ([]builder.TagOutcome, error) {
	p, err := c.newPut(r)
	if err != nil || len(p.tags) == 0 {
		return nil, err
	}
	repository := p.repo.Name()
	token, err := c.ledger.Lock(ctx, repository, r.Owner)
	if err != nil {
		return nil, fmt.Errorf("lease the tags of %s: %w", repository, err)
	}
	p.lease = c.keep(ctx, repository, token)
	defer p.lease.end()
	if err := p.run(p.lease.while(ctx)); err != nil {
		return nil, err
	}
	return p.outcomes(), nil
}

// put is one request under way.
type put struct {
	*Client
	builder.TagRequest
	repo    name.Repository
	tags    []*tagState // each tag once
	explain func(context.Context, error) error
	lease   lease
	session *session
}

// tagState is what is known of one tag.
type tagState struct {
	name.Tag
	before   string            // digest that it named; "" where it was not there
	position *builder.Position // where it stood; nil: nowhere
	heldBy   string            // the guard leaves it
	tried    bool              // a write was sent, so it may have moved
}

func (t *tagState) moves(digest string) bool { return t.heldBy == "" && t.before != digest }

// moved reports whether it is news that the tag names the digest: because it
// did not before; because this very build put it there and was cut off before
// it could tell; or because who put it there set nothing off, and this does.
func (p *put) moved(t *tagState) bool {
	switch {
	case t.heldBy != "":
		return false
	case t.before != p.Digest:
		return true
	case t.position == nil:
		return false
	}
	return t.position.Quiet && !p.quiet(t) || t.position.Moved && sameEvent(*t.position, p.Position)
}

func (p *put) quiet(t *tagState) bool { return slices.Contains(p.Quiet, t.TagStr()) }

// sameEvent reports whether both are of one event, of whose builds one puts
// the tag.
func sameEvent(a, b builder.Position) bool {
	return a.Seq == b.Seq && a.Seq > 0 && a.Repository == b.Repository && a.Ref == b.Ref && a.Commit == b.Commit
}

// standing is where the tag stands once it is put. That it was told of quietly
// takes nothing back that was told aloud.
func (p *put) standing(t *tagState) builder.Position {
	next := naming(p.Position, p.Digest)
	next.Moved = p.moved(t)
	next.Quiet = p.quiet(t) && (t.before != p.Digest || t.position != nil && t.position.Quiet)
	return next
}

func (c *Client) newPut(r builder.TagRequest) (*put, error) {
	// Strict: a name without a host would go to Docker Hub.
	repo, err := name.NewRepository(r.Repository, name.StrictValidation)
	if err != nil {
		return nil, &builder.Failure{Stage: builder.StageTag, Err: err,
			Message: fmt.Sprintf("%q is not the name of an image repository: write registry/owner/name, in lower case", r.Repository)}
	}
	if _, err := name.NewDigest(repo.Name() + "@" + r.Digest); err != nil {
		return nil, fmt.Errorf("tag %s: digest %q: %w", repo, r.Digest, err)
	}
	if r.Descends == nil {
		r.Descends = func(context.Context, string, string) (bool, error) { return false, nil }
	}
	if r.Fence == nil {
		r.Fence = func(context.Context) error { return nil }
	}
	x := explainer{stage: builder.StageTag, verb: "tag", repo: repo, login: r.Login}
	p := &put{Client: c, TagRequest: r, repo: repo, explain: x.explain}
	seen := map[string]bool{}
	for _, tag := range r.Tags {
		if !builder.ValidTag(tag) {
			return nil, &builder.Failure{Stage: builder.StageTag,
				Message: fmt.Sprintf("%q cannot be a tag: letters, digits, _, . and -, at most 128 characters, neither . nor - first", tag)}
		}
		if !seen[tag] {
			seen[tag] = true
			p.tags = append(p.tags, &tagState{Tag: repo.Tag(tag)})
		}
	}
	return p, nil
}

func (p *put) run(ctx context.Context) error {
	var err error
	if p.session, err = p.connect(ctx, p.repo, p.Login, transport.PushScope); err != nil {
		return p.explain(ctx, err)
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := p.decide(ctx); err != nil {
		return err
	}
	next, last := map[string]builder.Position{}, map[string]builder.Position{}
	writes := false
	for _, t := range p.tags {
		if t.heldBy != "" {
			continue
		}
		next[t.TagStr()] = p.standing(t)
		last[t.TagStr()] = builder.Position{Digest: t.before}
		if t.position != nil {
			last[t.TagStr()] = naming(*t.position, t.before)
		}
		writes = writes || t.moves(p.Digest)
	}
	if len(next) == 0 {
		return nil
	}
	var manifest manifest
	if writes {
		if manifest, err = p.session.manifest(ctx, p.Digest); err != nil {
			return p.explain(ctx, err)
		}
	}
	if err := p.Fence(ctx); err != nil {
		return fmt.Errorf("tag %s: %w", p.repo, err)
	}
	if err := p.ledger.SetPositions(ctx, p.repo.Name(), p.lease.token, next); err != nil {
		return fmt.Errorf("record the tags of %s: %w", p.repo, err)
	}
	if err := p.write(ctx, manifest); err != nil {
		return p.undo(ctx, err, last)
	}
	return nil
}

// naming is a position with what the tag names there. It is recorded before the tag
// is put: a registry that tells of pushes may be faster than we are.
func naming(p builder.Position, digest string) builder.Position {
	p.Digest = digest
	return p
}

// look finds out where every tag stands and what it names now.
func (p *put) look(ctx context.Context) error {
	names := make([]string, len(p.tags))
	for i, t := range p.tags {
		names[i] = t.TagStr()
	}
	positions, err := p.ledger.Positions(ctx, p.repo.Name(), names)
	if err != nil {
		return fmt.Errorf("positions of the tags of %s: %w", p.repo, err)
	}
	return p.each(ctx, p.tags, func(ctx context.Context, t *tagState) error {
		if position, ok := positions[t.TagStr()]; ok {
			t.position = &position
		}
		var err error
		if t.before, err = p.session.digest(ctx, t.Tag); err != nil && status(err) != http.StatusNotFound {
			return p.explain(ctx, err)
		}
		return nil
	})
}

// decide holds back the tags that may not move. One after another: Descends
// talks to one process of git.
func (p *put) decide(ctx context.Context) error {
	descends := func(ancestor, commit string) (bool, error) { return p.Descends(ctx, ancestor, commit) }
	for _, t := range p.tags {
		if t.position == nil || t.before == "" {
			continue
		}
		may, err := builder.MayMove(t.position, p.Position, descends)
		if err != nil {
			return fmt.Errorf("tag %s: %w", t, err)
		}
		if !may {
			t.heldBy = cmp.Or(t.position.Commit, uploaded)
		}
	}
	return nil
}

// each runs f for every tag and returns the first error, the one that made
// the others stop.
func (p *put) each(ctx context.Context, tags []*tagState, f func(context.Context, *tagState) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, t := range tags {
		g.Go(func() error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			return f(ctx, t)
		})
	}
	return g.Wait()
}

func (p *put) outcomes() []builder.TagOutcome {
	byName := map[string]builder.TagOutcome{}
	for _, t := range p.tags {
		byName[t.TagStr()] = builder.TagOutcome{Tag: t.TagStr(), Previous: t.before, HeldBy: t.heldBy, Moved: p.moved(t)}
	}
	list := make([]builder.TagOutcome, len(p.Tags))
	for i, tag := range p.Tags {
		list[i] = byName[tag]
	}
	return list
}
