package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
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

func (r *reader) triggers(v *yaml.Node) []Trigger {
	nodes := r.list(v, "triggers", `[{name: audit, webhook: {url: "https://…"}}]`)
	if len(nodes) > maxTriggers {
		r.errorf(nodes[maxTriggers], "an image repository has at most %d triggers; this is number %d", maxTriggers, maxTriggers+1)
		nodes = nodes[:maxTriggers]
	}
	var out []Trigger
	names := map[string]int{}
	for _, n := range nodes {
		t, nameKey := r.trigger(n)
		if t.Name != "" {
			if line, ok := names[t.Name]; ok {
				r.errorf(nameKey, "the name %q is taken by the trigger in line %d; choose another", t.Name, line)
			} else {
				names[t.Name] = nameKey.Line
			}
		}
		out = append(out, t)
	}
	return out
}

func (r *reader) trigger(n *yaml.Node) (Trigger, *yaml.Node) {
	t := Trigger{On: []Outcome{OnPushed}, Pos: position(n)}
	seen, ok := r.section(n, "images[].triggers[]", fields{
		"name":        func(v *yaml.Node) { t.Name, _ = r.word(v, "name", triggerName, triggerNameRule) },
		"tags":        func(v *yaml.Node) { t.Tags = r.tagSelector(v) },
		"on":          func(v *yaml.Node) { t.On = r.outcomes(v) },
		"webhook":     func(v *yaml.Node) { t.Webhook = r.webhook(v) },
		"environment": func(v *yaml.Node) { t.Environment = r.checked(v, "environment", checkEnvironment) },
		"kubernetes":  r.later("Kubernetes triggers are"),
		"chat":        r.later("chat triggers are"),
	})
	if !ok {
		return t, nil
	}
	if seen["name"] == nil {
		r.errorf(n, `the trigger has no name; write name: and %s`, triggerNameRule)
	}
	actions := 0
	for _, a := range []string{"webhook", "kubernetes", "chat"} {
		if seen[a] != nil {
			actions++
		}
	}
	switch {
	case actions == 0:
		r.errorf(n, `the trigger does nothing; write webhook: {url: "https://…"}`)
	case actions > 1:
		r.errorf(n, "a trigger does one thing; write a trigger for each")
	}
	return t, seen["name"]
}

// checkEnvironment says why a name cannot be a deployment environment's.
func checkEnvironment(s string) error {
	if n := utf8.RuneCountInString(s); n < 1 || n > 100 || strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%s cannot be an environment: 1 to 100 characters on one line, without spaces around them", quote(s))
	}
	return nil
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
	if err != nil {
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

func (r *reader) webhook(v *yaml.Node) *Webhook {
	w := &Webhook{}
	seen, ok := r.section(v, "images[].triggers[].webhook", fields{
		"url": func(v *yaml.Node) {
			s, ok := r.text(v, `"url"`)
			if !ok {
				return
			}
			if err := CheckWebhookURL(s); err != nil {
				r.errorf(v, "url: %s", err)
			}
			w.URL = s
		},
		"credential": func(v *yaml.Node) { w.Credential, _ = r.word(v, "credential", credentialName, credentialNameRule) },
	})
	if ok && seen["url"] == nil {
		r.errorf(v, `the webhook has no url; write webhook: {url: "https://…"}`)
	}
	return w
}

// CheckWebhookURL says in one sentence why an address cannot be a webhook's.
// It never quotes the address: people put secrets into them. Whether the
// address may be reached is for the one who dials.
func CheckWebhookURL(s string) error {
	if strings.Contains(s, "${") {
		return errors.New("variables are not replaced in an address; the build is in the body of the request")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2048:
		return errors.New("the address is not valid; write https://host/path, at most 2048 characters")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("the address must begin with https:// (or http://, which anybody on the way can read) and a host")
	case u.User != nil:
		return errors.New("the address holds a user name or password, which everybody who reads the file can see; remove it and name a credential")
	case u.Fragment != "":
		return errors.New(`the address has a "#" part, which is never sent; remove it`)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return errors.New("the port in the address is not one of 1 to 65535")
		}
	}
	return nil
}
