package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkVariables reports variables that have no value for the events of the
// rules in which they stand. An image's arguments count for every rule that
// does not replace them.
func (r *reader) checkVariables(im *Image) {
	said := map[Position]bool{} // an image's argument fails for each rule: once is enough
	for _, rule := range im.Rules {
		args := MergeArgs(im.Args, rule.Args)
		if len(args) > maxArgs {
			r.report(rule.Pos.Line, rule.Pos.Col, "the image has at most %d args; with this rule's it has %d", maxArgs, len(args))
		}
		for i, a := range args {
			r.checkTemplate(said, im, rule, args[:i], args[i:], a.Value)
		}
		for _, t := range rule.Tags {
			r.checkTemplate(said, im, rule, args, nil, t)
		}
	}
}

// checkTemplate reports each variable of t that is none of the event's, the
// rule's groups and the arguments before; those from later on have no value
// yet.
func (r *reader) checkTemplate(said map[Position]bool, im *Image, rule Rule, before, later []Arg, t Template) {
	valued := rule.variables()
	for _, p := range t.parts {
		name := p.variable.Name
		known := slices.Contains(valued, name) ||
			hasArg(before, name) && !slices.Contains(variableNames(), name)
		if name == "" || known || said[p.pos] {
			continue
		}
		said[p.pos] = true
		r.report(p.pos.Line, p.pos.Col, "${%s} %s", name, whyNoValue(im, rule, before, later, name))
	}
}

func whyNoValue(im *Image, rule Rule, before, later []Arg, name string) string {
	here := fmt.Sprintf(`the rule "%s" in line %d`, rule, rule.Pos.Line)
	if slices.Contains(variableNames(), name) {
		advice := ""
		if name == "branch" || name == "tag" {
			advice = "; ${refName} is whichever there is"
		}
		return "has no value for " + here + advice
	}
	if len(later) > 0 && later[0].Name == name {
		return "is the argument itself"
	}
	if hasArg(later, name) {
		return "is an argument that comes later; an argument can use those before it"
	}
	for _, other := range im.Rules {
		if p := other.pattern(); p != nil && slices.Contains(p.groups(), name) {
			return fmt.Sprintf("is a group of the rule in line %d and has no value for %s", other.Pos.Line, here)
		}
	}
	for _, other := range im.Rules {
		if hasArg(other.Args, name) {
			return fmt.Sprintf("is an argument of the rule in line %d and has no value for %s", other.Pos.Line, here)
		}
	}
	known := rule.variables()
	for _, a := range before {
		known = append(known, a.Name)
	}
	if s := nearest(name, known); s != "" {
		return fmt.Sprintf("is not known; did you mean ${%s}?", s)
	}
	return fmt.Sprintf("is not known to %s; it has %s", here, strings.Join(known, ", "))
}

func hasArg(args []Arg, name string) bool {
	return slices.ContainsFunc(args, func(a Arg) bool { return a.Name == name })
}

// variables are the names that have a value for every event of the rule, its
// groups last. Arguments come on top; one that is named like a variable never
// hides it.
func (r Rule) variables() []string {
	names := []string{"refName", "ref", "commit", "time", "buildTime", "owner", "repo"}
	switch {
	case r.Branch != nil, r.Ref != nil && r.Ref.under("refs/heads/"):
		names = append(names, "branch")
	case r.Tag != nil, r.Ref != nil && r.Ref.under("refs/tags/"):
		names = append(names, "tag")
	case r.PullRequest:
		names = append(names, "number")
	}
	if p := r.pattern(); p != nil {
		names = append(names, p.groups()...)
	}
	return names
}

// under reports whether the pattern's text begins with the prefix and names
// no other kind of ref, which is as much as a person sees in it.
func (p Pattern) under(prefix string) bool {
	text := p.text
	if p.re != nil {
		text = strings.TrimPrefix(strings.ReplaceAll(text[1:], `\/`, "/"), "^")
	}
	rest, ok := strings.CutPrefix(text, prefix)
	return ok && !strings.Contains(rest, "refs/")
}
