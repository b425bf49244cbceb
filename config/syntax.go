package config

import (
	"regexp"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// syntax puts the YAML library's error at its line, in words that say what to
// write. The library's own words are those of its parser.
func (r *reader) syntax(err error) {
	if r.tabs() {
		return
	}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	line = min(max(line, 1), len(r.lines))
	advice := ""
	switch {
	case strings.Contains(msg, "unknown anchor"):
		advice = `a value that begins with "*" must stand in quotes`
		line = r.lineWith("*" + strings.Trim(strings.TrimSuffix(strings.TrimPrefix(msg, "unknown anchor "), " referenced"), "'"))
	case strings.Contains(msg, "alphabetic or numeric character"):
		advice = `a value that begins with "*" or "&", or holds brackets inside { } or [ ], must stand in quotes`
	case strings.Contains(msg, "unknown escape character"):
		advice = `in double quotes a "\" begins an escape; use single quotes`
	case strings.Contains(msg, "cannot start any token"):
		advice = "a value that begins with such a character must stand in quotes"
	case strings.Contains(msg, "mapping values are not allowed"):
		advice = `a value that holds ": " must stand in quotes; or the indentation is wrong`
	case strings.Contains(msg, "unexpected end of stream"):
		advice = "a quote is not closed"
	case strings.HasPrefix(msg, "did not find expected ','"):
		line = r.firstBroken(line-1, msg)
		advice = "a bracket is not closed, or a value that holds brackets, like ${branch}, does not stand in quotes"
	case strings.HasPrefix(msg, "did not find expected"):
		line = r.firstBroken(line-1, msg)
		advice = "the indentation of this line fits no line above, or a bracket or quote before it is not closed"
	}
	text := r.lines[line-1]
	col := len(text) - len(strings.TrimLeft(text, " ")) + 1
	if advice == "" {
		r.report(line, col, "not valid YAML: %s", msg)
		return
	}
	r.report(line, col, "not valid YAML: %s (%s)", advice, msg)
}

var yamlLine = regexp.MustCompile(`^line ([0-9]+): `)

// tabs reports the first line that is indented with a tab, the mistake that
// YAML's own words hide best.
func (r *reader) tabs() bool {
	for i, l := range r.lines {
		indent := l[:len(l)-len(strings.TrimLeft(l, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && len(indent) < len(strings.TrimRight(l, "\r")) {
			r.report(i+1, tab+1, "a tab stands at the beginning of the line; YAML is indented with spaces")
			return true
		}
	}
	return false
}

// lineWith is the first line that holds the text, or 1.
func (r *reader) lineWith(text string) int {
	for i, l := range r.lines {
		if strings.Contains(l, text) {
			return i + 1
		}
	}
	return 1
}

// firstBroken finds the line that makes the text fail with the message. For
// such errors the library tells the line before the block that it was in,
// which may be far away from the mistake.
func (r *reader) firstBroken(good int, message string) int {
	n := sort.Search(len(r.lines)-good, func(i int) bool {
		var doc yaml.Node
		err := yaml.Unmarshal([]byte(strings.Join(r.lines[:good+i+1], "\n")), &doc)
		return err != nil && strings.Contains(err.Error(), message)
	})
	return min(good+n+1, len(r.lines))
}
