package importer

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/registry-build/registry-build/config"
)

// rule is one rule of the build file.
type rule struct {
	line     int    // in the source
	number   int    // from 1, in the source
	id       string // the service's; "" where it has none
	original string // the condition as the service has it
	joined   []*rule

	key, pattern string // branch, tag or ref, and what it matches
	standIn      bool   // matches nothing until a person has mended it
	lost         bool   // a tag, which was noted
	comments     []string
	tags         []string // templates
	args         []arg
	context      string // "." is the root
	dockerfile   string
	platform     string // "": the builder's own
	cache        bool
	automatic    bool
}

type arg struct {
	name, value string // the value a template
}

func newRule(number, line int) *rule {
	return &rule{number: number, line: line, context: ".", dockerfile: "Dockerfile", cache: true, automatic: true}
}

func (r *rule) comment(format string, args ...any) {
	r.comments = append(r.comments, oneLine(fmt.Sprintf(format, args...)))
}

// label names the rule to a person.
func (r *rule) label() string {
	if r.id == "" {
		return fmt.Sprintf("rule %d", r.number)
	}
	return fmt.Sprintf("rule %d, %s", r.number, r.id)
}

// standInFor puts a pattern into the rule's place that no ref can have: git
// allows no "..". What the rule had stays beside it.
func (r *rule) standInFor(why string) {
	was := ""
	if r.key != "" {
		was = fmt.Sprintf("; it was %s: %s", r.key, r.pattern)
	}
	r.comment("TODO: %s. Until that is mended the rule is for a name that no ref can have, and builds nothing%s", strings.TrimRight(why, "."), was)
	if r.key == "" {
		r.key = "branch"
	}
	r.pattern, r.standIn = fmt.Sprintf("todo..rule-%d", r.number), true
	if r.key == "ref" {
		r.pattern = "refs/heads/" + r.pattern
	}
}

// secretName are names of arguments whose values do not belong into a file
// that is committed.
var secretName = regexp.MustCompile(`(?i)(^|_)(password|passwd|pwd|secret|token|credentials?|apikey|accesskey|privatekey)(_|$)|(api|access|private|secret)_?key`)

// args reads build arguments: a mapping, or a list of NAME=VALUE or of
// {Key, Value}. Values are the service's, without variables.
func (d *draft) args(r *rule, n *yaml.Node) {
	switch {
	case n == nil:
	case n.Kind == yaml.SequenceNode || wrapsList(n):
		for _, e := range list(n) {
			if name, value, ok := keyValue(e); ok {
				d.arg(r, e.Line, name, value)
				continue
			}
			d.args(r, e)
		}
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			value, ok := argValue(n.Content[i+1])
			if !ok {
				d.note(n.Content[i].Line, "the build argument %q has no text as its value", n.Content[i].Value)
				continue
			}
			d.arg(r, n.Content[i].Line, n.Content[i].Value, value)
		}
	default:
		name, value, ok := strings.Cut(n.Value, "=")
		if !ok {
			d.note(n.Line, "%s: a build argument is written NAME=VALUE", r.label())
			return
		}
		d.arg(r, n.Line, name, value)
	}
}

func (d *draft) arg(r *rule, line int, name, value string) {
	if secretName.MatchString(name) {
		d.note(line, "the build argument %s looks like a secret, and its value is not written: a build file is read by everybody who reads the repository; keep it with `registry-build credentials set`, and name it in secrets", name)
		r.comment("TODO: the argument %s is left out: a secret does not belong here, but in secrets: [{id: …, credential: …}].", name)
		return
	}
	r.args = append(r.args, arg{name, literal(value)})
}

// keyValue reads {Key: NAME, Value: VALUE}, and nothing but.
func keyValue(n *yaml.Node) (name, value string, ok bool) {
	s := sectionOf(n)
	name, ok = text(s.take("key", "name", "变量名"))
	value, _ = argValue(s.take("value", "变量值"))
	return name, value, ok && len(s.left()) == 0
}

// argValue is text, with the empty text.
func argValue(n *yaml.Node) (string, bool) {
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return "", true
	}
	return n.Value, n.Kind == yaml.ScalarNode
}

// literal is the template that comes to exactly s.
func literal(s string) string {
	if !strings.Contains(s, "$$") && !strings.Contains(s, "${") {
		return s
	}
	return strings.ReplaceAll(s, "$", "$$")
}

// inside is a directory of a service, which begins at the root of the
// repository, as a build file has it.
func inside(s string) string {
	s = strings.TrimPrefix(strings.Trim(strings.TrimSpace(s), "/"), "./")
	if s == "" {
		return "."
	}
	return s
}

