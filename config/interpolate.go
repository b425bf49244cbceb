package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxInclude is the largest file that ${file:PATH} reads, in bytes.
const maxInclude = 64 << 10

// interpolate replaces ${env:NAME} and ${file:PATH} in every value below n,
// never in keys. It remembers what was written, because what it was replaced
// by must not show up in a message.
func (r *reader) interpolate(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			r.interpolate(n.Content[i])
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			r.interpolate(c)
		}
	case yaml.ScalarNode:
		if !strings.Contains(n.Value, "$") {
			return
		}
		s, err := replaceReferences(n.Value, filepath.Dir(r.file))
		if err != nil {
			r.errorIn(n, err)
			n.Kind = yaml.AliasNode // reported: whoever reads it stays silent
			return
		}
		if s != n.Value {
			r.written[n] = n.Value
			n.Value = s
		}
	}
}

// replaceReferences expands one value. "$$" is one dollar sign, a "$" before
// anything else but "{" stands for itself, as in templates. What comes in is
// not expanded again.
func replaceReferences(s, dir string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) || s[i+1] != '$' && s[i+1] != '{' {
			b.WriteByte(s[i])
			continue
		}
		if s[i+1] == '$' {
			b.WriteByte('$')
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return "", errors.New(`"${" has no "}"; write "$${" where you mean the characters themselves`)
		}
		v, err := resolveReference(s[i+2:i+end], dir)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
		i += end
	}
	return b.String(), nil
}

func resolveReference(ref, dir string) (string, error) {
	kind, name, _ := strings.Cut(ref, ":")
	switch {
	case kind == "env" && name != "":
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("${env:%s}: the environment variable %s is not set", name, name)
		}
		return v, nil
	case kind == "file" && name != "":
		v, err := readInclude(name, dir)
		if err != nil {
			return "", fmt.Errorf("${file:%s}: %w", name, err)
		}
		return v, nil
	}
	return "", fmt.Errorf(`"${%s}" is neither ${env:NAME} nor ${file:PATH}; write "$${" where you mean the characters themselves`, ref)
}

// readInclude returns a file's text without the line end that editors put
// last. A relative name starts at the server file's folder.
func readInclude(name, dir string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no file %s", name)
	case err != nil:
		return "", err
	case !info.Mode().IsRegular(): // reading a pipe could wait for ever
		return "", fmt.Errorf("%s is no regular file", name)
	case info.Size() > maxInclude:
		return "", fmt.Errorf("the file %s has %d bytes; %d are the most", name, info.Size(), maxInclude)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
