package importer

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// expression is a regular expression of a service in the words of a build
// file.
type expression struct {
	literal string            // what it matches, where that is one name; "": many
	body    string            // between the slashes, over the whole name
	groups  map[string]string // the service's group name -> the one here
}

// translate reads a regular expression as people write them for Java, which
// is what the services' named groups (?<name>…) are taken from. search: it is
// looked for anywhere in the name, as a build file's never is. The error is
// the sentence that says why there is none with the same meaning here.
func translate(body string, search bool) (expression, error) {
	if err := foreign(body); err != nil {
		return expression{}, err
	}
	e := expression{groups: map[string]string{}}
	body = groupName.ReplaceAllStringFunc(escapes(body), func(s string) string {
		m := groupName.FindStringSubmatch(s)
		e.groups[m[1]] = freeName(m[1])
		return "(?<" + e.groups[m[1]] + ">"
	})
	body = unescape(body)
	if _, err := config.ParsePattern("/" + body + "/"); err != nil {
		return expression{}, err
	}
	tree, err := syntax.Parse(body, syntax.Perl)
	if err != nil {
		return expression{}, err
	}
	begins, ends, literal := anchors(tree)
	if literal != "" && (!search || begins && ends) && plainName.MatchString(literal) {
		e.literal = literal
		return e, nil
	}
	if search && !(begins && ends) {
		// The leftmost place, as a search finds it: so the groups catch the same.
		before, after := ".*?", ".*"
		if begins {
			before = ""
		}
		if ends {
			after = ""
		}
		if alternatives(body) {
			body = "(?:" + body + ")"
		}
		body = before + body + after
	}
	if _, err := config.ParsePattern("/" + body + "/"); err != nil {
		return expression{}, err
	}
	e.body = body
	return e, nil
}

// alternatives reports whether an expression has a "|", which would reach
// beyond what is put around it.
func alternatives(body string) bool {
	found := false
	scan(body, func(piece string, inClass bool) { found = found || piece == "|" && !inClass })
	return found
}

// plainName is a name that no reader takes for a pattern.
var plainName = regexp.MustCompile(`^[\pL\pN_.][\pL\pN_./@#+=,-]*$`)

// anchors tells whether an expression can match at the beginning and at the
// end of a name only, and the text between where that is the same always.
func anchors(t *syntax.Regexp) (begins, ends bool, literal string) {
	parts := []*syntax.Regexp{t}
	if t.Op == syntax.OpConcat {
		parts = t.Sub
	}
	if parts[0].Op == syntax.OpBeginText {
		begins, parts = true, parts[1:]
	}
	if len(parts) > 0 && parts[len(parts)-1].Op == syntax.OpEndText {
		ends, parts = true, parts[:len(parts)-1]
	}
	if len(parts) == 1 && parts[0].Op == syntax.OpLiteral && parts[0].Flags&syntax.FoldCase == 0 {
		literal = string(parts[0].Rune)
	}
	return begins, ends, literal
}

// freeName is a group's name here: the same, unless a variable has it.
func freeName(name string) string {
	if reserved(name) {
		return name + "Group"
	}
	return name
}

// reserved reports whether a variable of the build file has the name.
func reserved(name string) bool {
	_, ok := config.ParsePattern("/(?<x" + name + ">.)/")
	_, taken := config.ParsePattern("/(?<" + name + ">.)/")
	return ok == nil && taken != nil
}

var groupName = regexp.MustCompile(`\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>`)

// escapes hides escaped characters and those of classes, so that "\(?<a>" and
// "[(?<a>]" are not taken for groups. unescape brings them back.
func escapes(body string) string {
	var b strings.Builder
	scan(body, func(piece string, inClass bool) {
		if inClass || piece[0] == '\\' {
			for _, r := range piece {
				b.WriteRune(r + privatePlane)
			}
			return
		}
		b.WriteString(piece)
	})
	return b.String()
}

// privatePlane of Unicode is where escapes hides characters.
const privatePlane = 0xF0000

func unescape(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= privatePlane {
			return r - privatePlane
		}
		return r
	}, s)
}

// scan cuts an expression into characters and escapes and says which are in a
// class.
func scan(body string, fn func(piece string, inClass bool)) {
	inClass := 0
	runes := []rune(body)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\' && i+1 < len(runes):
			fn(string(runes[i:i+2]), inClass > 0)
			i++
			continue
		case r == '[':
			inClass++
			fn("[", inClass > 1)
			// A "]" that comes first is one of the class.
			if i+1 < len(runes) && runes[i+1] == '^' {
				i++
				fn("^", true)
			}
			if i+1 < len(runes) && runes[i+1] == ']' {
				i++
				fn("]", true)
			}
			continue
		case r == ']' && inClass > 0:
			inClass--
			fn("]", inClass > 0)
			continue
		default:
			fn(string(r), inClass > 0)
		}
	}
}

// foreign refuses what RE2 reads without an error but with another meaning.
// What it does not know at all, look-around, back references, possessive
// repetitions, its own parser refuses.
func foreign(body string) error {
	var err error
	last := ""
	scan(body, func(piece string, inClass bool) {
		switch {
		case inClass && piece == "[":
			err = errors.New(`it has a "[" inside [ ], which Java takes for a class in a class and RE2 for the character; write "\[" or one class`)
		case inClass && piece == "&" && last == "&":
			err = errors.New(`it has "&&" inside [ ], which RE2 takes for the character &; write the characters out`)
		}
		last = piece
	})
	hidden := escapes(body)
	switch {
	case err != nil:
		return err
	case strings.Contains(hidden, "(?<=") || strings.Contains(hidden, "(?<!"):
		return errors.New("it looks behind, (?<=…) or (?<!…), and RE2 has no lookbehind")
	case strings.ContainsFunc(body, func(r rune) bool { return r >= privatePlane }):
		return errors.New("it has characters of a private plane of Unicode")
	case strings.Contains(body, `\Q`):
		return fmt.Errorf(`it quotes with \Q; put a "\" before each character instead`)
	case otherFlags.MatchString(hidden):
		return errors.New(`it has a flag (?U), which means another thing to RE2`)
	}
	return nil
}

var otherFlags = regexp.MustCompile(`\(\?[a-zA-Z-]*U`)
