package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxTemplate = 4096     // bytes of a template
	maxExpanded = 16 << 10 // bytes of what it comes to: arguments may be made of arguments
)

// What ${commit} and ${time} stand for without a format.
const (
	defaultCommitLength = 6
	DefaultTimeFormat   = "yyyyMMddHHmm"
)

// Template is a text with variables: v-${VERSION}-${time:yyyyMMdd}. "$$" is
// one dollar sign; a "$" before anything else but "{" stands for itself. The
// zero Template is the empty text.
type Template struct {
	text  string
	parts []part
}

type part struct {
	literal  string
	variable variable // Name "": a literal
	pos      Position // of the variable in its file, where there is one
}

// variable is one ${name} or ${name:format} of a template.
type variable struct {
	Name   string
	Format string // after the first colon; "" for the default
	Col    int    // of the "$", in characters from 1
}

// ParseTemplate reads a template and checks the formats of ${commit}, ${time}
// and ${buildTime}. Which names have a value is not known here: ParseBuildFile
// checks that for each rule. Its errors are sentences for the person who
// wrote it.
func ParseTemplate(s string) (Template, error) {
	if len(s) > maxTemplate {
		return Template{}, fmt.Errorf("a text has %d bytes; %d are the most", len(s), maxTemplate)
	}
	t := Template{text: s}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t.parts = append(t.parts, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(s); {
		if s[i] != '$' || i+1 == len(s) || s[i+1] != '$' && s[i+1] != '{' {
			literal.WriteByte(s[i])
			i++
			continue
		}
		if s[i+1] == '$' {
			literal.WriteByte('$')
			i += 2
			continue
		}
		col := utf8.RuneCountInString(s[:i]) + 1
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return Template{}, &textError{col, `"${" has no "}"; write "$${" where you mean the characters themselves`}
		}
		v, err := parseVariable(s[i+2 : i+end])
		if err != nil {
			return Template{}, &textError{col, err.Error()}
		}
		v.Col = col
		flush()
		t.parts = append(t.parts, part{variable: v})
		i += end + 1
	}
	flush()
	return t, nil
}

// textError is a problem at a character of a text, counted from 1.
type textError struct {
	col     int
	message string
}

func (e *textError) Error() string { return e.message }

func parseVariable(s string) (variable, error) {
	name, format, colon := strings.Cut(s, ":")
	if !isName(name) {
		return variable{}, fmt.Errorf(`"${%s}" is no variable; write "${name}", a letter first, without spaces`, s)
	}
	if colon && format == "" {
		return variable{}, fmt.Errorf(`"${%s}" has nothing after its colon; write "${%s}" for the default format`, s, name)
	}
	var err error
	switch name {
	case "commit":
		_, err = commitLength(format)
	case "time", "buildTime":
		_, err = goLayout(format)
	default:
		if colon {
			err = fmt.Errorf("only commit, time and buildTime take a format; write ${%s}", name)
		}
	}
	if err != nil {
		return variable{}, fmt.Errorf("${%s}: %w", s, err)
	}
	return variable{Name: name, Format: format}, nil
}

// isName reports whether s can name a variable, an argument or a group.
func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// variables are the variables in the order of the text, repeated where the
// text repeats them.
func (t Template) variables() []variable {
	var vs []variable
	for _, p := range t.parts {
		if p.variable.Name != "" {
			vs = append(vs, p.variable)
		}
	}
	return vs
}

// Expand replaces every variable by what lookup returns for it, and stops at
// lookup's first error, or where the text becomes longer than 16 KiB.
func (t Template) Expand(lookup func(name, format string) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.variable.Name == "" {
			b.WriteString(p.literal)
			continue
		}
		s, err := lookup(p.variable.Name, p.variable.Format)
		if err != nil {
			return "", fmt.Errorf("%s: %w", t.text, err)
		}
		if b.WriteString(s); b.Len() > maxExpanded {
			return "", fmt.Errorf("%s comes to more than %d bytes", quote(t.text), maxExpanded)
		}
	}
	return b.String(), nil
}

// String is the template as it was written.
func (t Template) String() string { return t.text }

// Equal reports whether both were written the same.
func (t Template) Equal(o Template) bool { return t.text == o.text }

// FormatTime writes t, in its own location, by a layout of the letters yyyy,
// MM, dd, HH, mm and ss and any characters that are no letters. The empty
// layout is DefaultTimeFormat.
func FormatTime(t time.Time, layout string) (string, error) {
	pieces, err := goLayout(layout)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range pieces {
		if p.letters {
			b.WriteString(t.Format(p.text))
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String(), nil
}

// layoutPiece is a Go layout, or text to be taken as it is: a literal "2" or
// "_" of the person's would mean something to package time.
type layoutPiece struct {
	text    string
	letters bool
}

func goLayout(layout string) ([]layoutPiece, error) {
	if layout == "" {
		layout = DefaultTimeFormat
	}
	var pieces []layoutPiece
	for i := 0; i < len(layout); {
		c := layout[i]
		if !isLetter(c) {
			pieces = append(pieces, layoutPiece{text: layout[i : i+1]})
			i++
			continue
		}
		end := i
		for end < len(layout) && layout[end] == c {
			end++
		}
		g, ok := map[string]string{
			"yyyy": "2006", "MM": "01", "dd": "02", "HH": "15", "mm": "04", "ss": "05",
		}[layout[i:end]]
		if !ok {
			return nil, fmt.Errorf("a time format has no %q; it is made of yyyy, MM, dd, HH, mm, ss and characters that are no letters", layout[i:end])
		}
		pieces = append(pieces, layoutPiece{text: g, letters: true})
		i = end
	}
	return pieces, nil
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// FormatCommit cuts a commit's hexadecimal id to the length that format says,
// 1 to 40; "" is defaultCommitLength. A shorter id is returned whole.
func FormatCommit(commit, format string) (string, error) {
	n, err := commitLength(format)
	if err != nil {
		return "", err
	}
	return commit[:min(n, len(commit))], nil
}

func commitLength(format string) (int, error) {
	if format == "" {
		return defaultCommitLength, nil
	}
	n, err := strconv.Atoi(format)
	if err != nil || n < 1 || n > 40 || strconv.Itoa(n) != format {
		return 0, errors.New("the length of a commit is a number from 1 to 40")
	}
	return n, nil
}

// variableNames are the variables that every build file knows; a rule's named
// groups and the image's args come on top.
func variableNames() []string {
	return []string{"branch", "tag", "refName", "ref", "number", "commit", "time", "buildTime", "owner", "repo"}
}
