package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxTag is the OCI distribution specification's limit.
const maxTag = 128

// validTag reports whether s is a tag of the OCI distribution specification:
// [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func validTag(s string) bool {
	if s == "" || len(s) > maxTag || s[0] == '.' || s[0] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r >= 0x80 || !isLetter(byte(r)) && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}

// TagSelector says which tags a trigger is for:
//
//	all              every tag
//	latest;stable    these, or the list [latest, stable]
//	/^v\d/           tags in which the RE2 expression is found, anywhere
//
// The zero TagSelector is "all". In JSON it is what people wrote: a string or
// a list of strings.
type TagSelector struct {
	text string         // "" for a list
	tags []string       // nil: all, or an expression
	re   *regexp.Regexp // nil: all, or a list
}

// ParseTagSelector reads the forms that are one text: all, one;two, /regex/.
// Its errors are sentences for the person who wrote it.
func ParseTagSelector(s string) (TagSelector, error) {
	switch {
	case s == "":
		return TagSelector{}, errors.New(`tags are empty; write "all" for every tag`)
	case s == "all":
		return TagSelector{}, nil
	case s[0] == '/':
		if len(s) < 3 || !strings.HasSuffix(s, "/") {
			return TagSelector{}, fmt.Errorf(`tags %q begin with "/", so they are a regular expression and must end with "/" as well, with something between`, s)
		}
		if len(s) > maxPattern {
			return TagSelector{}, fmt.Errorf("the regular expression has %d bytes; %d are the most", len(s), maxPattern)
		}
		re, err := regexp.Compile(s[1 : len(s)-1])
		if err != nil {
			return TagSelector{}, expressionError(s, err)
		}
		return TagSelector{text: s, re: re}, nil
	}
	var tags []string
	for t := range strings.SplitSeq(s, ";") {
		if t = strings.TrimSpace(t); t != "" { // "one;two;" is what people write
			tags = append(tags, t)
		}
	}
	sel, err := selectTags(tags)
	if err != nil {
		return TagSelector{}, err
	}
	sel.text = s
	return sel, nil
}

// selectTags selects exactly the given tags, the list form.
func selectTags(tags []string) (TagSelector, error) {
	if len(tags) == 0 {
		return TagSelector{}, errors.New(`tags name no tag; write "all" for every tag`)
	}
	for _, t := range tags {
		if strings.ContainsAny(t, "*?") {
			return TagSelector{}, fmt.Errorf(`%q is no tag, and a trigger's tags are no globs; write a regular expression between slashes: "/^v/"`, t)
		}
		if !validTag(t) {
			return TagSelector{}, fmt.Errorf("%q cannot be a tag: letters, digits, _, . and -, at most %d characters, neither . nor - first", t, maxTag)
		}
	}
	return TagSelector{tags: slices.Clone(tags)}, nil
}

// Match reports whether the tag is selected. It may be called concurrently.
func (s TagSelector) Match(tag string) bool {
	switch {
	case s.re != nil:
		return s.re.MatchString(tag)
	case s.tags != nil:
		return slices.Contains(s.tags, tag)
	}
	return true
}

// String is the selector as it was written; a list reads [one, two].
func (s TagSelector) String() string {
	switch {
	case s.text != "":
		return s.text
	case s.tags != nil:
		return "[" + strings.Join(s.tags, ", ") + "]"
	}
	return "all"
}

// Equal reports whether both were written the same.
func (s TagSelector) Equal(o TagSelector) bool { return s.String() == o.String() }

// MarshalJSON writes what people wrote.
func (s TagSelector) MarshalJSON() ([]byte, error) {
	if s.text == "" && s.tags != nil {
		return json.Marshal(s.tags)
	}
	return json.Marshal(s.String())
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *TagSelector) UnmarshalJSON(data []byte) error {
	var (
		text string
		tags []string
		err  error
	)
	if json.Unmarshal(data, &text) == nil {
		*s, err = ParseTagSelector(text)
		return err
	}
	if json.Unmarshal(data, &tags) == nil {
		*s, err = selectTags(tags)
		return err
	}
	return fmt.Errorf("tags are a text or a list of texts, not %.40s", data)
}
