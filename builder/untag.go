package builder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	untagAgain = 2 * time.Second // while a build of the pull request still winds up
	untagPage  = 200             // builds of a pull request that are looked at
)

// untagPull takes the tags away that a closed pull request's builds put, and
// says where one had to stay.
func (c *Courier) untagPull(ctx context.Context, eventID string) (again time.Duration, err error) {
	e, err := c.Records.Event(ctx, eventID)
	if err != nil || e.Pull == nil {
		return 0, err
	}
	ref := PullRef(e.Pull.Number)
	page, _, err := c.Records.Builds(ctx, BuildFilter{Repository: e.Repository.Key(), Ref: ref, Limit: untagPage})
	if err != nil {
		return 0, err
	}
	tags := map[string][]string{}
	by := map[string]Build{}
	for _, r := range page {
		if !r.State.Terminal() {
			return untagAgain, nil
		}
		for _, t := range r.Tagged {
			if t.Held() || slices.Contains(tags[r.Destination], t.Tag) {
				continue
			}
			tags[r.Destination] = append(tags[r.Destination], t.Tag)
			by[r.Destination] = r.Build
		}
	}
	var gone, stay []string
	for destination, names := range tags {
		outcomes, err := c.untag(ctx, by[destination], names, ref)
		if err != nil {
			return 0, err
		}
		for _, o := range outcomes {
			name := "`" + destination + ":" + o.Tag + "`"
			if o.Removed {
				gone = append(gone, name)
			} else {
				stay = append(stay, name+" stays: "+o.Reason)
			}
		}
	}
	return 0, c.sayUntagged(ctx, e, gone, stay)
}

func (c *Courier) untag(ctx context.Context, b Build, tags []string, ref string) ([]UntagOutcome, error) {
	destination := FullDestination(c.Host, b.Destination)
	login, done, err := c.Logins.Login(ctx, b, destination)
	if err != nil {
		return nil, err
	}
	defer done()
	return c.Registry.Untag(ctx, UntagRequest{
		Repository: destination, Tags: tags, Login: login, Source: b.Repository.Key(), Ref: ref,
	})
}

func (c *Courier) sayUntagged(ctx context.Context, e Event, gone, stay []string) error {
	commenter, ok := c.Reporters[e.Repository.Forge].(Commenter)
	if !ok || len(gone)+len(stay) == 0 {
		return nil
	}
	slices.Sort(gone)
	slices.Sort(stay)
	var text string
	if len(gone) > 0 {
		text = fmt.Sprintf("This is closed: the tags %s are removed.", strings.Join(gone, ", "))
	}
	for _, s := range stay {
		text += "\n- " + s
	}
	return c.say(ctx, commenter, Thread{Repository: e.Repository, Pull: e.Pull.Number},
		Remark{Topic: TopicTags, Text: strings.TrimSpace(text), Seq: e.Seq, At: e.AcceptedAt})
}
