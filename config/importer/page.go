package importer

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// page is a build file as it is written, line by line.
type page struct {
	strings.Builder
	bare bool            // without comments
	said map[string]bool // what is told once in a file
}

func (p *page) line(indent int, format string, args ...any) {
	fmt.Fprintf(p, "%s%s\n", strings.Repeat(" ", indent), fmt.Sprintf(format, args...))
}

// comment writes a text above the line that it is about.
func (p *page) comment(indent int, format string, args ...any) {
	if p.bare {
		return
	}
	for _, l := range wrap(oneLine(fmt.Sprintf(format, args...)), 98-indent) {
		p.line(indent, "# %s", l)
	}
}

// once writes a comment that is about more than its line, where it is due for
// the first time. A TODO is about its line.
func (p *page) once(indent int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.bare || p.said[text] {
		return
	}
	p.said[text] = !strings.HasPrefix(text, "TODO")
	p.comment(indent, "%s", text)
}

// oneLine makes a text one that a comment can hold.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s
}

// wrap breaks a text at spaces; a word that is longer stays whole.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Split(s, " ") {
		if line != "" && len([]rune(line))+1+len([]rune(w)) > width {
			lines = append(lines, line)
			line = w
			continue
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}

var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

// quoted writes a text as a YAML scalar, inside of brackets too.
func quoted(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plainText.MatchString(s) || s == "." {
			return s
		}
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\' || r == '"':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r > 0xffff && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08X`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

// pattern writes a branch, tag or ref; expressions without quotes, as people
// write them, where YAML reads them the same.
func pattern(s string) string {
	if strings.HasPrefix(s, "/") {
		var v map[string]string
		if err := yaml.Unmarshal([]byte("k: "+s), &v); err == nil && v["k"] == s {
			return s
		}
		if !strings.ContainsAny(s, "\n\r\t") {
			return "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
	}
	return quoted(s)
}
