package builder

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// subject is the ref that rules are held against. At most one of branch and
// tag is set; name is whichever there is.
type subject struct{ ref, branch, tag, name string }

func subjectOf(ref string) subject {
	s := subject{ref: ref}
	if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		s.branch, s.name = name, name
	} else if name, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		s.tag, s.name = name, name
	} else {
		s.name = strings.TrimPrefix(ref, "refs/")
	}
	return s
}

func (s subject) String() string {
	switch {
	case s.branch != "":
		return "branch " + s.branch
	case s.tag != "":
		return "tag " + s.tag
	case s.ref != "":
		return "ref " + s.ref
	}
	return "a commit without a ref"
}

// ruleText is the rule's condition as people wrote it.
func ruleText(r config.Rule) string {
	switch {
	case r.Branch != nil:
		return "branch: " + r.Branch.String()
	case r.Tag != nil:
		return "tag: " + r.Tag.String()
	case r.Ref != nil:
		return "ref: " + r.Ref.String()
	}
	return "pullRequest: true"
}

// ruleKey tells apart the rules of an image that have the same condition; nth
// counts them from 1. It goes by the text, not by the place in the file, so
// that another rule above changes nothing.
func ruleKey(text string, nth int) string {
	if nth == 1 {
		return text
	}
	return fmt.Sprintf("%s #%d", text, nth)
}

// matchRule returns what the named groups caught, or why the rule does not
// match.
func matchRule(r config.Rule, s subject) (groups map[string]string, why string) {
	var pattern *config.Pattern
	var name, plural, what string
	switch {
	case r.Branch != nil:
		pattern, name, plural, what = r.Branch, s.branch, "branches", "branch"
	case r.Tag != nil:
		pattern, name, plural, what = r.Tag, s.tag, "tags", "tag"
	case r.Ref != nil:
		pattern, name, plural, what = r.Ref, s.ref, "refs", "ref"
	default:
		return nil, fmt.Sprintf("it is for pull requests, and this is %s", s)
	}
	if name == "" {
		return nil, fmt.Sprintf("it is for %s, and this is %s", plural, s)
	}
	groups, ok := pattern.Match(name)
	if !ok {
		return nil, fmt.Sprintf("%s %s does not match", what, name)
	}
	return groups, ""
}

// specOf is what BuildKit is asked to do: the image's values, and the rule's
// in place of them. The expanded arguments become variables of the scope.
func specOf(img config.Image, r *config.Rule, s *scope) (Spec, error) {
	spec := Spec{Context: img.Context, Dockerfile: img.Dockerfile, Target: img.Target, Platforms: img.Platforms, NoCache: !img.Cache}
	args := img.Args
	if r != nil {
		override(&spec.Context, r.Context)
		override(&spec.Dockerfile, r.Dockerfile)
		override(&spec.Target, r.Target)
		if len(r.Platforms) > 0 {
			spec.Platforms = r.Platforms
		}
		if r.Cache != nil {
			spec.NoCache = !*r.Cache
		}
		args = mergeArgs(args, r.Args)
	}
	for _, a := range args {
		v, err := s.expand(a.Value)
		if err != nil {
			return Spec{}, fmt.Errorf("arg %s: %w", a.Name, err)
		}
		s.vars[a.Name] = v
		if spec.Args == nil {
			spec.Args = map[string]string{}
		}
		spec.Args[a.Name] = v.text
	}
	return spec, nil
}

func override(value *string, by *string) {
	if by != nil {
		*value = *by
	}
}

// mergeArgs puts a rule's arguments in the places of the image's of the same
// name, where later arguments expect them, and the others at the end.
func mergeArgs(image, rule []config.Arg) []config.Arg {
	if len(rule) == 0 {
		return image
	}
	merged := append([]config.Arg(nil), image...)
	at := map[string]int{}
	for i, a := range merged {
		at[a.Name] = i
	}
	for _, a := range rule {
		if i, ok := at[a.Name]; ok {
			merged[i] = a
			continue
		}
		at[a.Name] = len(merged)
		merged = append(merged, a)
	}
	return merged
}

// origin says what an expanded text depends on.
type origin uint8

const (
	fromRef    origin = 1 << iota // the ref's name, or what a pattern caught of it
	fromCommit                    // the commit
	fromTime                      // an instant
)

type value struct {
	text string
	from origin
}

// scope is the variables that the templates of one build see.
type scope struct {
	vars    map[string]value
	event   Event
	subject subject
	time    func(format string) (string, error)
}

// scope makes the variables of an event and a rule's groups. Those without a
// value, `tag` on a branch, are left out.
func (p *planner) scope(groups map[string]string) *scope {
	s := &scope{event: p.Event, subject: p.subject, vars: map[string]value{
		"owner": {text: p.Event.Repository.Owner},
		"repo":  {text: p.Event.Repository.Name},
	}}
	s.time = func(format string) (string, error) { return config.FormatTime(p.Event.AcceptedAt.In(p.zone), format) }
	for name, text := range map[string]string{
		"branch": p.subject.branch, "tag": p.subject.tag, "refName": p.subject.name, "ref": p.subject.ref,
	} {
		if text != "" {
			s.vars[name] = value{text, fromRef}
		}
	}
	for name, text := range maps.All(groups) {
		s.vars[name] = value{text, fromRef} // "" where the group took no part
	}
	return s
}

var errNoValue = errors.New("has no value")

func (s *scope) expand(t config.Template) (value, error) {
	var from origin
	text, err := t.Expand(func(name, format string) (string, error) {
		if v, ok := s.vars[name]; ok {
			from |= v.from
			return v.text, nil
		}
		switch name {
		case "commit":
			from |= fromCommit
			return config.FormatCommit(s.event.Commit, format)
		case "time":
			from |= fromTime
			return s.time(format)
		case "buildTime":
			from |= fromTime
			return buildTimeVariable(format), nil
		}
		return "", fmt.Errorf("${%s} %w for %s", name, errNoValue, s.subject)
	})
	return value{text, from}, err
}
