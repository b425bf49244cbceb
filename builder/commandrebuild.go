package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// rebuild builds again what failed, or what is named. A rebuild is a new build
// of the same commit, decided as the event of the old one would be now.
func (c *commander) rebuild(ctx context.Context) (Decision, error) {
	builds, err := c.newestBuilds(ctx)
	if err != nil {
		return Decision{}, err
	}
	if len(builds) == 0 && c.c.Source != FromComment {
		return c.lastPush(ctx)
	}
	chosen, err := c.choose(builds)
	if err != nil {
		return Decision{}, err
	}
	var asks []ask
	var no error
	for _, r := range chosen {
		var why refused
		switch err := c.mayRepeat(ctx, r.Build); {
		case errors.As(err, &why):
			no = why // which keeps no other build from it
		case err != nil:
			return Decision{}, err
		default:
			asks = repeat(asks, r.Build, c.c.NoCache)
		}
	}
	if len(asks) == 0 {
		return Decision{}, no
	}
	d, err := c.carryOut(ctx, asks...)
	if err != nil {
		return Decision{}, err
	}
	return tellBuilds(d, "Building again"), nil
}

// newestBuilds are the newest builds of each image and ref at the commit, or
// the one build whose button it is.
func (c *commander) newestBuilds(ctx context.Context) ([]Record, error) {
	if c.c.BuildID != "" {
		r, err := c.ownBuild(ctx)
		return []Record{r}, err
	}
	builds, err := c.buildsOf(ctx)
	if err != nil {
		return nil, err
	}
	seq := map[string]int64{} // image and ref -> of the newest event
	for _, r := range builds {
		seq[imageAndRef(r)] = max(seq[imageAndRef(r)], r.Seq)
	}
	builds = slices.DeleteFunc(builds, func(r Record) bool {
		return r.Seq != seq[imageAndRef(r)] || c.c.Source == FromComment && !c.aboutRef(r.Ref)
	})
	slices.SortStableFunc(builds, func(a, b Record) int { return strings.Compare(imageAndRef(a), imageAndRef(b)) })
	return builds, nil
}

func imageAndRef(r Record) string { return r.Image + "\n" + r.Ref }

// aboutRef reports whether a comment on the pull request means builds of the
// ref, too. A comment on a commit means all that was built of it.
func (c *commander) aboutRef(ref string) bool {
	return c.pull == nil || ref == PullRef(c.pull.Number) || !c.pull.Fork && ref == branchRef(c.pull.HeadBranch)
}

// ownBuild is the build that the command names, if it is the repository's.
func (c *commander) ownBuild(ctx context.Context) (Record, error) {
	r, err := c.Past.Build(ctx, c.c.BuildID)
	if err == nil && r.Repository.Key() != c.e.Repository.Key() {
		err = ErrNotFound
	}
	if errors.Is(err, ErrNotFound) {
		return Record{}, refusef("Build %s is not known any more: `/build` builds afresh.", quote(c.c.BuildID))
	}
	if err != nil {
		return Record{}, fmt.Errorf("build %s: %w", c.c.BuildID, err)
	}
	return r, nil
}

// choose picks the builds to repeat: those of the named image, the one or all
// that the forge wants again, else those that did not come to an image.
func (c *commander) choose(builds []Record) ([]Record, error) {
	at := quote(shortCommit(c.head))
	if len(builds) == 0 {
		return nil, refusef("Nothing was built of %s: `/why` tells why, and `/build` builds it.", at)
	}
	if c.c.Image != "" {
		named := slices.DeleteFunc(slices.Clone(builds), func(r Record) bool { return r.Image != c.c.Image })
		if len(named) == 0 {
			return nil, refusef("There is no build of %s at %s; there is %s.", quote(c.c.Image), at, imagesOf(builds))
		}
		return named, nil
	}
	if c.c.Source != FromComment {
		return builds, nil
	}
	failed := slices.DeleteFunc(slices.Clone(builds), func(r Record) bool { return r.State != Failed && r.State != Cancelled })
	if len(failed) == 0 {
		return nil, refusef("Nothing at %s has failed. To build an image all the same, name it: there is %s.", at, imagesOf(builds))
	}
	return failed, nil
}

