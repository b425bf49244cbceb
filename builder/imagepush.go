package builder

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/config"
)

// RegistryForge is the Forge of a repository that stands for an image
// repository of which no source is known here.
const RegistryForge = "registry"

// PushEvent is the event of somebody's own push. id is the teller's own, the
// same when it tells again. The event belongs to the source repository that
// holds the image repository, so that it is decided in order with its pushes,
// else to one that stands for the image repository itself.
func PushEvent(ctx context.Context, r Registrations, id string, p ImagePush, actor string) (Event, error) {
	registered, err := r.Registrations(ctx, p.Destination)
	if err != nil {
		return Event{}, err
	}
	e := Event{
		ID:   RegistryForge + ":" + id + ":" + p.Destination + ":" + p.Tag,
		Kind: ImagePushed, Repository: standIn(p.Destination), Actor: actor, Image: &p,
	}
	if len(registered) > 0 {
		e.Repository = registered[0].Repository
	}
	return e, nil
}

// standIn is a repository whose full name is the image repository's.
func standIn(destination string) Repository {
	owner, name := path.Split(destination)
	return Repository{Forge: RegistryForge, ID: destination, Owner: strings.TrimSuffix(owner, "/"), Name: name}
}

// imagePushed decides what somebody's own push sets off. A tag that is put
// again with the digest that it is known to name sets nothing off, which is
// also how a registry's word about the tags that our builds put comes to
// nothing; and neither does a push that was told late, when the tag names
// another digest by now: that would roll an old image out over a newer one.
func (d *Dispatcher) imagePushed(ctx context.Context, l *EventLease) (Decision, error) {
	e := l.Event
	if e.Image == nil || d.Registrations == nil {
		return nothingFires("pushes of images set nothing off here"), nil
	}
	p := *e.Image
	registered, err := d.Registrations.Registrations(ctx, p.Destination)
	if err != nil {
		return Decision{}, err
	}
	// What is told of another registry that nobody here waits for is neither
	// asked for nor remembered: whoever may tell of pushes must not have us
	// call hosts of his choice, or fill the store with names.
	if hasHost(p.Destination) && !d.awaited(p.Destination, registered) {
		return nothingFires(noTriggers(p.Destination)), nil
	}
	was, err := d.Registrations.Pushed(ctx, p.Destination, p.Tag)
	if err != nil {
		return Decision{}, err
	}
	if was == p.Digest {
		return nothingFires("same digest as before: nothing fires"), nil
	}
	if stale, err := d.pushedBefore(ctx, l, p); err != nil {
		return asDecision(err)
	} else if stale != "" {
		return nothingFires(stale), nil
	}
	decision := d.pushes(e, was, registered)
	decision.Known = &KnownTag{ImagePush: p, Was: was}
	return decision, nil
}

// awaited reports whether any trigger is for pushes to the image repository.
func (d *Dispatcher) awaited(destination string, registered []Registration) bool {
	return len(operatorTriggersFor(d.Operators, destination)) > 0 ||
		slices.ContainsFunc(registered, func(r Registration) bool { return len(r.Triggers) > 0 })
}

func noTriggers(destination string) string {
	return destination + " has no triggers; they are registered by the default branch's file, or stand in the server file"
}

func nothingFires(why string) Decision { return Decision{Reasons: []Reason{{Message: why}}} }

// looks is how often a tag is looked at before it is believed that it does not
// name what was told: distribution tells of a push before it puts the tag.
const looks = 3

// lookLimit is how long one look may take: events of the repository wait
// behind it, and others for the dispatcher.
const lookLimit = 10 * time.Second

