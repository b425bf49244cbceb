package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

var triggerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{1,63}$`)

const triggerNameRule = "a letter first, then letters, digits, - and _, 2 to 64 characters in all"

// credentialName names an entry of the encrypted store.
var credentialName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

const credentialNameRule = "letters, digits, -, _ and ., a letter or digit first, at most 64 characters"

// CheckCredentialName says in one sentence why a name cannot be a credential's.
func CheckCredentialName(s string) error {
	if !credentialName.MatchString(s) {
		return fmt.Errorf("%s cannot be a credential: %s", quote(s), credentialNameRule)
	}
	return nil
}

// maker says whose triggers are read: those of a build file, or the operator's.
type maker struct {
	section  string // for keys and messages
	operator bool
}

func (r *reader) triggers(v *yaml.Node) []Trigger {
	nodes := r.list(v, "triggers", `[{name: audit, webhook: {url: "https://…"}}]`)
	if len(nodes) > MaxTriggers {
		r.errorf(nodes[MaxTriggers], "an image repository has at most %d triggers; this is number %d", MaxTriggers, MaxTriggers+1)
		nodes = nodes[:MaxTriggers]
	}
	var out []Trigger
	names := map[string]int{}
	for _, n := range nodes {
		out = append(out, r.trigger(n, maker{section: "images[].triggers[]"}, names, nil))
	}
	return out
}

// actions are the keys that say what a trigger does.
func actions() []string { return []string{"webhook", "kubernetes", "gitops", "chat"} }

// trigger reads one trigger; more are the keys that only its maker's have.
func (r *reader) trigger(n *yaml.Node, by maker, names map[string]int, more fields) Trigger {
	t := Trigger{On: []Outcome{OnPushed}, Pos: position(n)}
	fs := fields{
		"name":        func(v *yaml.Node) { t.Name, _ = r.word(v, "name", triggerName, triggerNameRule) },
		"tags":        func(v *yaml.Node) { t.Tags = r.tagSelector(v) },
		"on":          func(v *yaml.Node) { t.On = r.outcomes(v) },
		"environment": func(v *yaml.Node) { t.Environment = r.environment(v) },
		"webhook":     func(v *yaml.Node) { t.Webhook = r.webhook(v, by) },
		"kubernetes":  func(v *yaml.Node) { t.Kubernetes = r.kubernetes(v, by) },
		"gitops":      func(v *yaml.Node) { t.GitOps = r.gitops(v, by) },
		"chat":        func(v *yaml.Node) { t.Chat = r.chat(v, by) },
	}
	maps.Copy(fs, more)
	seen, ok := r.section(n, by.section, fs)
	if !ok {
		return t
	}
	if seen["name"] == nil {
		r.errorf(n, `the trigger has no name; write name: and %s`, triggerNameRule)
	} else if t.Name != "" {
		if line, ok := names[t.Name]; ok {
			r.errorf(seen["name"], "the name %q is taken by the trigger in line %d; choose another", t.Name, line)
		} else {
			names[t.Name] = seen["name"].Line
		}
	}
	var does []string
	for _, a := range actions() {
		if seen[a] != nil {
			does = append(does, a)
		}
	}
	switch {
	case len(does) == 0:
		r.errorf(n, `the trigger does nothing; write webhook: {url: "https://…"}, or kubernetes, gitops or chat`)
	case len(does) > 1:
		r.errorf(n, "a trigger does one thing; write a trigger for each")
	default:
		r.listens(seen["on"], does[0], t)
	}
	return t
}

// listens checks that what a trigger does can be done when it fires: without
// a new image there is nothing to roll out.
func (r *reader) listens(on *yaml.Node, does string, t Trigger) {
	if on == nil || !slices.ContainsFunc(t.On, func(o Outcome) bool { return o != OnPushed }) {
		return
	}
	switch {
	case does == "kubernetes" || does == "gitops":
		r.errorf(on, `a %s trigger rolls out the image that was pushed, so its "on" is [pushed]; leave it out, and tell people of the rest by another trigger`, does)
	case t.Webhook != nil && t.Webhook.Format == FormatDockerHub:
		r.errorf(on, `a webhook of Docker Hub tells of a push and of nothing else, so the "on" of format dockerhub is [pushed]; leave it out, or choose another format`)
	}
}

// environment is the name of a forge's deployment environment.
func (r *reader) environment(v *yaml.Node) string {
	s, ok := r.text(v, `"environment"`)
	if n := utf8.RuneCountInString(s); ok && (n < 1 || n > 100 || strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl)) {
		r.errorf(v, "environment: %s cannot be an environment: 1 to 100 characters on one line, without spaces around them", r.show(v))
	}
	return s
}

func (r *reader) tagSelector(v *yaml.Node) TagSelector {
	var (
		sel TagSelector
		err error
	)
	if v.Kind == yaml.SequenceNode {
		var tags []string
		for _, n := range v.Content {
			if s, ok := r.text(n, "a tag"); ok {
				tags = append(tags, s)
			}
		}
		if len(tags) < len(v.Content) {
			return sel
		}
		sel, err = selectTags(tags)
	} else {
		s, ok := r.text(v, `"tags"`)
		if !ok {
			return sel
		}
		sel, err = ParseTagSelector(s)
	}
	if _, replaced := r.written[v]; err != nil && replaced { // the sentence would quote it
		r.errorf(v, "%s selects no tags; write all, one;two, [one, two] or a regular expression between slashes", r.show(v))
	} else if err != nil {
		r.errorIn(v, err)
	}
	return sel
}

func (r *reader) outcomes(v *yaml.Node) []Outcome {
	var out []Outcome
	for _, n := range r.list(v, "on", "[pushed, failed]") {
		s, ok := r.oneOf(n, "on", string(OnPushed), string(OnFailed), string(OnRecovered))
		if !ok {
			continue
		}
		if slices.Contains(out, Outcome(s)) {
			r.errorf(n, "%s stands twice; remove one", s)
			continue
		}
		out = append(out, Outcome(s))
	}
	return out
}
