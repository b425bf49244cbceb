package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// String is the rule's condition as people wrote it: "branch: main".
func (r Rule) String() string {
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

// pattern is the pattern of the rule's condition, nil for pull requests.
func (r Rule) pattern() *Pattern {
	switch {
	case r.Branch != nil:
		return r.Branch
	case r.Tag != nil:
		return r.Tag
	}
	return r.Ref
}

// conditions are the keys of which a rule has exactly one.
func conditions() []string { return []string{"branch", "tag", "ref", "pullRequest"} }

func (r *reader) rules(v *yaml.Node) []Rule {
	nodes := r.list(v, "rules", `[{branch: main, tags: [latest]}]`)
	if len(nodes) > maxRules {
		r.errorf(nodes[maxRules], "an image has at most %d rules; this is number %d", maxRules, maxRules+1)
		nodes = nodes[:maxRules]
	}
	var rules []Rule
	for _, n := range nodes {
		if rule, ok := r.rule(n); ok {
			rules = append(rules, rule)
		}
	}
	return rules
}

// rule reads one rule. It is false when the rule has no usable condition, so
// that variables are checked only where their values are known.
func (r *reader) rule(n *yaml.Node) (Rule, bool) {
	rule := Rule{Pos: position(n)}
	seen, ok := r.section(n, "images[].rules[]", fields{
		"branch":      func(v *yaml.Node) { rule.Branch = r.namePattern(v, "branch", "refs/heads/") },
		"tag":         func(v *yaml.Node) { rule.Tag = r.namePattern(v, "tag", "refs/tags/") },
		"ref":         func(v *yaml.Node) { rule.Ref = r.refPattern(v) },
		"pullRequest": func(v *yaml.Node) { rule.PullRequest = r.pullRequest(v) },
		"tags":        func(v *yaml.Node) { rule.Tags = r.tags(v) },
		"args":        func(v *yaml.Node) { rule.Args = r.args(v, "images[].rules[].args") },
		"platforms":   func(v *yaml.Node) { rule.Platforms = r.platforms(v, 1) },
		"target": func(v *yaml.Node) {
			if s, ok := r.word(v, "target", stageName, stageNameRule); ok {
				rule.Target = &s
			}
		},
		"context":    func(v *yaml.Node) { s := r.path(v, "context"); rule.Context = &s },
		"dockerfile": func(v *yaml.Node) { s := r.path(v, "dockerfile"); rule.Dockerfile = &s },
		"cache": func(v *yaml.Node) {
			if b, ok := r.boolean(v, "cache"); ok {
				rule.Cache = &b
			}
		},
		"automatic": func(v *yaml.Node) {
			if b, ok := r.boolean(v, "automatic"); ok {
				rule.Automatic = &b
			}
		},
	})
	if !ok {
		return rule, false
	}
	count := 0
	for _, c := range conditions() {
		if seen[c] != nil {
			count++
		}
	}
	switch {
	case count == 0:
		r.errorf(n, "the rule does not say what it is for; it needs one of %s", strings.Join(conditions(), ", "))
	case count > 1:
		r.errorf(n, "a rule has only one of %s; write a rule for each", strings.Join(conditions(), ", "))
	}
	return rule, count == 1 && (rule.pattern() != nil || rule.PullRequest)
}

// namePattern reads a pattern over short names of branches or tags.
func (r *reader) namePattern(v *yaml.Node, key, prefix string) *Pattern {
	p, ok := r.parsePattern(v, key)
	if !ok {
		return nil
	}
	if short, ok := strings.CutPrefix(p.String(), prefix); ok {
		r.errorf(v, "a %s is matched by its short name; write %s: %s, or ref: %s", key, key, orStar(short), p)
		return nil
	}
	return &p
}

func orStar(s string) string {
	if s == "" || s == "*" {
		return `"*"`
	}
	return s
}

// refPattern reads a pattern over whole refs.
func (r *reader) refPattern(v *yaml.Node) *Pattern {
	p, ok := r.parsePattern(v, "ref")
	if !ok {
		return nil
	}
	if text := p.String(); p.re == nil && !strings.HasPrefix(text, "refs/") && !strings.HasPrefix(text, "*") {
		r.errorf(v, "a ref is matched whole, like refs/heads/main; write branch: %s or tag: %s for short names", text, text)
		return nil
	}
	return &p
}

func (r *reader) parsePattern(v *yaml.Node, key string) (Pattern, bool) {
	s, ok := r.text(v, `"`+key+`"`)
	if !ok {
		return Pattern{}, false
	}
	p, err := ParsePattern(s)
	if err != nil {
		r.errorIn(v, err)
	}
	return p, err == nil
}

func (r *reader) pullRequest(v *yaml.Node) bool {
	b, ok := r.boolean(v, "pullRequest")
	if ok && !b {
		r.errorf(v, "a rule with pullRequest: false is for nothing; write true or remove the rule")
	}
	return ok && b
}

// tags reads a rule's tag templates.
func (r *reader) tags(v *yaml.Node) []Template {
	var out []Template
	nodes := r.list(v, "tags", "[latest]")
	if len(nodes) > maxTags {
		r.errorf(nodes[maxTags], "a rule has at most %d tags; this is number %d", maxTags, maxTags+1)
		nodes = nodes[:maxTags]
	}
	first := map[string]bool{}
	for _, n := range nodes {
		t, ok := r.template(n, "a tag")
		if !ok {
			continue
		}
		literal, _ := t.Expand(func(string, string) (string, error) { return "", nil })
		switch {
		case first[t.String()]:
			r.errorf(n, "the tag %q stands twice; remove one", t)
		case len(t.variables()) == 0 && !validTag(literal):
			r.errorf(n, "%q cannot be a tag: letters, digits, _, . and -, at most %d characters, neither . nor - first", t, maxTag)
		default:
			first[t.String()] = true
			out = append(out, t)
		}
	}
	return out
}
