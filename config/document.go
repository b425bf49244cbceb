package config

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

// maxFile is the largest file that is read, in bytes.
const maxFile = 256 << 10

// maxMessage keeps what a message quotes from growing with the file, in bytes.
const maxMessage = 1000

// reader walks one YAML document and collects every problem on the way.
type reader struct {
	file  string
	lines []string
	diags Diagnostics
	key   *yaml.Node // whose value is being read, for problems of the key itself

	mayBeEmpty bool

	placeLine  int // of placeRunes; 0: none
	placeRunes []rune

	homes   []home                              // where keys belong that stand in the wrong section
	hints   map[string]hint                     // section + "." + key -> what to write instead of a key that people know from elsewhere
	written map[*yaml.Node]string               // values before ${env:…} was replaced: what a message may show
	trace   func(section string, keys []string) // tests see which keys a section knows; usually nil
}

// hint answers a key that another tool has for the same thing.
type hint struct {
	meant  string // the key that counts as written; "": none
	advice string
}

// home is a section with the keys that belong nowhere else.
type home struct {
	section, title string
	keys           []string
}

// open reads the one document of data. It returns nil when there is nothing
// to walk; the problem is in r.diags then.
func (r *reader) open(data []byte) *yaml.Node {
	if len(data) > maxFile {
		r.report(0, 0, "the file has %d bytes; %d (256 KiB) are the most", len(data), maxFile)
		return nil
	}
	r.lines = strings.Split(string(data), "\n")
	if !r.plainText() {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		r.reportEmpty()
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.syntax(err)
		return nil
	default:
		r.report(second.Line, max(second.Column, 1), `a second document begins here; the file holds one: remove the "---"`)
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		r.reportEmpty()
		return nil
	}
	r.refuseReferences(root)
	return root
}

func (r *reader) reportEmpty() {
	if !r.mayBeEmpty {
		r.report(0, 0, "the file is empty; the smallest one is: images: [{name: app}]")
	}
}

// plainText reports bytes that YAML refuses without naming their line.
func (r *reader) plainText() bool {
	for i, l := range r.lines {
		if !utf8.ValidString(l) {
			r.report(i+1, 1, "the line is not UTF-8 text")
			return false
		}
		col := 0
		for _, c := range l {
			col++
			if isControl(c) && c != '\t' && c != '\r' {
				r.report(i+1, col, "the line holds the control character %U", c)
				return false
			}
		}
	}
	return true
}

// refuseReferences reports aliases, merges and tags. References would let a
// small file grow without bound, and a value be somewhere else than its line.
func (r *reader) refuseReferences(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.errorf(n, `"*%s" is an alias; aliases are not supported here, write the value out`, n.Value)
		return // n.Alias may lead back to where we come from
	case n.Style&yaml.TaggedStyle != 0:
		r.errorf(n, "%s is a YAML tag; tags are not supported here, write the value alone", n.Tag)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!merge":
		r.errorf(n, `"<<" merges are not supported here; write the keys out`)
	}
	for _, c := range n.Content {
		r.refuseReferences(c)
	}
}

func (r *reader) report(line, col int, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if len(msg) > maxMessage {
		msg = strings.ToValidUTF8(msg[:maxMessage], "") + "…"
	}
	r.diags = append(r.diags, Diagnostic{File: r.file, Line: line, Col: col, Message: msg})
}

func (r *reader) errorf(n *yaml.Node, format string, args ...any) {
	r.report(n.Line, n.Column, format, args...)
}

func position(n *yaml.Node) Position { return Position{Line: n.Line, Col: n.Column} }

// place returns where each character of a scalar stands in the file, counted
// from 1, or the scalar's beginning for all of them where its text is not
// written as it is read (escapes, several lines).
func (r *reader) place(n *yaml.Node) func(col int) Position {
	begin := func(int) Position { return position(n) }
	if n.Line < 1 || n.Line > len(r.lines) {
		return begin
	}
	if r.placeLine != n.Line { // a file may be one long line
		r.placeLine, r.placeRunes = n.Line, []rune(r.lines[n.Line-1])
	}
	start := n.Column
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		start++
	}
	value := []rune(n.Value)
	if start < 1 || start-1+len(value) > len(r.placeRunes) || !slices.Equal(r.placeRunes[start-1:start-1+len(value)], value) {
		return begin
	}
	return func(col int) Position { return Position{Line: n.Line, Col: start + col - 1} }
}

// errorIn puts an error of one of the package's parsers at its character.
func (r *reader) errorIn(n *yaml.Node, err error) {
	var te *textError
	if errors.As(err, &te) {
		p := r.place(n)(te.col)
		r.report(p.Line, p.Col, "%s", te.message)
		return
	}
	r.errorf(n, "%s", err)
}
