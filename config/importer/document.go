package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/registry-build/registry-build/config"
)

// parse reads the documents of a source, each a mapping or a list.
func parse(name string, data []byte) ([]*yaml.Node, error) {
	fail := func(line int, format string, args ...any) error {
		return config.Diagnostics{{File: name, Line: line, Col: min(line, 1), Message: fmt.Sprintf(format, args...)}}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > maxSource:
		return nil, fail(0, "it has %d bytes; %d (1 MiB) are the most", len(data), maxSource)
	case !utf8.Valid(data):
		return nil, fail(0, "it is not UTF-8 text")
	}
	if json.Valid(data) {
		data = jsonAsYAML(data)
	}
	var roots []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, text := yamlProblem(err, data)
			return nil, fail(line, "it is neither YAML nor JSON: %s (put values with characters like * ? : { [ into quotes, 'single' ones where there is a \\)", text)
		}
		if len(doc.Content) == 0 {
			continue
		}
		root := doc.Content[0]
		if n := reference(root); n != nil {
			return nil, fail(n.Line, "YAML aliases are not supported here; write the value out")
		}
		switch {
		case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		case root.Kind == yaml.ScalarNode:
			return nil, fail(root.Line, "it is a text, not a description of build rules; %s", expected)
		default:
			roots = append(roots, root)
		}
	}
	if len(roots) == 0 {
		return nil, fail(0, "it is empty; %s", expected)
	}
	return roots, nil
}

// jsonAsYAML changes what the YAML library does not take of JSON: tabs before
// the first bracket, "\/", and characters written as two surrogates. Lines stay
// where they are, which is why the JSON is not simply decoded.
func jsonAsYAML(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		switch {
		case data[i] == '\t': // inside of a string it would be no JSON
			out = append(out, ' ')
		case data[i] != '\\':
			out = append(out, data[i])
		case data[i+1] == '/':
			i++
			out = append(out, '/')
		case data[i+1] == 'u' && surrogate(data[i:]) != 0:
			out = utf8.AppendRune(out, surrogate(data[i:]))
			i += 11
		default:
			i++
			out = append(out, '\\', data[i])
		}
	}
	return out
}

// surrogate is the character of \uXXXX\uXXXX at the beginning of the text, 0
// where there is none.
func surrogate(data []byte) rune {
	if len(data) < 12 || data[6] != '\\' || data[7] != 'u' {
		return 0
	}
	high, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	low, err2 := strconv.ParseUint(string(data[8:12]), 16, 16)
	if r := utf16.DecodeRune(rune(high), rune(low)); err == nil && err2 == nil && r != utf8.RuneError {
		return r
	}
	return 0
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): `)

var yamlAnchor = regexp.MustCompile(`unknown anchor '([^']*)'`)

// yamlProblem is the library's error, with its line, which it leaves out for
// a "*" that stands without quotes.
func yamlProblem(err error, data []byte) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if m := yamlAnchor.FindStringSubmatch(text); m != nil {
		if before, _, ok := strings.Cut(string(data), "*"+m[1]); ok {
			line = 1 + strings.Count(before, "\n")
		}
	}
	return max(line, 1), text
}

// reference returns the first alias: its target may lead back to where it
// stands.
func reference(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n
	}
	for _, c := range n.Content {
		if found := reference(c); found != nil {
			return found
		}
	}
	return nil
}

// section is a mapping whose keys are read one by one; what is left then was
// not understood.
type section struct {
	line    int
	entries []*entry
}

type entry struct {
	key   string // as it was written
	name  string // see plainKey
	line  int
	value *yaml.Node
	read  bool
}

func sectionOf(n *yaml.Node) *section {
	s := &section{line: n.Line}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		s.entries = append(s.entries, &entry{key: k.Value, name: plainKey(k.Value), line: k.Line, value: n.Content[i+1]})
	}
	return s
}

// plainKey makes DockerfilePath, dockerfile_path and "Dockerfile 路径" with and
// without its space comparable.
func plainKey(s string) string {
	return strings.NewReplacer(" ", "", "_", "", "-", "", "　", "").Replace(strings.ToLower(s))
}

// take returns the first unread value whose key has one of the names, in
// plainKey's form; nil where there is none, or an empty one.
func (s *section) take(names ...string) *yaml.Node {
	for _, name := range names {
		for _, e := range s.entries {
			if e.name != name || e.read {
				continue
			}
			e.read = true
			if e.value.Kind == yaml.ScalarNode && (e.value.Tag == "!!null" || e.value.Value == "") {
				continue
			}
			return e.value
		}
	}
	return nil
}

// has reports whether a key of the name was read.
func (s *section) has(name string) bool {
	for _, e := range s.entries {
		if e.name == name && e.read {
			return true
		}
	}
	return false
}

// hasUnread reports whether one of the keys is still to be read.
func (s *section) hasUnread(names []string) bool {
	return slices.ContainsFunc(s.left(), func(e *entry) bool { return slices.Contains(names, e.name) })
}

// left are the keys that nobody has read.
func (s *section) left() []*entry {
	var out []*entry
	for _, e := range s.entries {
		if !e.read {
			out = append(out, e)
		}
	}
	return out
}

// list returns the entries of a list. The services' XML-minded clients wrap
// one into a mapping of one key; a single value is a list of it.
func list(n *yaml.Node) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	case wrapsList(n):
		return n.Content[1].Content
	}
	return []*yaml.Node{n}
}

func wrapsList(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[1].Kind == yaml.SequenceNode
}

// text returns a scalar; false for anything else, and for nothing.
func text(n *yaml.Node) (string, bool) {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", false
	}
	return strings.TrimSpace(n.Value), true
}

// boolean reads a switch in the words of an API, a console or a person.
func boolean(n *yaml.Node) (value, ok bool) {
	s, ok := text(n)
	if !ok {
		return false, false
	}
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1", "是", "开启", "开", "已开启":
		return true, true
	case "false", "no", "off", "0", "否", "关闭", "关", "已关闭", "未开启":
		return false, true
	}
	return false, false
}