func imagesOf(builds []Record) string {
	var names []string
	for _, r := range builds {
		if name := quote(r.Image); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// mayRepeat refuses the builds of a pull request that is closed, and those of
// a fork's commit that is not approved. That there is a build of the commit
// means that somebody approved it, and a button is for people who may do so
// themselves; on the pull request the approval must stand.
func (c *commander) mayRepeat(ctx context.Context, b Build) error {
	if b.Pull == nil {
		return nil
	}
	if c.pull != nil && c.pull.Number == b.Pull.Number {
		return c.mustBeApproved()
	}
	now, err := c.pullNow(ctx, Event{Repository: c.e.Repository, Pull: b.Pull})
	if err != nil {
		return err
	}
	if now == nil || !now.Open {
		return refusef("Pull request %d is closed, so nothing is built for it. Open it again first.", b.Pull.Number)
	}
	return nil
}

// repeat adds the event that made the build, with the images to build again.
func repeat(asks []ask, b Build, noCache bool) []ask {
	e := Event{Kind: b.EventKind, Ref: b.Ref, Commit: b.StatusCommit(), Pull: b.Pull}
	a := ask{event: e, generation: b.Generation}
	if b.Pull != nil {
		a.source = b.Commit
	}
	var tags []string
	if e.Kind == Requested && e.Ref == "" {
		tags = b.Tags // they were asked for, or are the commit's own
	}
	for i := range asks {
		o := &asks[i]
		if o.event.Kind == e.Kind && o.event.Ref == e.Ref && o.source == a.source && slices.Equal(o.event.Request.Tags, tags) {
			if !slices.Contains(o.event.Request.Images, b.Image) {
				o.event.Request.Images = append(o.event.Request.Images, b.Image)
			}
			return asks
		}
	}
	a.event.Request = &Request{Images: []string{b.Image}, NoCache: noCache, Tags: tags}
	return append(asks, a)
}

// lastPush decides the last push again that ended at the commit: nothing came
// of it, and the forge's button asks to try again.
func (c *commander) lastPush(ctx context.Context) (Decision, error) {
	refs := []string{c.e.Ref, defaultRef(c.e.Repository)}
	if c.pull != nil {
		refs = append(refs, PullRef(c.pull.Number), branchRef(c.pull.HeadBranch))
	}
	for _, ref := range refs {
		e, err := c.lastEvent(ctx, ref)
		if errors.Is(err, ErrNotFound) || err == nil && e.Commit != c.head {
			continue
		}
		if err != nil {
			return Decision{}, fmt.Errorf("last push of %s: %w", ref, err)
		}
		e.Repository = c.e.Repository
		if e.Pull != nil && c.pull != nil && !e.Pull.Fork && c.pull.Fork { // whatever the event claimed
			p := *e.Pull
			p.Fork, p.HeadOwner = true, c.pull.HeadOwner
			e.Pull = &p
		}
		if e.Pull != nil && e.Pull.Fork {
			if err := c.mustBeApproved(); err != nil {
				return Decision{}, err
			}
		}
		generation, err := c.generation(ctx, ref)
		if err != nil {
			return Decision{}, err
		}
		e.Request = &Request{NoCache: c.c.NoCache}
		d, err := c.carryOut(ctx, ask{event: e, generation: generation})
		if err != nil {
			return Decision{}, err
		}
		return tellBuilds(d, "Building"), nil
	}
	return Decision{}, refusef("Nothing was built of %s, and no push that ended there is known: push it again, or write `/build`.", quote(shortCommit(c.head)))
}

func (c *commander) lastEvent(ctx context.Context, ref string) (Event, error) {
	if ref == "" {
		return Event{}, ErrNotFound
	}
	d, err := c.Past.Latest(ctx, c.e.Repository.Key(), ref)
	if err != nil {
		return Event{}, err
	}
	return c.Past.Event(ctx, d.EventID)
}

// cancel ends what is queued or running: one build, or those of the commit and
// of its pull request.
func (c *commander) cancel(ctx context.Context) (Decision, error) {
	builds, err := c.active(ctx)
	if err != nil {
		return Decision{}, err
	}
	reason := "by " + c.e.Actor
	var lines []string
	for _, r := range builds {
		if c.c.Image != "" && r.Image != c.c.Image {
			continue
		}
		if r.State.Terminal() {
			lines = append(lines, quote(r.Image)+" is cancelled")
			continue
		}
		switch state, err := c.Past.Cancel(ctx, r.ID, reason); {
		case errors.Is(err, ErrState), errors.Is(err, ErrNotFound):
			continue // it has ended meanwhile
		case err != nil:
			return Decision{}, fmt.Errorf("cancel build %s: %w", r.ID, err)
		case state == Cancelled:
			lines = append(lines, quote(r.Image)+" is cancelled")
		default:
			lines = append(lines, quote(r.Image)+" is being stopped")
		}
	}
	slices.Sort(lines)
	switch {
	case len(lines) > 0:
		return answered("At " + quote(shortCommit(c.head)) + ":" + bullets(lines)), nil
	case c.c.Image != "" && len(builds) > 0:
		return Decision{}, refusef("%s is neither queued nor running at %s; there is %s.", quote(c.c.Image), quote(shortCommit(c.head)), imagesOf(builds))
	}
	return Decision{}, refusef("Nothing is queued or running at %s.", quote(shortCommit(c.head)))
}

// active are the builds that a cancel means and that have not ended.
func (c *commander) active(ctx context.Context) ([]Record, error) {
	var builds []Record
	if c.c.BuildID != "" {
		r, err := c.ownBuild(ctx)
		if err != nil {
			return nil, err
		}
		builds = []Record{r}
	} else {
		var err error
		if builds, err = c.buildsOf(ctx); err != nil {
			return nil, err
		}
		if c.pull != nil && c.c.Source == FromComment { // and those of its older heads
			older, _, err := c.Past.Builds(ctx, BuildFilter{Repository: c.e.Repository.Key(), Ref: PullRef(c.pull.Number), Limit: mostBuilds})
			if err != nil {
				return nil, fmt.Errorf("builds of pull request %d: %w", c.pull.Number, err)
			}
			for _, r := range older {
				if !slices.ContainsFunc(builds, func(o Record) bool { return o.ID == r.ID }) {
					builds = append(builds, r)
				}
			}
		}
	}
	return slices.DeleteFunc(builds, func(r Record) bool {
		done := r.State == Cancelled && r.Reason == "by "+c.e.Actor && r.FinishedAt.After(c.e.AcceptedAt) // by this command, before a crash
		return r.State.Terminal() && !done
	}), nil
}
