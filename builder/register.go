package builder

import (
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
		whose = append(whose, fmt.Sprintf("%s (%d)", strings.TrimPrefix(r.Repository.FullName(), "/"), len(r.Triggers)))
	}
	if own+others <= config.MaxTriggers {
		return ""
	}
	text := fmt.Sprintf("image %s: %s has %d triggers in this repository's %s", image, pl.repository, own, buildFileName)
	if others > 0 {
		text += fmt.Sprintf(" and %d in that of %s", others, strings.Join(whose, ", "))
	}
	return text + fmt.Sprintf("; an image repository has at most %d, counted over all files: remove some", config.MaxTriggers)
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
