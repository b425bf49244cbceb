package plaingit

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine is the longest line that a pusher is shown, in bytes. Git's side
// band could carry 65,515; a terminal is served better with less.
const maxLine = 4 << 10

// escapes are terminal sequences: colours, cursor movements, window titles.
var escapes = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[ -/]*[0-~])")

// clean makes a line of somebody's output fit for somebody else's terminal:
// no control characters but tabs, no changes of the writing direction, what a
// carriage return left visible, and not longer than maxLine.
func clean(line string) string {
	line = strings.TrimRight(line, "\r")
	line = line[strings.LastIndexByte(line, '\r')+1:]
	line = escapes.ReplaceAllString(strings.ToValidUTF8(line, "\uFFFD"), "")
	line = strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return -1
		}
		return r
	}, line)
	if len(line) <= maxLine {
		return line
	}
	end := maxLine - len("…")
	for !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end] + "…"
}

// splitter cuts a stream of chunks into clean lines. It holds at most a few
// maxLine of a line that has no end.
type splitter struct {
	say  func(line string)
	held []byte
	cut  bool // the line was said already, as far as it goes
}

func (s *splitter) Write(chunk []byte) (int, error) {
	for rest := chunk; len(rest) > 0; {
		line, after, ends := bytes.Cut(rest, []byte("\n"))
		s.hold(line)
		if ends {
			s.Flush()
			s.cut = false
		}
		rest = after
	}
	return len(chunk), nil
}

func (s *splitter) hold(part []byte) {
	if s.cut {
		return
	}
	s.held = append(s.held, part...)
	// Progress bars rewrite their line with carriage returns for minutes.
	if len(s.held) > 4*maxLine {
		s.Flush()
		s.cut = true
	}
}

// Flush says the line that is held, unless it was said already.
func (s *splitter) Flush() {
	if !s.cut {
		s.say(clean(string(s.held)))
	}
	s.held = s.held[:0]
}
