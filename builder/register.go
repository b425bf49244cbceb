package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// registers reports whether an event moves the default branch, whose file says
// what people's own pushes of images set off. A push that is built again by
// hand moves nothing: it may be an old one.
func registers(e Event) bool {
	return e.Request == nil && (e.Kind == BranchPushed || e.Kind == BranchDeleted) &&
		e.Repository.DefaultBranch != "" && e.Ref == defaultRef(e.Repository)
}

// registerFirst has a repository's first event register what its default
// branch's file says now, whatever the event is about: that branch may not move
// for months, and people push images meanwhile. Where the file cannot be read
// the next event does it. That we were let in is no such event: it comes for
// thousands of repositories at once, and this fetches them.
func (d *Dispatcher) registerFirst(ctx context.Context, l *EventLease, decision Decision) Decision {
	e := l.Event
	if l.Registered || decision.Registers || d.Registrations == nil || e.Kind == Installation || e.Kind == ImagePushed || e.Repository.DefaultBranch == "" {
		return decision
	}
	ref := defaultRef(e.Repository)
	c, err := d.openRef(ctx, e.Repository, ref)
	switch {
	case errors.Is(err, ErrNotFound): // its first push registers
		decision.Registers = true
		return decision
	case err != nil:
		d.Log.Debug("default branch not registered", "event", e.ID, "err", err)
		return decision
	}
	defer c.Close()
	in := d.input(l, Event{ID: e.ID, Kind: BranchPushed, Repository: e.Repository, Ref: ref, Commit: c.hash})
	in.File = c.file.parsed
	planned, err := d.planAmongOthers(ctx, in)
	if err != nil {
		d.Log.Debug("default branch not registered", "event", e.ID, "err", err)
		return decision
	}
	decision.Registers, decision.Registered = planned.Registers, planned.Registered
	return decision
}

// registered are the image repositories of the file with their triggers, each
// once, whether the event builds them or not. What may not be pushed where the
// file says is left out.
func (p *planner) registered() []Registration {
	var out []Registration
	for _, img := range p.images(p.File) {
		pl, refusal := p.place(img)
		if refusal != "" || p.tooMany(img.Name, pl) != "" {
			continue
		}
		i := slices.IndexFunc(out, func(r Registration) bool { return r.Destination == pl.repository })
		if i < 0 {
			i = len(out)
			out = append(out, Registration{
				Destination: pl.repository, Repository: p.Event.Repository, Names: p.names(),
				Image: img.Name, Ref: p.Event.Ref, Commit: p.Event.Commit,
			})
		}
		out[i].Triggers = union(out[i].Triggers, pl.authority.Triggers)
	}
	return out
}

// union adds the triggers of another image of the same repository. A name
// tells the runs of one push apart, so one that is taken gets a number.
func union(triggers, more []config.Trigger) []config.Trigger {
	triggers = slices.Clone(triggers)
	for _, t := range more {
		base := t.Name
		for n := 2; slices.ContainsFunc(triggers, func(o config.Trigger) bool { return o.Name == t.Name }); n++ {
			t.Name = fmt.Sprintf("%s-%d", base[:min(len(base), 60)], n)
		}
		triggers = append(triggers, t)
	}
	return triggers
}

// tooMany says that an image repository has more triggers than it may, counted
// over this file and those of other source repositories; "" if it has not. An
// image without triggers of its own adds nothing.
func (p *planner) tooMany(image string, pl place) string {
	if len(pl.authority.Triggers) == 0 {
		return ""
	}
	own, others := p.ownTriggers(pl.repository), 0
	var whose []string
	for _, r := range p.Others[pl.repository] {
		if len(r.Triggers) == 0 || r.Repository.Key() == p.Event.Repository.Key() {
			continue
		}
		others += len(r.Triggers)
		whose = append(whose, fmt.Sprintf(", %d in that of %s", len(r.Triggers), strings.TrimPrefix(r.Repository.FullName(), "/")))
	}
	if own+others <= config.MaxTriggers {
		return ""
	}
	// What is wrong goes first: a commit's status has room for little.
	return fmt.Sprintf("image %s: %s has %d triggers, at most %d are allowed over all files; remove some (%d in this repository's %s%s)",
		image, pl.repository, own+others, config.MaxTriggers, own, buildFileName, strings.Join(whose, ""))
}

// ownTriggers counts what the file that has the authority says of an image
// repository, in all its images.
func (p *planner) ownTriggers(repository string) int {
	file, n := p.File, 0
	if p.Trusted != nil {
		file = p.Trusted
	}
	for _, img := range p.images(file) {
		if name, err := p.repository(img, len(file.Images) > 1); err == nil && name == repository {
			n += len(img.Triggers)
		}
	}
	return n
}

// planAmongOthers plans with what other source repositories have registered
// for the same image repositories, where there is any: their triggers count.
// Where an event's images go is what planning finds out, so it is planned
// again then, which is rare.
func (d *Dispatcher) planAmongOthers(ctx context.Context, in PlanInput) (Decision, error) {
	decision := Plan(in)
	if d.Registrations == nil {
		return decision, nil
	}
	others := map[string][]Registration{}
	for _, destination := range triggered(decision) {
		registered, err := d.Registrations.Registrations(ctx, destination)
		if err != nil {
			return Decision{}, err
		}
		registered = slices.DeleteFunc(registered, func(r Registration) bool { return r.Repository.Key() == in.Event.Repository.Key() })
		if len(registered) > 0 {
			others[destination] = registered
		}
	}
	if len(others) == 0 {
		return decision, nil
	}
	in.Others = others
	return Plan(in), nil
}

// triggered are the image repositories of a decision that have triggers.
func triggered(d Decision) []string {
	var destinations []string
	add := func(destination string, triggers []config.Trigger) {
		if len(triggers) > 0 && !slices.Contains(destinations, destination) {
			destinations = append(destinations, destination)
		}
	}
	for _, b := range d.Builds {
		add(b.Destination, b.Triggers)
	}
	for _, r := range d.Registered {
		add(r.Destination, r.Triggers)
	}
	return destinations
}
