package builder

import (
	"fmt"
	"slices"

	"github.com/registry-build/registry-build/config"
)

// holdBack reports whether a rule that matches does not build all the same,
// and says why in the reason. Whoever asks by hand is never held back.
func (p *planner) holdBack(img config.Image, r config.Rule, reason *Reason) bool {
	if p.byHand() {
		return false
	}
	automatic := p.File.Automatic
	if r.Automatic != nil { // the rule's word goes before the file's
		automatic = *r.Automatic
	}
	switch {
	case !automatic:
		reason.Message = "it matches, but automatic is false: it builds when it is asked for by hand"
	case p.pausedBy(img.Name, reason):
	case p.unchanged(img):
		reason.Unchanged = true
		reason.Message = "none of the files changed that its paths name"
	default:
		return false
	}
	return true
}

func (p *planner) pausedBy(image string, reason *Reason) bool {
	for _, name := range []string{"", image} {
		if who, ok := p.Paused[name]; ok && who != "" {
			resume := string(CommandResume)
			if name != "" {
				resume += " " + name
			}
			reason.Message = fmt.Sprintf("paused by %s: /%s starts it again", who, resume)
			return true
		}
	}
	return false
}

// maxAsked is how many changed files are held against an image's paths. Of
// more than that, one will be the image's.
const maxAsked = 20_000

// unchanged reports whether none of the files that the image's paths name has
// changed. The build file and the image's Dockerfiles count without being
// named: they decide what is built. What did not come out well the last time
// is built again, so that no commit passes for good because it changed
// something else.
func (p *planner) unchanged(img config.Image) bool {
	switch p.Event.Kind {
	case BranchPushed, PullChanged, MergeQueued:
	default:
		return false
	}
	last := p.Last[img.Name]
	if len(img.Paths) == 0 || !p.Compared || len(p.Changed) > maxAsked || last.Terminal() && last != "" && !last.Good() {
		return false
	}
	own := []string{buildFileName, img.Dockerfile}
	for _, r := range img.Rules {
		if r.Dockerfile != nil {
			own = append(own, *r.Dockerfile)
		}
	}
	return !slices.ContainsFunc(p.Changed, func(file string) bool {
		return img.Paths.Match(file, slices.Contains(own, file))
	})
}
