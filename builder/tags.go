package builder

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/config"
)

// Tags where the file gives none. A commit that was asked for without a ref
// moves no tag but its own.
const (
	defaultTag       = "${refName}-${commit}"
	defaultCommitTag = "${commit}"
)

// tags expands the tags of a build by a rule (nil: of a commit that was asked
// for), makes them valid, and keeps two refs, and two builds of one decision,
// from sharing one by accident. build names this build in what the others are
// told, name is its image's in the file, and quiet are those of its tags that
// set no trigger off. The error is a sentence for the pusher.
func (p *planner) tags(r *config.Rule, s *scope, name, image, build string) (tags, quiet, warnings []string, err error) {
	asked := []string(nil)
	if p.Event.Request != nil && r == nil {
		asked = p.Event.Request.Tags
	}
	switch {
	case p.fork() && (len(asked) > 0 || r != nil && len(r.Tags) > 0):
		return nil, nil, []string{"a fork's build puts no tags"}, nil
	case p.fork(), p.subject.queue != "":
		return nil, nil, nil, nil // a merge queue only wants to know whether it builds
	case len(asked) > 0:
		expanded, err := promoted(asked)
		if err != nil {
			return nil, nil, nil, err
		}
		tags, quiet, warnings = p.put(expanded, p.heard(name, nil), image, build)
		return tags, quiet, warnings, nil
	}
	expanded, err := p.expandTags(r, s)
	if err != nil {
		return nil, nil, nil, err
	}
	// All are valid: only now one may be claimed.
	tags, quiet, warnings = p.put(expanded, p.heard(name, r), image, build)
	return tags, quiet, warnings, nil
}

// expandTags are the tags of a rule, all valid and none claimed.
func (p *planner) expandTags(r *config.Rule, s *scope) ([]value, error) {
	templates, err := templatesOf(r)
	if err != nil {
		return nil, err
	}
	expanded := make([]value, len(templates))
	for i, t := range templates {
		v, err := s.expand(t)
		if err != nil {
			return nil, fmt.Errorf("tag %w", err)
		}
		expanded[i] = value{tagPattern(v.text), v.from}
		if !ValidTag(expandBuildTime(expanded[i].text, p.Event.AcceptedAt.In(p.zone))) {
			return nil, invalidTag(t, v.text, p.subject)
		}
	}
	return expanded, nil
}

// promoted are the tags that somebody asked for by name.
func promoted(asked []string) ([]value, error) {
	var out []value
	for _, tag := range asked {
		if !ValidTag(tag) {
			return nil, noTag(tag)
		}
		out = append(out, value{text: tag})
	}
	return out, nil
}

func noTag(tag string) error {
	return fmt.Errorf("%q is no tag: letters, digits, _ . and -, at most %d, neither . nor - first", clip(tag, 60), maxTag)
}

// put claims tags for a build, and says why it does not get some of them.
// quiet are those of them that are not heard.
func (p *planner) put(expanded []value, heard func(tag string) bool, image, build string) (tags, quiet, warnings []string) {
	for _, v := range expanded {
		tag, warning := p.claim(image, v)
		if warning != "" {
			warnings = append(warnings, warning)
		}
		if slices.Contains(tags, tag) {
			continue
		}
		if other, ok := p.taken[image+":"+tag]; ok {
			// Two builds that put one tag at one time would leave it to chance.
			warnings = append(warnings, fmt.Sprintf("tag %s is left out: %s puts it already", tag, other))
			continue
		}
		tags = append(tags, tag)
		if !heard(v.text) {
			quiet = append(quiet, tag)
		}
	}
	for _, tag := range tags {
		p.taken[image+":"+tag] = build
	}
	return tags, quiet, warnings
}

func templatesOf(r *config.Rule) ([]config.Template, error) {
	text := defaultTag
	switch {
	case r == nil:
		text = defaultCommitTag
	case len(r.Tags) > 0 || r.PullRequest:
		return r.Tags, nil
	}
	t, err := config.ParseTemplate(text)
	return []config.Template{t}, err
}

