package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"
)

// fields are the keys of one section, with what reads the value of each.
type fields map[string]func(v *yaml.Node)

// section reads a mapping, calling the field of every key in the file's
// order, and returns the keys' nodes. Unknown, repeated and empty keys are
// reported; a misspelt one counts as the key that was meant, so that it is
// not reported as missing as well. It is false when n is no mapping at all.
func (r *reader) section(n *yaml.Node, name string, fs fields) (map[string]*yaml.Node, bool) {
	known := slices.Sorted(maps.Keys(fs))
	if r.trace != nil {
		r.trace(name, known)
	}
	if n.Kind != yaml.MappingNode {
		r.wrongKind(n, `%s is a mapping; write "key: value" lines with the keys %s`, sectionTitle(name), strings.Join(known, ", "))
		return nil, false
	}
	seen := map[string]*yaml.Node{}
	r.pairs(n, func(key, value *yaml.Node) {
		read, ok := fs[key.Value]
		if !ok {
			meant, advice := r.adviseKey(name, key.Value, known)
			r.errorf(key, "unknown key %s%s", quote(key.Value), advice)
			if seen[meant] == nil {
				seen[meant] = key
			}
			return
		}
		seen[key.Value] = key
		if isNull(value) {
			r.errorf(key, "%q has no value; write one or leave the key out", key.Value)
			return
		}
		r.key = key
		read(value)
	})
	return seen, true
}

// pairs calls fn for every key of a mapping that is a text and stands there
// for the first time, and reports the others.
func (r *reader) pairs(n *yaml.Node, fn func(key, value *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.wrongKind(key, "a key is a text")
			continue
		}
		if key.Tag == "!!merge" {
			continue // reported by refuseReferences
		}
		if line, ok := first[key.Value]; ok {
			r.errorf(key, "the key %q stands twice, first in line %d; remove one", key.Value, line)
			continue
		}
		first[key.Value] = key.Line
		fn(key, value)
	}
}

// wrongKind reports n unless it is an alias, which was reported already.
func (r *reader) wrongKind(n *yaml.Node, format string, args ...any) {
	if n.Kind != yaml.AliasNode {
		r.errorf(n, format, args...)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// sectionTitle is how a message names a section: "" is the file.
func sectionTitle(name string) string {
	switch {
	case name == "":
		return "the file"
	case strings.HasSuffix(name, "[]"):
		return fmt.Sprintf("an entry of %q", lastKey(strings.TrimSuffix(name, "[]")))
	}
	return fmt.Sprintf("%q", lastKey(name))
}

func lastKey(section string) string { return section[strings.LastIndexByte(section, '.')+1:] }

// adviseKey says what to write instead of an unknown key, and which key was
// meant where that is clear.
func (r *reader) adviseKey(section, key string, known []string) (meant, advice string) {
	if h, ok := r.hints[section+"."+key]; ok {
		return h.meant, "; " + h.advice
	}
	near, distance := nearestWithin(key, known)
	for _, h := range r.homes {
		// A typing error is likelier than a key in the wrong place.
		if h.section != section && slices.Contains(h.keys, key) && (near == "" || distance > 1) {
			return "", "; it belongs in " + h.title
		}
	}
	if near != "" {
		return near, fmt.Sprintf("; did you mean %q?", near)
	}
	return "", "; known here: " + strings.Join(known, ", ")
}

// nearest returns the known word that the wrong one was probably meant to be.
func nearest(word string, known []string) string {
	s, _ := nearestWithin(word, known)
	return s
}

func nearestWithin(word string, known []string) (found string, best int) {
	bare := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
	}
	limit := 1 + min(len(word)/4, 2) // a transposition counts two
	best = limit + 1
	for _, k := range known {
		d := levenshtein.Distance(bare(word), bare(k), nil)
		// Of two that are as near, the one that begins alike: appId is no "api".
		nearer := d < best || d == best && found != "" && !strings.HasPrefix(word, found) && strings.HasPrefix(word, k)
		if nearer && d < len(k) {
			best, found = d, k
		}
	}
	return found, best
}

// list returns the entries of a sequence; example is the value as a list.
func (r *reader) list(n *yaml.Node, key, example string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.wrongKind(n, "%q is a list; write %s: %s", key, key, example)
		return nil
	}
	if len(n.Content) == 0 {
		r.errorf(n, "%q is an empty list; name something or leave the key out", key)
	}
	return n.Content
}

// text returns a scalar as it is written, so that a version 1.10 stays 1.10.
func (r *reader) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		r.wrongKind(n, "%s is a text, not a %s", what, kindName(n))
		return "", false
	}
	if isNull(n) {
		r.errorf(n, `%s has no value; write "" where an empty text is meant`, what)
		return "", false
	}
	return n.Value, true
}

func kindName(n *yaml.Node) string {
	if n.Kind == yaml.SequenceNode {
		return "list"
	}
	return "mapping"
}

// show quotes a value for a message, as it was written: what ${env:…} was
// replaced by may be a secret.
func (r *reader) show(n *yaml.Node) string {
	if s, ok := r.written[n]; ok {
		return s
	}
	return quote(n.Value)
}

// quote puts a text into quotes as it is, if it is one that can be read, so
// that a backslash stays one.
func quote(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	if strings.ContainsFunc(s, isControl) || strings.Contains(s, `"`) {
		return strconv.Quote(s)
	}
	return `"` + s + `"`
}

// word returns a scalar that must match the expression; rule says in words
// what that is.
func (r *reader) word(n *yaml.Node, key string, re *regexp.Regexp, rule string) (string, bool) {
	s, ok := r.text(n, strconv.Quote(key))
	if ok && !re.MatchString(s) {
		if lower := strings.ToLower(s); lower != s && re.MatchString(lower) {
			rule = fmt.Sprintf("write %q", lower)
		}
		a := "a"
		if strings.ContainsRune("aei", rune(key[0])) {
			a = "an"
		}
		r.errorf(n, "%s cannot be %s %s: %s", r.show(n), a, key, rule)
		return "", false
	}
	return s, ok
}

// oneOf returns a scalar that is one of the words.
func (r *reader) oneOf(n *yaml.Node, key string, words ...string) (string, bool) {
	s, ok := r.text(n, strconv.Quote(key))
	if !ok || slices.Contains(words, s) {
		return s, ok
	}
	advice := "; write " + strings.Join(words, " or ")
	if w := nearest(s, words); w != "" {
		advice = fmt.Sprintf("; did you mean %q?", w)
	}
	r.errorf(n, "%q is not %s%s", key, r.show(n), advice)
	return "", false
}

func (r *reader) boolean(n *yaml.Node, key string) (value, ok bool) {
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "true", "false":
			return n.Value == "true", true
		}
		r.errorf(n, "%q is not %s; write true or false", key, r.show(n))
		return false, false
	}
	r.wrongKind(n, "%q is true or false, not a %s", key, kindName(n))
	return false, false
}

// later refuses what the file format has a place for but this version cannot
// do yet.
func (r *reader) later(what string) func(*yaml.Node) {
	return func(*yaml.Node) {
		r.errorf(r.key, "%q: %s not supported yet and will come in a later version; leave the key out until then", r.key.Value, what)
	}
}