// settle turns what a build file refuses into stand-ins and notes, puts rules
// together that differ in their tags only, and names the images.
func (d *draft) settle() {
	for _, im := range d.images {
		var kept []*rule
		for _, r := range im.rules {
			d.check(r)
			if same := like(kept, r); same != nil {
				same.join(r)
				continue
			}
			kept = append(kept, r)
		}
		im.rules = kept
	}
	d.nameImages()
	slices.SortStableFunc(d.unmapped, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
}

// check tries the rule's parts one after another in a build file of its own.
func (d *draft) check(r *rule) {
	whole := *r
	if more := len(r.args) - maxArgs; more > 0 {
		d.note(r.line, "%s: %d build arguments are left out: %d are the most", r.label(), more, maxArgs)
		whole.args = r.args[:maxArgs]
	}
	if more := len(r.tags) - maxTags; more > 0 {
		d.note(r.line, "%s: %d tags are left out: %d are the most", r.label(), more, maxTags)
		whole.tags = r.tags[:maxTags]
	}
	r.tags, r.args, r.platform = nil, nil, ""
	if !r.standIn {
		if why := refusal(r); why != "" {
			d.note(r.line, "%s: %s", r.label(), why)
			r.standInFor(why)
			r.context, r.dockerfile = ".", "Dockerfile"
		}
	} else if refusal(r) != "" {
		r.context, r.dockerfile = ".", "Dockerfile"
	}
	for _, a := range whole.args {
		r.args = append(r.args, a)
		if why := refusal(r); why != "" {
			r.args = r.args[:len(r.args)-1]
			d.note(r.line, "%s: %s", r.label(), why)
			r.comment("TODO: the argument %s is left out: %s.", a.name, why)
		}
	}
	if r.platform = whole.platform; r.platform != "" {
		if why := refusal(r); why != "" {
			r.platform = ""
			d.note(r.line, "%s: %s", r.label(), why)
		}
	}
	for _, t := range whole.tags {
		if slices.Contains(r.tags, t) {
			continue
		}
		r.tags = append(r.tags, t)
		if why := refusal(r); why != "" {
			r.tags = r.tags[:len(r.tags)-1]
			d.note(r.line, "%s: the tag %q: %s", r.label(), t, why)
			r.comment("TODO: the tag %s is left out: %s.", t, why)
		}
	}
	if len(r.tags) == 0 && !r.standIn {
		why := "no tag is left"
		if !r.lost && len(whole.tags) == 0 {
			why = "the rule says no tag"
			d.note(r.line, "%s: %s", r.label(), why)
		}
		r.standInFor(why)
	}
}

// refusal is what config says of a build file of this rule alone; "" is
// nothing.
func refusal(r *rule) string {
	probe := draft{images: []*image{{rules: []*rule{r}}}}
	_, problems := config.ParseBuildFile(config.BuildFileName, probe.plain())
	if len(problems) == 0 {
		return ""
	}
	return problems[0].Message
}

// like finds the rule that differs from r in its tags only.
func like(rules []*rule, r *rule) *rule {
	for _, o := range rules {
		if !o.standIn && !r.standIn && o.key == r.key && o.pattern == r.pattern && o.context == r.context && o.dockerfile == r.dockerfile &&
			o.platform == r.platform && o.cache == r.cache && o.automatic == r.automatic && slices.Equal(o.args, r.args) {
			return o
		}
	}
	return nil
}

// join takes the tags of a rule that is like r.
func (r *rule) join(o *rule) {
	for _, t := range o.tags {
		if !slices.Contains(r.tags, t) {
			r.tags = append(r.tags, t)
		}
	}
	r.joined = append(r.joined, o)
	for _, c := range o.comments {
		if !slices.Contains(r.comments, c) {
			r.comments = append(r.comments, c)
		}
	}
}

var noName = regexp.MustCompile(`[^a-z0-9]+`)

// nameImages names each image for its repository, where there is one.
func (d *draft) nameImages() {
	taken := map[string]bool{}
	for _, im := range d.images {
		last := im.repository[strings.LastIndexByte(im.repository, '/')+1:]
		last, _, _ = strings.Cut(last, ":")
		im.name = strings.Trim(noName.ReplaceAllString(strings.ToLower(last), "-"), "-")
		if len(im.name) > 60 {
			im.name = strings.Trim(im.name[:60], "-")
		}
		if im.name == "" && len(d.images) > 1 {
			im.name = "image"
		}
		base := im.name
		for n := 2; im.name != "" && taken[im.name]; n++ {
			im.name = fmt.Sprintf("%s-%d", base, n)
		}
		taken[im.name] = true
	}
}
