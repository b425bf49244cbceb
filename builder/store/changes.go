package store

import (
	"fmt"
	"strconv"

	"github.com/registry-build/registry-build/builder"
)

// changes are what decide.lua applies; its numbers are strings, because Lua's
// are floating point. No map or list is nil: null is nothing that Lua can walk.
type changes struct {
	Ref       string            `json:"ref"`
	Head      string            `json:"head"`
	CancelRef string            `json:"cancel_ref"`
	StopRef   string            `json:"stop_ref"`
	StopAll   string            `json:"stop_all"`
	Latest    string            `json:"latest"` // the event is the latest of this ref
	Gone      string            `json:"gone"`   // … which has none any more
	Untag     string            `json:"untag"`
	Approve   map[string]string `json:"approve"`
	Pause     map[string]string `json:"pause"`
	Owners    map[string]string `json:"owners"`
	Builds    []queuedBuild     `json:"builds"`
	Pushes    []pushedBuild     `json:"pushes"`
	Known     knownTag          `json:"known"`

	Registers  bool         `json:"registers"`
	Registered []registered `json:"registered"`
}

type queuedBuild struct {
	ID      string `json:"id"`
	Event   string `json:"event"`
	Repo    string `json:"repo"`
	Image   string `json:"image"`
	Ref     string `json:"ref"`
	Commit  string `json:"commit"`
	Shown   string `json:"shown"`
	Lineage string `json:"lineage"`
	Seq     string `json:"seq"`
	Level   string `json:"level"`
}

// pushedBuild is the record of somebody's own push, which has ended at once.
type pushedBuild struct {
	queuedBuild
	State  string   `json:"state"`
	Result string   `json:"result"`
	Fire   []string `json:"fire"`
}

type knownTag struct {
	Images string `json:"images"` // "": there is none
	Tag    string `json:"tag"`
	Digest string `json:"digest"`
	Was    string `json:"was"`
}

type registered struct {
	Images string `json:"images"`
	Text   string `json:"text"`
}

// withdrawn is why builds end when the decision gives no reason.
const withdrawn = "by the removal of the app"

func newChanges(l *builder.EventLease, d builder.Decision) (changes, error) {
	c := changes{
		CancelRef: d.CancelRef, StopRef: d.StopRef, StopAll: d.StopAll,
		Approve: map[string]string{}, Pause: map[string]string{}, Owners: map[string]string{}, Builds: []queuedBuild{},
		Pushes: []pushedBuild{}, Registers: d.Registers, Registered: []registered{},
	}
	if d.StopInstallation != "" && c.StopAll == "" {
		c.StopAll = withdrawn
	}
	if d.Untag != 0 {
		c.Untag = "tags"
	}
	if l.Event.Kind == builder.PullClosed && d.StopRef != "" {
		c.Approve[aboutRef(l.Event)] = "" // who opens it again asks again
	}
	if d.Approve != nil {
		c.Approve[d.Approve.Ref] = d.Approve.Commit
	}
	for image, by := range d.Pause {
		c.Pause[image] = by
	}
	for name, ref := range d.TagOwners {
		c.Owners[name] = ref
	}
	if d.Head != nil {
		text, err := encode(d.Head)
		if err != nil {
			return c, err
		}
		c.Ref, c.Head = d.Head.Ref, text
	}
	c.Latest, c.Gone = latest(l, d)
	for _, b := range d.Builds {
		if b.ID == "" || b.Priority < builder.PriorityCommand || b.Priority > builder.PriorityBase {
			return c, fmt.Errorf("build %q of image %s: no id, or unknown priority %d", b.ID, b.Image, b.Priority)
		}
		c.Builds = append(c.Builds, newQueuedBuild(b, l.Event.ID, l.Event.Repository.Key()))
	}
	return c, nil
}

func newQueuedBuild(b builder.Build, event, repo string) queuedBuild {
	q := queuedBuild{
		ID: b.ID, Event: event, Repo: repo, Image: b.Image, Ref: b.Ref, Commit: b.Commit, Lineage: b.Lineage,
		Seq:   strconv.FormatInt(b.Seq, 10),
		Level: strconv.Itoa(int(b.Priority)),
	}
	if b.ShownOn != b.Commit {
		q.Shown = b.ShownOn
	}
	return q
}

// latest says of which ref the event is the latest that Latest finds, or which
// ref is gone with it.
func latest(l *builder.EventLease, d builder.Decision) (ref, gone string) {
	e := l.Event
	if e.Ref == "" || e.ByHand() {
		return "", ""
	}
	switch e.Kind {
	case builder.BranchDeleted, builder.TagDeleted:
		if d.Head == nil && d.CancelRef == "" {
			return "", "" // overtaken: it is there again
		}
		return "", e.Ref
	case builder.BranchPushed, builder.TagPushed, builder.PullChanged, builder.MergeQueued:
		overtaken := d.Head == nil && l.Head != nil && d.Failure == nil && len(d.Builds) == 0
		if !overtaken {
			return e.Ref, ""
		}
	}
	return "", ""
}
