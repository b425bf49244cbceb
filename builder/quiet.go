package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// heard says which tags set triggers off, as they are before they are claimed.
// A ref without authority writes its own rules, and with them any tag; were
// those heard, whoever edits the file on a feature branch would deploy it under
// the tag that production waits for. So only the tags count that the file with
// the authority gives the same ref. What somebody asked for by name, and what
// is built of a commit without any rule, no file chose.
func (p *planner) heard(image string, r *config.Rule) func(tag string) bool {
	if p.Trusted == nil || r == nil {
		return func(string) bool { return true }
	}
	given := p.authorised(image)
	return func(tag string) bool { return slices.Contains(given, tag) }
}

// authorised are the tags that the file with the authority gives the image for
// this event. A rule of it that comes out wrong here gives none.
func (p *planner) authorised(image string) (tags []string) {
	for _, img := range p.images(p.Trusted) {
		if img.Name != image {
			continue
		}
		for _, r := range img.Rules {
			groups, why := matchRule(r, p.subject)
			if why != "" {
				continue
			}
			s := p.scope(groups)
			if _, err := specOf(img, &r, s); err == nil { // its arguments may stand in tags
				if expanded, err := p.expandTags(&r, s); err == nil {
					for _, v := range expanded {
						tags = append(tags, v.text)
					}
				}
			}
			if img.Match != config.MatchAll {
				break
			}
		}
	}
	return tags
}

// mostQuiet is how many tags one warning names.
const mostQuiet = 5

// unheard tells of tags that would set a trigger off, were they not the
// commit's own idea.
func (p *planner) unheard(triggers []config.Trigger, quiet []string) (warnings []string) {
	for _, t := range triggers {
		var missed []string
		for _, tag := range quiet {
			if t.Tags.Match(expandBuildTime(tag, p.Event.AcceptedAt.In(p.zone))) {
				missed = append(missed, tag)
			}
		}
		if more := len(missed) - mostQuiet; more > 0 {
			missed = append(missed[:mostQuiet], fmt.Sprintf("and %d more", more))
		}
		if len(missed) > 0 {
			warnings = append(warnings, fmt.Sprintf("trigger %s is not set off by %s: for %s the tags that set triggers off are those of the file of %s, which does not give them",
				t.Name, strings.Join(missed, ", "), p.subject, p.authorityName()))
		}
	}
	return warnings
}
