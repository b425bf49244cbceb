package config

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// maxPattern keeps a pattern to what a person can read, in bytes.
const maxPattern = 1024

// Pattern matches names of branches, tags and refs:
//
//	main               exactly this name
//	v*                 a glob: * any characters, slashes too; ? one; [a-z] one of these
//	/release-(?<n>.*)/ between slashes: an RE2 expression over the whole name
//
// The zero Pattern matches nothing.
type Pattern struct {
	text string
	glob string         // for doublestar, with "/" as NUL; "" for an expression
	re   *regexp.Regexp // anchored at both ends; nil for a glob
}

// ParsePattern reads a pattern. Its errors are sentences for the person who
// wrote it.
func ParsePattern(s string) (Pattern, error) {
	switch {
	case s == "":
		return Pattern{}, errors.New(`a pattern is empty; "*" matches every name`)
	case len(s) > maxPattern:
		return Pattern{}, fmt.Errorf("a pattern has %d bytes; %d are the most", len(s), maxPattern)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, isControl):
		return Pattern{}, fmt.Errorf("pattern %q holds a control character", s)
	case s[0] == '/':
		return parseExpression(s)
	case strings.Contains(s, `\`):
		return Pattern{}, fmt.Errorf(`pattern %q holds a "\"; a glob has no escapes: write a regular expression between slashes, "/…/"`, s)
	}
	// Braces are letters, not alternatives: git allows them in names, and
	// nested alternatives cost exponential time.
	glob := separators.Replace(strings.NewReplacer("{", `\{`, "}", `\}`).Replace(s))
	if !doublestar.ValidatePattern(glob) {
		return Pattern{}, fmt.Errorf(`pattern %q has a "[" without its "]"`, s)
	}
	return Pattern{text: s, glob: glob}, nil
}

// separators hides slashes from doublestar, whose * stops at them. NUL can
// stand in no name.
var separators = strings.NewReplacer("/", "\x00")

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func parseExpression(s string) (Pattern, error) {
	if len(s) < 2 || !strings.HasSuffix(s, "/") {
		return Pattern{}, fmt.Errorf(`pattern %q begins with "/", so it is a regular expression and must end with "/" as well; names of branches and tags never begin with "/"`, s)
	}
	body := s[1 : len(s)-1]
	if body == "" {
		return Pattern{}, errors.New(`the regular expression "//" is empty; "/.*/" matches every name`)
	}
	// Compiled alone first, so that "a)|(b" cannot escape from the anchors.
	if _, err := regexp.Compile(body); err != nil {
		return Pattern{}, expressionError(s, err)
	}
	re, err := regexp.Compile(`\A(?:` + body + `)\z`)
	if err != nil {
		return Pattern{}, expressionError(s, err)
	}
	names := re.SubexpNames()
	for i, g := range names {
		switch {
		case g == "":
		case slices.Contains(names[:i], g):
			return Pattern{}, fmt.Errorf("the group name %q stands twice in %s; choose another", g, s)
		case !isName(g):
			return Pattern{}, fmt.Errorf("the group name %q in %s must begin with a letter or _", g, s)
		case slices.Contains(variableNames(), g):
			return Pattern{}, fmt.Errorf("the group name %q in %s is taken by the variable ${%s}; choose another", g, s, g)
		}
	}
	return Pattern{text: s, re: re}, nil
}

// expressionError says in a sentence what RE2 refused.
func expressionError(s string, err error) error {
	var se *syntax.Error
	if !errors.As(err, &se) {
		return fmt.Errorf("regular expression %s: %w", s, err)
	}
	why := map[syntax.ErrorCode]string{
		syntax.ErrInvalidCharClass:      "a character class is not valid",
		syntax.ErrInvalidCharRange:      "a range in a character class is the wrong way round or not valid",
		syntax.ErrInvalidEscape:         "there is no such escape (RE2 has no back references)",
		syntax.ErrInvalidNamedCapture:   `a named group is written "(?<name>…)"`,
		syntax.ErrInvalidPerlOp:         "RE2 has no lookahead, lookbehind or such operators",
		syntax.ErrInvalidRepeatOp:       "two repetitions follow each other",
		syntax.ErrInvalidRepeatSize:     "a repetition count is over 1000 or the wrong way round",
		syntax.ErrMissingBracket:        `a "[" has no "]"`,
		syntax.ErrMissingParen:          `a "(" has no ")"`,
		syntax.ErrMissingRepeatArgument: "a repetition has nothing before it to repeat",
		syntax.ErrTrailingBackslash:     `it ends with a "\"`,
		syntax.ErrUnexpectedParen:       `a ")" has no "("`,
		syntax.ErrNestingDepth:          "it is nested too deeply",
		syntax.ErrLarge:                 "it is too large",
	}[se.Code]
	if strings.Contains(se.Expr, "(?<=") || strings.Contains(se.Expr, "(?<!") { // taken for the name of a group
		why = "it looks behind, (?<=…) or (?<!…), and RE2 has no lookbehind"
	}
	if why == "" {
		why = se.Code.String()
	}
	if se.Expr != "" && se.Expr != s[1:len(s)-1] {
		return fmt.Errorf("regular expression %s: %s, near %q", s, why, se.Expr)
	}
	return fmt.Errorf("regular expression %s: %s", s, why)
}

// Match reports whether the whole name matches, and what the named groups
// caught ("" for a group that took no part). It may be called concurrently.
func (p Pattern) Match(name string) (groups map[string]string, ok bool) {
	if p.re == nil {
		if p.glob == "" {
			return nil, false
		}
		ok, err := doublestar.Match(p.glob, separators.Replace(name))
		return nil, ok && err == nil
	}
	m := p.re.FindStringSubmatch(name)
	if m == nil {
		return nil, false
	}
	groups = map[string]string{}
	for i, g := range p.re.SubexpNames() {
		if g != "" {
			groups[g] = m[i]
		}
	}
	return groups, true
}

// groups are the names of the expression's groups, in order.
func (p Pattern) groups() []string {
	if p.re == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.re.SubexpNames()), func(s string) bool { return s == "" })
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Equal reports whether both were written the same.
func (p Pattern) Equal(o Pattern) bool { return p.text == o.text }

// MatchAny reports whether one of the globs matches the name. It is how the
// server file's lists of repositories and images are meant: * also stands for
// slashes. A glob that does not parse matches nothing.
func MatchAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		p, err := ParsePattern(g)
		if err != nil {
			return false
		}
		_, ok := p.Match(name)
		return ok
	})
}
