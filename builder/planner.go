package builder

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/registry-build/registry-build/config"
)

// planner holds what planning one event needs at every image and rule.
type planner struct {
	PlanInput
	decision *Decision
	subject  subject
	zone     *time.Location
	zoneName string
	owners   map[string]string // TagOwners with this decision's
	taken    map[string]string // image repository:tag -> which build of this decision puts it
}

func newPlanner(in PlanInput, d *Decision) *planner {
	p := &planner{PlanInput: in, decision: d, subject: subjectOfEvent(in.Event), taken: map[string]string{}}
	p.owners = maps.Clone(in.TagOwners)
	if p.owners == nil {
		p.owners = map[string]string{}
	}
	p.zone, p.zoneName = time.UTC, "UTC"
	for _, name := range []string{in.File.Timezone, in.Timezone} {
		if name == "" {
			continue
		}
		// Both files were checked when they were read. Where this machine
		// knows less than that one, UTC is better than no build.
		if zone, err := time.LoadLocation(name); err == nil {
			p.zone, p.zoneName = zone, name
		}
		break
	}
	return p
}

// byHand reports whether somebody asked for these builds.
func (p *planner) byHand() bool { return p.Event.ByHand() || p.Event.Kind == Requested }

// fork reports whether the commit is another repository's.
func (p *planner) fork() bool { return p.Event.Pull != nil && p.Event.Pull.Fork }

func (p *planner) plan() {
	images := p.images(p.File)
	asked := p.asked()
	for _, img := range images {
		if asked == nil || slices.Contains(asked, img.Name) {
			p.image(img)
		}
	}
	for _, name := range asked {
		if !slices.ContainsFunc(images, func(img config.Image) bool { return img.Name == name }) {
			p.decision.Reasons = append(p.decision.Reasons, Reason{Image: name, Error: true, Message: unknownImage(name, images)})
		}
	}
}

// asked are the images that somebody named; nil: all of them.
func (p *planner) asked() []string {
	r := p.Event.Request
	switch {
	case r == nil:
		return nil
	case r.Image != "" && !slices.Contains(r.Images, r.Image):
		return append([]string{r.Image}, r.Images...)
	case len(r.Images) == 0:
		return nil
	}
	var names []string
	for _, name := range r.Images {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// image decides one image. What goes wrong with it stops no other image.
func (p *planner) image(img config.Image) {
	t, refusal := p.target(img)
	if refusal != "" {
		p.refuse(img, nil, refusal)
		return
	}
	if p.Event.Kind == Requested && p.Event.Ref == "" {
		p.build(img, nil, "", nil, t)
		return
	}
	var reasons []Reason
	matched := ""
	seen := map[string]int{}
	unchanged := false // which is true of all rules of an image, and told once
	for _, r := range img.Rules {
		text := r.String()
		seen[text]++
		reason := Reason{Image: img.Name, Rule: text, Line: r.Pos.Line}
		if matched != "" && img.Match != config.MatchAll {
			reason.Message = fmt.Sprintf("not tried: %s matches first", matched)
			reasons = append(reasons, reason)
			continue
		}
		groups, why := matchRule(r, p.subject)
		if why != "" {
			reason.Message = why
			reasons = append(reasons, reason)
			continue
		}
		matched = text
		if p.holdBack(img, r, &reason) {
			if !reason.Unchanged || !unchanged {
				reasons = append(reasons, reason)
			}
			unchanged = unchanged || reason.Unchanged
			continue
		}
		p.build(img, &r, ruleKey(text, seen[text]), groups, t)
	}
	if matched == "" {
		p.decision.Reasons = append(p.decision.Reasons, Reason{Image: img.Name, Line: img.Pos.Line, Message: p.noRule(img)})
	}
	p.decision.Reasons = append(p.decision.Reasons, reasons...)
}

// noRule says that no rule of the image matches.
func (p *planner) noRule(img config.Image) string {
	text := fmt.Sprintf("no rule matches %s", p.subject)
	switch {
	case p.subject.pull == 0 && p.subject.queue == "":
		return text
	case len(img.Rules) > 0 && img.Rules[0].Pos == img.Pos:
		// Whoever writes one rule has no default rules any more.
		return text + "; add `- pullRequest: true` to its rules, and with it the default ones, `- branch: \"*\"` and `- tag: \"*\"`"
	}
	return text + "; add `- pullRequest: true`"
}

// build adds the build of an image by a rule, or by none for a commit that was
// asked for. key tells the image's rules apart.
func (p *planner) build(img config.Image, r *config.Rule, key string, groups map[string]string, t target) {
	e := p.Event
	s := p.scope(groups)
	spec, err := specOf(img, r, s)
	if err != nil {
		p.refuse(img, r, err.Error())
		return
	}
	spec.Secrets, spec.SSH = t.secrets, t.ssh
	spec.NoCache = spec.NoCache || e.Request != nil && e.Request.NoCache
	name := "image " + img.Name
	if key != "" {
		name += fmt.Sprintf(" by %q", key)
	}
	tags, quiet, warnings, err := p.tags(r, s, img.Name, t.repository, name)
	if err != nil {
		p.refuse(img, r, err.Error())
		return
	}
	warnings = append(warnings, p.unheard(t.triggers, quiet)...)
	b := Build{
		ID: BuildID(e, img.Name, key), EventID: e.ID, EventKind: e.Kind, Repository: e.Repository,
		Image: img.Name, Lane: TrustedLane, Priority: p.priority(),
		Ref: e.Ref, Commit: e.Commit, Pull: e.Pull, Actor: e.Actor, Spec: spec,
		Destination: t.repository, Tags: tags, Quiet: quiet, Triggers: t.triggers, Names: p.names(),
		Warnings: append(t.warnings[:len(t.warnings):len(t.warnings)], warnings...),
		Timezone: p.zoneName, Seq: e.Seq, Generation: p.Generation, AcceptedAt: e.AcceptedAt,
	}
	if p.fork() {
		b.Lane = ForkLane
	}
	if e.Kind == PullChanged && p.subject.pull > 0 {
		b.Ref = PullRef(p.subject.pull)
	}
	if p.Source != "" && p.Source != e.Commit {
		b.Commit, b.ShownOn = p.Source, e.Commit
	}
	if r != nil {
		b.Rule = r.String()
	}
	if !p.byHand() && (e.Kind == BranchPushed || e.Kind == PullChanged) {
		b.Lineage = e.Repository.Key() + "|" + img.Name + "|" + b.Ref
		if img.Match == config.MatchAll {
			// The builds of one event must not supersede each other.
			b.Lineage += "|" + key
		}
	}
	p.decision.Builds = append(p.decision.Builds, b)
}

func (p *planner) refuse(img config.Image, r *config.Rule, message string) {
	reason := Reason{Image: img.Name, Line: img.Pos.Line, Message: message, Error: true}
	if r != nil {
		reason.Rule, reason.Line = r.String(), r.Pos.Line
	}
	p.decision.Reasons = append(p.decision.Reasons, reason)
}

func (p *planner) priority() Priority {
	switch {
	case p.byHand():
		return PriorityCommand
	case p.Event.Kind == TagPushed:
		return PriorityTag
	case p.Event.Kind == PullChanged:
		return PriorityPullRequest
	}
	return PriorityBranch
}