// pushedBefore says why a push is not the tag's last, "" when it is.
func (d *Dispatcher) pushedBefore(ctx context.Context, l *EventLease, p ImagePush) (why string, err error) {
	if d.TagNames == nil {
		return "", nil
	}
	ctx, done := context.WithTimeout(ctx, lookLimit)
	defer done()
	now, err := d.TagNames(ctx, p.Destination, p.Tag)
	switch {
	case l.Attempt < looks && (errors.Is(err, ErrNotFound) || err == nil && now != p.Digest):
		return "", Later{Wait: time.Second << (l.Attempt - 1), Reason: "the tag does not name yet what was pushed"}
	case errors.Is(err, ErrNotFound):
		return fmt.Sprintf("tag %s is gone by now: nothing fires", p.Tag), nil
	case err != nil:
		return "", fmt.Errorf("look what %s:%s names now: %w", p.Destination, p.Tag, err)
	case now != p.Digest:
		return fmt.Sprintf("this was overtaken: tag %s names %s by now", p.Tag, now), nil
	}
	return "", nil
}

// pushes makes a record for each source repository whose triggers are due: a
// trigger uses credentials and clusters by the right of the repository that
// registered it. The operator's triggers need none, and go with the first.
func (d *Dispatcher) pushes(e Event, was string, registered []Registration) Decision {
	var decision Decision
	if len(registered) == 0 {
		registered = []Registration{{Destination: e.Image.Destination, Repository: e.Repository}}
	}
	left, found := config.MaxTriggers, 0
	for i, reg := range registered {
		triggers := slices.Clone(reg.Triggers)
		if over := len(triggers) - left; over > 0 {
			triggers = triggers[:left]
			decision.Reasons = append(decision.Reasons, Reason{Image: reg.Image, Error: true, Message: fmt.Sprintf(
				"%s has more than %d triggers over all files; %s of %s are left out",
				e.Image.Destination, config.MaxTriggers, count(over, "trigger"), reg.Repository.FullName())})
		}
		left -= len(triggers)
		if i == 0 {
			triggers = append(triggers, operatorTriggersFor(d.Operators, e.Image.Destination)...)
		}
		found += len(triggers)
		r := pushRecord(e, was, reg, triggers)
		if due := d.due(r); len(due) > 0 {
			decision.Pushes = append(decision.Pushes, Push{Record: r, Fire: due})
		}
	}
	switch {
	case len(decision.Pushes) > 0:
	case found == 0:
		decision.Reasons = append(decision.Reasons, Reason{Message: noTriggers(e.Image.Destination)})
	default:
		decision.Reasons = append(decision.Reasons, Reason{Message: fmt.Sprintf("no trigger of %s is for tag %s", e.Image.Destination, e.Image.Tag)})
	}
	return decision
}

func (d *Dispatcher) due(r Record) []string {
	if d.Triggers == nil || len(r.Triggers) == 0 {
		return nil
	}
	return d.Triggers.Due(r, "")
}

// pushRecord is the record of a push as one source repository's: no ref and no
// commit, because nothing was built of any.
func pushRecord(e Event, was string, reg Registration, triggers []config.Trigger) Record {
	p := e.Image
	image := orText(reg.Image, path.Base(p.Destination))
	return Record{
		Build: Build{
			ID: BuildID(e, image, reg.Repository.Key()), EventID: e.ID, EventKind: ImagePushed, Repository: reg.Repository,
			Image: image, Lane: TrustedLane, Priority: PriorityBranch, Actor: e.Actor,
			Destination: p.Destination, Tags: []string{p.Tag}, Triggers: triggers, Names: reg.Names,
			Seq: e.Seq, AcceptedAt: e.AcceptedAt,
		},
		Progress: Progress{State: Pushed, QueuedAt: e.AcceptedAt, FinishedAt: e.AcceptedAt},
		Result: Result{
			Digest: p.Digest,
			Tagged: []TagOutcome{{Tag: p.Tag, Moved: true, Previous: was}},
		},
	}
}

// operatorTriggersFor are those of the server file for an image repository.
func operatorTriggersFor(all []config.ServerTrigger, destination string) []config.Trigger {
	var triggers []config.Trigger
	for _, t := range all {
		if config.MatchAny(t.Images, destination) {
			triggers = append(triggers, t.Trigger)
		}
	}
	return triggers
}
