package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// maxTag is the length of a tag that the OCI distribution specification allows.
const maxTag = 128

// validTag is the specification's grammar of a tag
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).
var validTag = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// ValidTag reports whether s can name an image in a registry.
func ValidTag(s string) bool { return validTag.MatchString(s) && !strings.HasSuffix(s, "\n") }

// TagName makes a tag of an expanded template: every character that a tag
// cannot hold becomes "-", and leading "." and "-" go, which a tag cannot begin
// with. What is too long is cut, and ends in a hash of the whole, so that two
// long names that begin alike stay two tags. The result can still be invalid
// in one way: it is "" where nothing was left.
func TagName(text string) string {
	tag := strings.TrimLeft(strings.Map(tagRune, text), ".-")
	if len(tag) > maxTag {
		tag = withHash(tag, text, 8)
	}
	return tag
}

// tagRune replaces a character that a tag cannot hold; a byte that is no UTF-8
// counts as one.
func tagRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '.', r == '-':
		return r
	}
	return '-'
}

// withHash ends a tag in the first digits of the SHA-256 of text, and cuts it
// to make room where it is long.
func withHash(tag, text string, digits int) string {
	sum := sha256.Sum256([]byte(text))
	tag = tag[:min(len(tag), maxTag-1-digits)]
	return tag + "-" + hex.EncodeToString(sum[:])[:digits]
}