func invalidTag(t config.Template, text string, s subject) error {
	if strings.Trim(text, ".-") == "" {
		return fmt.Errorf("tag %q comes out empty for %s", clip(t.String(), 80), s)
	}
	return fmt.Errorf("tag %q comes out as %q for %s, which has no character that a tag may begin with: letters, digits and _",
		clip(t.String(), 80), clip(text, 80), s)
}

// claim keeps two refs of a repository from coming out as one tag: feature/a
// and feature-a are both feature-a, and each push would put the tag on the
// other's image. The ref that came first keeps the tag, also after it is gone,
// since the tag still stands and is still deployed; the later one gets a short
// hash of its name.
//
// It counts only for a tag that is made of the ref's name and of neither
// commit nor time. A tag like latest is shared on purpose, and two refs whose
// tags hold the same commit, or instant, do not take anything from each other.
func (p *planner) claim(image string, tag value) (claimed, warning string) {
	if tag.from != fromRef {
		return tag.text, ""
	}
	own := func(tag string) bool {
		name := image + ":" + tag
		if owner, ok := p.owners[name]; ok {
			return owner == p.subject.ref
		}
		p.owners[name] = p.subject.ref
		if p.decision.TagOwners == nil {
			p.decision.TagOwners = map[string]string{}
		}
		p.decision.TagOwners[name] = p.subject.ref
		return true
	}
	if own(tag.text) {
		return tag.text, ""
	}
	for _, digits := range []int{6, 12, 64} { // a ref may be named like another's hash
		if claimed = withHash(tag.text, p.subject.ref, digits); own(claimed) {
			break
		}
	}
	return claimed, fmt.Sprintf("tag %s is kept by %s, which had it first: %s gets %s",
		tag.text, subjectOf(p.owners[image+":"+tag.text]), p.subject, claimed)
}

// buildTime cannot be known when a build is planned, so ${buildTime:FORMAT}
// stays in tags and arguments until a worker fills it in. A ref whose name
// holds that text gets the time as well, which harms nobody.
var buildTime = regexp.MustCompile(`\$\{buildTime(?::([^}]*))?\}`)

func buildTimeVariable(format string) string {
	if format == "" {
		format = config.DefaultTimeFormat
	}
	return "${buildTime:" + format + "}"
}

// tagPattern is TagName of a text in which ${buildTime} stays.
func tagPattern(text string) string {
	places := buildTime.FindAllStringIndex(text, -1)
	if places == nil {
		return TagName(text)
	}
	var b strings.Builder
	end := 0
	for _, at := range places {
		b.WriteString(strings.Map(tagRune, text[end:at[0]]))
		b.WriteString(text[at[0]:at[1]])
		end = at[1]
	}
	b.WriteString(strings.Map(tagRune, text[end:]))
	return strings.TrimLeft(b.String(), ".-")
}

// expandBuildTime fills in the variables of a tag and makes the whole valid.
func expandBuildTime(tag string, at time.Time) string {
	if !buildTime.MatchString(tag) {
		return tag
	}
	return TagName(fillBuildTime(tag, at))
}

func fillBuildTime(text string, at time.Time) string {
	return buildTime.ReplaceAllStringFunc(text, func(v string) string {
		s, err := config.FormatTime(at, buildTime.FindStringSubmatch(v)[1])
		if err != nil {
			return v // not ours: a ref's name
		}
		return s
	})
}

// At fills in ${buildTime} in tags and arguments, in the file's time zone. A
// worker calls it once, when an attempt starts; everything else of a build is
// known from the day it was planned. Arguments with ${buildTime} differ at
// every attempt, so such a build never finds that its input was built before.
func (b Build) At(start time.Time) Build {
	zone, err := time.LoadLocation(b.Timezone) // "" is UTC
	if err != nil {
		zone = time.UTC
	}
	start = start.In(zone)
	b.Tags, b.Quiet = tagsAt(b.Tags, start), tagsAt(b.Quiet, start)
	if b.Spec.Args != nil {
		args := make(map[string]string, len(b.Spec.Args))
		for name, text := range b.Spec.Args {
			args[name] = fillBuildTime(text, start)
		}
		b.Spec.Args = args
	}
	return b
}

func tagsAt(patterns []string, start time.Time) (tags []string) {
	for _, tag := range patterns {
		if tag = expandBuildTime(tag, start); ValidTag(tag) && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
