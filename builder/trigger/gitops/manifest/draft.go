package manifest

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// draft collects what has to change in a file.
type draft struct {
	*source
	splices []splice
	changed []*yaml.Node // texts that may differ afterwards
	grown   []*yaml.Node // mappings and lists whose entries may differ
	told    []string     // "digest a → b"
}

// splice replaces the bytes of a range.
type splice struct {
	from, to int
	text     string
}

func (d *draft) splice(from, to int, text string) {
	d.splices = append(d.splices, splice{from, to, text})
}

func (d *draft) tell(what, before, after string) {
	if before == "" {
		before = "none"
	}
	if what != "" {
		what += " "
	}
	d.told = append(d.told, what+before+" → "+after)
}

// apply is the whole file with the splices in place.
func (d *draft) apply() []byte {
	slices.SortStableFunc(d.splices, func(a, b splice) int { return a.from - b.from })
	out := bytes.NewBuffer(nil)
	out.Write(d.whole[:len(d.whole)-len(d.text)])
	at := 0
	for _, s := range d.splices {
		if s.from < at {
			return nil // they overlap: check refuses
		}
		out.Write(d.text[at:s.from])
		out.WriteString(s.text)
		at = s.to
	}
	out.Write(d.text[at:])
	return out.Bytes()
}

// same reports whether two nodes are equal but for what may differ.
func (d *draft) same(a, b *yaml.Node) bool {
	if slices.Contains(d.changed, a) {
		return b.Kind == yaml.ScalarNode && a.Anchor == b.Anchor && b.ShortTag() == "!!str"
	}
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || a.Anchor != b.Anchor {
		return false
	}
	if !slices.Contains(d.grown, a) {
		return slices.EqualFunc(a.Content, b.Content, d.same)
	}
	if a.Kind == yaml.SequenceNode {
		n, more := len(a.Content), len(b.Content)-len(a.Content)
		return more > 0 && (slices.EqualFunc(a.Content, b.Content[:n], d.same) || slices.EqualFunc(a.Content, b.Content[more:], d.same))
	}
	for i := 0; i+1 < len(a.Content); i += 2 {
		if slices.Contains(d.changed, a.Content[i]) || slices.Contains(d.grown, a.Content[i]) {
			continue // a key that goes
		}
		_, v, err := d.value(b, a.Content[i].Value)
		if err != nil || v == nil || !d.same(a.Content[i+1], v) {
			return false
		}
	}
	return true
}

// set writes a text in the place of a scalar, in the way that it was written.
// key is the mapping's key of it, or nil.
func (d *draft) set(key, n *yaml.Node, text, what string) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return d.errorf(n, "%s is the alias *%s: what it stands for is named elsewhere too; write the text itself here", what, n.Value)
	case n.Kind != yaml.ScalarNode, !isNull(n) && n.ShortTag() != "!!str":
		return d.errorf(n, "%s is %s, not a text that names an image", what, describe(n))
	case n.Value == text && !isNull(n):
		return nil
	}
	d.changed = append(d.changed, n)
	if isNull(n) && n.Value == "" {
		at, err := d.colon(key)
		if err != nil {
			return d.errorf(n, "%s has no value, and there is no place for one; write %s: %q", what, what, text)
		}
		d.splice(at, at, " "+plain(text))
		return nil
	}
	from, to, err := d.span(n)
	if err != nil {
		return d.errorf(n, "%s is written over several lines; write it on one line, plain or between quotes", what)
	}
	switch d.text[from] {
	case '"':
		text = `"` + text + `"` // nothing in an image's name has to be escaped
	case '\'':
		text = "'" + text + "'"
	default:
		text = plain(text)
	}
	d.splice(from, to, text)
	return nil
}

// colon is behind the colon of a key.
func (d *draft) colon(key *yaml.Node) (int, error) {
	if key == nil {
		return 0, errNotPlain
	}
	_, to, err := d.span(key)
	if err != nil {
		return 0, err
	}
	for to < len(d.text) && (d.text[to] == ' ' || d.text[to] == '\t') {
		to++
	}
	if to >= len(d.text) || d.text[to] != ':' {
		return 0, errNotPlain
	}
	return to + 1, nil
}

// plain is the text as YAML takes it for a text: in quotes only where it
// would be a number, a date or the like without.
func plain(text string) string {
	var n yaml.Node
	if yaml.Unmarshal([]byte(text), &n) == nil && len(n.Content) == 1 {
		if c := n.Content[0]; c.Kind == yaml.ScalarNode && c.ShortTag() == "!!str" && c.Value == text {
			return text
		}
	}
	return `"` + text + `"`
}

// pair is a key to be added with its value.
type pair struct{ key, value string }

// add puts keys behind the scalar value of a mapping's key, in the mapping's
// own style.
func (d *draft) add(m, behind *yaml.Node, pairs ...pair) error {
	if len(pairs) == 0 {
		return nil
	}
	_, to, err := d.span(behind)
	if err != nil {
		return d.errorf(behind, "%s is written in a way that nothing can be put behind; write it on one line", describe(behind))
	}
	d.grown = append(d.grown, m)
	if isFlow(m) {
		text := ""
		for _, p := range pairs {
			text += ", " + p.key + ": " + plain(p.value)
		}
		d.splice(to, to, text)
		return nil
	}
	indent := strings.Repeat(" ", m.Content[0].Column-1)
	var lines []string
	for _, p := range pairs {
		lines = append(lines, indent+p.key+": "+plain(p.value))
	}
	d.addLines(to, lines...)
	return nil
}

// addLines puts lines behind the line of an offset.
func (d *draft) addLines(at int, lines ...string) {
	next := d.next(at)
	text := strings.Join(lines, d.eol)
	if next == len(d.text) && d.lineEnd(at) == next && next > 0 { // the last line has no end
		d.splice(next, next, d.eol+text)
		return
	}
	d.splice(next, next, text+d.eol)
}
