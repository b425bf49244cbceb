package forge

import (
	"fmt"
	"strings"
)

// What adapters read in payloads, whoever sent them.

// BrokenPayload is an ErrPayload that says what is wrong.
func BrokenPayload(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrPayload, fmt.Sprintf(format, args...))
}

// ReadCommit reads a commit's name; the zero name, of what is not there, is "".
func ReadCommit(text string) (string, error) {
	if len(text) != 40 && len(text) != 64 || !hexadecimal(text) {
		return "", BrokenPayload("%.100q is no commit", text)
	}
	if strings.Trim(text, "0") == "" {
		return "", nil
	}
	return text, nil
}

// ExistingCommit reads the name of a commit that has to be there.
func ExistingCommit(text string) (string, error) {
	name, err := ReadCommit(text)
	if err == nil && name == "" {
		err = BrokenPayload("the commit is all zeros")
	}
	return name, err
}

func hexadecimal(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Plain reports whether text is 1 to most letters, digits and others.
func Plain(text, others string, most int) bool {
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return text != "" && len(text) <= most
}

// Slashed reports whether a line begins with a slash. Nearly no comment has
// one, and the others need not be read as Markdown.
func Slashed(body string) bool {
	for line := range strings.FieldsFuncSeq(body, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t\ufeff"), "/") {
			return true
		}
	}
	return false
}
