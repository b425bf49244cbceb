package buildkit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/moby/buildkit/solver/pb"
)

const (
	neighbours    = 3    // lines shown before and after the failing ones
	excerptLines  = 30   // at most, of the failing ones
	excerptWidth  = 200  // characters of a line
	commandWidth  = 80   // characters of a command in a sentence
	sentenceWidth = 1000 // characters of a failure or a note, which may quote the Dockerfile
)

// lines is a range of lines of a file, from 1, both ends included.
type lines struct{ start, end int }

// span is what a set of ranges covers.
func span(ranges []*pb.Range) (lines, bool) {
	var l lines
	for _, r := range ranges {
		if r.GetStart() == nil {
			continue
		}
		start := int(r.Start.Line)
		end := max(start, int(r.GetEnd().GetLine()))
		if l.start == 0 || start < l.start {
			l.start = start
		}
		l.end = max(l.end, end)
	}
	return l, l.start > 0
}

// excerpt shows the lines with their neighbours, numbered; ">>>" marks the
// lines themselves.
func excerpt(file []byte, l lines) string {
	all := strings.Split(strings.TrimSuffix(string(file), "\n"), "\n")
	if l.start < 1 || l.start > len(all) {
		return ""
	}
	first, last := max(1, l.start-neighbours), min(len(all), l.end+neighbours)
	width := len(strconv.Itoa(last))
	var b strings.Builder
	for n := first; n <= last; n++ {
		if n == l.start+excerptLines && l.end > n {
			fmt.Fprintf(&b, "    %*s | …\n", width, "")
			n = l.end
		}
		mark := "   "
		if n >= l.start && n <= l.end {
			mark = ">>>"
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%s %*d | %s", mark, width, n, shorten(plain(all[n-1]), excerptWidth)), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

var continuation = regexp.MustCompile("[\\\\`]\\s*$")

// command is the instruction at the lines, on one line.
func command(file []byte, l lines) string {
	all := strings.Split(string(file), "\n")
	if l.start < 1 || l.start > len(all) {
		return ""
	}
	var words []string
	for _, line := range all[l.start-1 : min(l.end, len(all))] {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		words = append(words, strings.Fields(continuation.ReplaceAllString(plain(line), ""))...)
	}
	return shorten(strings.Join(words, " "), commandWidth)
}

func shorten(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}

var escape = regexp.MustCompile(`\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])`)

// plain makes a line fit for a status or a web page: colours and cursor
// movements away, and of what was overwritten after a carriage return only the
// last.
func plain(line string) string {
	line = strings.TrimRight(line, "\r\n")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	line = escape.ReplaceAllString(strings.ToValidUTF8(line, "�"), "")
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, line)
}

var atLine = regexp.MustCompile(` \(line \d+\)$`)

// trimLine cuts "(line 3)" off a warning that has its line beside it.
func trimLine(s string) string { return atLine.ReplaceAllString(s, "") }
