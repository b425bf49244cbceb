package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is a YAML file with where its lines begin, as the parser counts them.
type source struct {
	file  string
	whole []byte // as it was read
	text  []byte // whole, without a byte order mark
	lines []int  // offsets in text
	docs  []*yaml.Node
	eol   string
}

var bom = []byte("\xef\xbb\xbf")

func parse(file string, whole []byte) (*source, error) {
	s := &source{file: file, whole: whole, text: bytes.TrimPrefix(whole, bom), eol: "\n"}
	if !utf8.Valid(s.text) {
		return nil, fmt.Errorf("%s is no UTF-8 text; save it as UTF-8", file)
	}
	s.lines = lineStarts(s.text)
	if i := bytes.IndexByte(s.text, '\n'); i > 0 && s.text[i-1] == '\r' {
		s.eol = "\r\n"
	}
	for in := yaml.NewDecoder(bytes.NewReader(s.text)); ; {
		var doc yaml.Node
		err := in.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read as YAML (%s); templates with {{ }} are not changed, name the image in a values file", file, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if len(doc.Content) == 1 {
			s.docs = append(s.docs, doc.Content[0])
		}
	}
}

// lineStarts finds the lines as YAML 1.1 breaks them.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		i += n
		switch r {
		case '\r':
			if i < len(text) && text[i] == '\n' {
				i++
			}
		case '\n', '\u0085', '\u2028', '\u2029':
		default:
			continue
		}
		starts = append(starts, i)
	}
	return starts
}

// offset is where the node begins in the text, -1 for one that has no place.
func (s *source) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(s.lines) || n.Column < 1 {
		return -1
	}
	at := s.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(s.text) {
			return -1
		}
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return at
}

// lineEnd is where the line of an offset ends, before its line break.
func (s *source) lineEnd(at int) int {
	for at < len(s.text) && s.text[at] != '\n' && s.text[at] != '\r' {
		at++
	}
	return at
}

// next is where the line after the one of the offset begins.
func (s *source) next(at int) int {
	i, found := slices.BinarySearch(s.lines, at)
	if found {
		i++
	}
	if i >= len(s.lines) {
		return len(s.text)
	}
	return s.lines[i]
}

// errNotPlain is a text that is written in a way we do not replace.
var errNotPlain = errors.New("not on one line")

// span is where a text stands, with its quotes.
func (s *source) span(n *yaml.Node) (from, to int, err error) {
	at := s.offset(n)
	if at < 0 {
		return 0, 0, errNotPlain
	}
	for at < len(s.text) && (s.text[at] == '&' || s.text[at] == '!') { // an anchor, a tag
		for at < len(s.text) && !strings.ContainsRune(" \t\r\n", rune(s.text[at])) {
			at++
		}
		for at < len(s.text) && (s.text[at] == ' ' || s.text[at] == '\t') {
			at++
		}
	}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, errNotPlain
	case n.Style&yaml.DoubleQuotedStyle != 0:
		to, err = quoted(s.text, at, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		to, err = quoted(s.text, at, '\'')
	case n.Value == "" || !bytes.HasPrefix(s.text[at:], []byte(n.Value)):
		err = errNotPlain
	default:
		to = at + len(n.Value)
	}
	return at, to, err
}

// quoted is where the text ends that begins with a quote.
func quoted(text []byte, at int, quote byte) (int, error) {
	if at >= len(text) || text[at] != quote {
		return 0, errNotPlain
	}
	for i := at + 1; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] != quote:
		case quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1, nil
		}
	}
	return 0, errNotPlain
}

// value finds a key of a mapping. The error is a sentence where the key is
// there twice.
func (s *source) value(m *yaml.Node, key string) (k, v *yaml.Node, err error) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Kind != yaml.ScalarNode || m.Content[i].Value != key {
			continue
		}
		if k != nil {
			return nil, nil, s.errorf(m.Content[i], "%q is there twice, in line %d too; remove one of them", key, k.Line)
		}
		k, v = m.Content[i], m.Content[i+1]
	}
	return k, v, nil
}

func (s *source) errorf(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", s.file, n.Line, fmt.Sprintf(format, args...))
}

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe says what a node is, for people.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "the alias *" + n.Value
	case isNull(n):
		return "nothing"
	case n.ShortTag() == "!!str":
		return fmt.Sprintf("the text %q", n.Value)
	}
	return n.Value
}

// keys lists what a mapping has, for people.
func keys(m *yaml.Node) string {
	var names []string
	for i := 0; i+1 < len(m.Content) && len(names) < 10; i += 2 {
		names = append(names, m.Content[i].Value)
	}
	if len(names) == 0 {
		return "it is empty"
	}
	return "it has " + strings.Join(names, ", ")
}
