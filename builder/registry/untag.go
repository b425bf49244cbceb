package registry

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registry-build/registry-build/builder"
)

var _ builder.Untagger = (*Client)(nil)

// Untag removes tags, under the same lease under which Put writes them, and
// only those that still stand where the request's ref put them. Outcomes come
// in the order of r.Tags, and say for a person why a tag stays.
//
// Manifests are deleted by tag only. Registries that delete only by digest
// keep the tag: by digest, every other tag of the same image would go too. So
// a digest that another tag names is never deleted, and neither is one that
// no tag names.
//
// A registry that cannot be reached, or is not well, is an error: trying again
// may help. Tags that were removed are removed then, and asking for them again
// is harmless. The error wraps builder.ErrLeaseLost when somebody else writes
// the repository's tags, is ctx's when ctx ended, or is a *builder.Failure of
// StageTag.
func (c *Client) Untag(ctx context.Context, r builder.UntagRequest) ([]builder.UntagOutcome, error) {
	// Its checks and its session are those of a Put.
	p, err := c.newPut(builder.TagRequest{Repository: r.Repository, Digest: noDigest, Tags: r.Tags, Login: r.Login})
	if err != nil || len(p.tags) == 0 {
		return nil, err
	}
	x := explainer{stage: builder.StageTag, verb: "untag", repo: p.repo, login: r.Login}
	p.explain = x.explain
	repository := p.repo.Name()
	token, err := c.ledger.Lock(ctx, repository, "untag "+r.Source+" "+r.Ref)
	if err != nil {
		return nil, fmt.Errorf("lease the tags of %s: %w", repository, err)
	}
	p.lease = c.keep(ctx, repository, token)
	defer p.lease.end()
	u := &untag{put: p, explainer: x, source: r.Source, ref: r.Ref, outcomes: map[string]builder.UntagOutcome{}}
	if err := u.run(p.lease.while(ctx)); err != nil {
		return nil, err
	}
	list := make([]builder.UntagOutcome, len(r.Tags))
	for i, tag := range r.Tags {
		list[i] = u.outcomes[tag]
	}
	return list, nil
}

// noDigest fills the place of the digest that a Put has: nothing names it.
const noDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// untag is one request under way.
type untag struct {
	*put
	explainer   explainer
	source, ref string

	mu       sync.Mutex
	outcomes map[string]builder.UntagOutcome
}

func (u *untag) run(ctx context.Context) error {
	var err error
	if u.session, err = u.connect(ctx, u.repo, u.Login, transport.PullScope); err != nil {
		return u.explain(ctx, err)
	}
	if err := u.look(ctx); err != nil {
		return err
	}
	ours := u.choose()
	if len(ours) == 0 {
		return nil
	}
	// A worker that was stopped for a while may have lost the lease meanwhile.
	if err := u.ledger.Extend(ctx, u.repo.Name(), u.lease.token); err != nil {
		return fmt.Errorf("untag %s: %w", u.repo, err)
	}
	// A request that is cut off may still arrive, when somebody else has put
	// the tag again: so what was sent is waited for. What fails leaves tags
	// behind that were removed; the next attempt forgets them.
	sending, cancel := linger(ctx, sendLimit)
	defer cancel()
	err = u.each(ctx, ours, func(ctx context.Context, t *tagState) error {
		if t.before == "" {
			return nil
		}
		return u.remove(ctx, sending, t)
	})
	if err != nil {
		return err
	}
	return u.forget(ctx, ours)
}

// choose returns the tags that stand where the request's ref put them, and
// says of the others why they stay.
func (u *untag) choose() []*tagState {
	var ours []*tagState
	for _, t := range u.tags {
		mine := t.position != nil && t.position.Repository == u.source && t.position.Ref == u.ref
		switch {
		case t.before == "":
			u.say(t, true, "")
		case t.position == nil:
			u.say(t, false, "it is not known who put it")
		case t.position.Repository != u.source:
			u.say(t, false, "another repository has taken it since") // whose refs are nobody's business here
		case !mine:
			u.say(t, false, "another ref has taken it since: "+t.position.Ref)
		}
		if mine {
			ours = append(ours, t)
		}
	}
	return ours
}

func (u *untag) say(t *tagState, removed bool, reason string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.outcomes[t.TagStr()] = builder.UntagOutcome{Tag: t.TagStr(), Removed: removed, Reason: reason}
}

// remove deletes one tag by its name, and looks whether it is gone: some
// registries say yes and do nothing.
func (u *untag) remove(ctx, sending context.Context, t *tagState) error {
	err := u.delete(sending, t.Tag, u.Login)
	if reason := u.cannot(err); reason != "" {
		u.say(t, false, reason)
		return nil
	}
	if err != nil && status(err) != http.StatusNotFound {
		return u.explain(ctx, err)
	}
	switch _, err := u.session.digest(sending, t.Tag); {
	case status(err) == http.StatusNotFound:
		u.say(t, true, "")
	case err != nil:
		return u.explain(ctx, err)
	default:
		u.say(t, false, fmt.Sprintf("the registry %s does not remove tags", u.repo.RegistryStr()))
	}
	return nil
}

// cannot says why a registry did not delete a tag although it understood, ""
// when it did, or when asking again may help.
func (u *untag) cannot(err error) string {
	host := u.repo.RegistryStr()
	switch code := status(err); {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Sprintf("the login for the registry %s may not remove tags", host)
	case code == http.StatusMethodNotAllowed, code == http.StatusNotImplemented, code == http.StatusBadRequest:
		return fmt.Sprintf("the registry %s removes images by digest only, with all their other tags", host)
	case code >= 400 && code < 500 && code != http.StatusNotFound && !retryable(code):
		return fmt.Sprintf("the registry %s refuses to remove it%s", host, u.explainer.quote(err))
	}
	return ""
}

// forget drops the positions of tags that are gone.
func (u *untag) forget(ctx context.Context, tags []*tagState) error {
	gone := map[string]builder.Position{}
	for _, t := range tags {
		if t.position != nil && u.outcomes[t.TagStr()].Removed {
			gone[t.TagStr()] = builder.Position{}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := u.ledger.SetPositions(ctx, u.repo.Name(), u.lease.token, gone); err != nil {
		return fmt.Errorf("forget the tags of %s: %w", u.repo, err)
	}
	return nil
}
