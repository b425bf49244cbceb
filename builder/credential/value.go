package credential

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/registry-build/registry-build/builder"
)

// MaxValue is the most bytes that one field of a credential may have.
const MaxValue = 64 << 10

var (
	errTooLong = fmt.Errorf("the value is longer than %d KiB", MaxValue>>10)
	errEmpty   = errors.New("the value is empty")
)

// ReadValue reads a value as people hand it over: on standard input or in a
// file. Line breaks at the end, which editors and echo leave there, are no
// part of it. An empty value, and one of more than MaxValue bytes, is refused.
func ReadValue(r io.Reader) (string, error) {
	// Two bytes more than allowed make room for one line break.
	data, err := io.ReadAll(io.LimitReader(r, MaxValue+3))
	if err != nil {
		return "", fmt.Errorf("read the value: %w", err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	switch {
	case len(data) > MaxValue+2 || len(value) > MaxValue:
		return "", errTooLong
	case value == "":
		return "", errEmpty
	}
	return value, nil
}

// ReadFields reads a credential as people hand it over: the value itself for a
// kind of one field, a YAML mapping for the others. Errors are sentences for
// the person who wrote it, and quote no value.
func ReadFields(kind builder.CredentialKind, r io.Reader) (map[string]string, error) {
	f, err := formOf(kind, "")
	if err != nil {
		return nil, err
	}
	text, err := ReadValue(r)
	if err != nil {
		return nil, err
	}
	if !Single(kind) {
		return f.mapping(text)
	}
	if kind == builder.KindSSHKey || kind == builder.KindKubeconfig {
		text += "\n" // of a file; OpenSSH refuses a key without it
	}
	return map[string]string{builder.FieldValue: text}, nil
}

// mapping reads the fields as they were written: 0123 stays 0123.
func (f form) mapping(text string) (map[string]string, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("the value %s; %s", notYAML(err), f.toWrite())
	}
	if d.Decode(new(yaml.Node)) != io.EOF {
		return nil, fmt.Errorf("the value is more than one YAML document; %s", f.toWrite())
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s %s is made of several fields; %s", article(f.kind), f.kind, f.toWrite())
	}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 { // what fields there are depends on it
		if pairs[i].Value == builder.FieldService {
			f, _ = formOf(f.kind, pairs[i+1].Value)
		}
	}
	fields := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		if err := f.known(key); err != nil {
			return nil, err
		}
		_, twice := fields[key.Value]
		switch {
		case twice:
			return nil, fmt.Errorf("line %d: %s is there twice; write it once", key.Line, key.Value)
		case value.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("line %d: %s is one text; write it in quotes if it has any of : { } [ ] , & * # ? | - < > = ! %% @ in it", key.Line, key.Value)
		case value.Tag == "!!null" && value.Style == 0:
			continue
		}
		fields[key.Value] = value.Value
	}
	return fields, nil
}

// known refuses a key that is no field. It is shown only where it is nearly
// one: a secret with a colon in it looks like a key, too.
func (f form) known(key *yaml.Node) error {
	var names []string
	for _, field := range f.fields {
		if field.Name == key.Value {
			return nil
		}
		names = append(names, field.Name)
	}
	advice := advise(key.Value, names)
	if strings.HasPrefix(advice, "did you mean") {
		return fmt.Errorf("line %d: %s %s has no field %s; %s", key.Line, article(f.kind), f.kind, key.Value, advice)
	}
	return fmt.Errorf("line %d is no field of %s %s; %s", key.Line, article(f.kind), f.kind, f.toWrite())
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// notYAML says where a text is none. The parser's own words may quote it.
func notYAML(err error) string {
	if m := yamlLine.FindString(err.Error()); m != "" {
		return "is no YAML in " + m
	}
	return "is no YAML"
}
