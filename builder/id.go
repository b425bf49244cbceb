package builder

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// crockford is Crockford's base 32 (https://www.crockford.com/base32.html) in
// lower case, because ids stand in URLs, file names and image labels. The
// alphabet ascends in ASCII too, so ids sort by acceptance time as text.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// buildIDLength is 80 bits at 5 a character.
const buildIDLength = 16

// BuildID names the build that an event causes for an image: 48 bits of the
// acceptance time in milliseconds, then 32 bits of SHA-256 over the event, the
// image and the rule. It has no random part, so dispatching an event again
// after a crash makes the same id, and the store can tell that it has it.
// The rule tells apart the several builds of one image that `match: all` makes.
func BuildID(e Event, image, rule string) string {
	ms := max(e.AcceptedAt.UnixMilli(), 0)
	h := sha256.New()
	writeText(h, e.ID)
	writeText(h, image)
	writeText(h, rule)

	var b [10]byte
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(ms))
	copy(b[:6], t[2:])
	copy(b[6:], h.Sum(nil))
	return crockford.EncodeToString(b[:])
}

// ParseBuildID returns the canonical spelling of a build's id. As Crockford
// meant it, it reads capital letters, and i, l and o for the digits that they
// are mistaken for. The error is a sentence for the person who typed it.
func ParseBuildID(s string) (string, error) {
	id := misread.Replace(strings.ToLower(s))
	if !ValidBuildID(id) {
		return "", fmt.Errorf("%q is no build id: an id has %d digits and lower-case letters, like %s",
			clip(s, 40), buildIDLength, "06db3m8e7g0k5rqa")
	}
	return id, nil
}

var misread = strings.NewReplacer("i", "1", "l", "1", "o", "0")

// ValidBuildID reports whether s is a build's id in its canonical spelling.
// Only then may it become part of a key, a path or a URL.
func ValidBuildID(s string) bool {
	if len(s) != buildIDLength {
		return false
	}
	var b [10]byte
	_, err := crockford.Decode(b[:], []byte(s))
	// Decode skips line ends; a whole id leaves none to skip.
	return err == nil && !strings.ContainsAny(s, "\r\n")
}

// BuildIDTime returns when the event of a build was accepted, in milliseconds,
// as its id tells it. The zero time for what is no id.
func BuildIDTime(id string) time.Time {
	if !ValidBuildID(id) {
		return time.Time{}
	}
	var b [10]byte
	if _, err := crockford.Decode(b[:], []byte(id)); err != nil {
		return time.Time{}
	}
	var t [8]byte
	copy(t[2:], b[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(t[:]))).UTC()
}
