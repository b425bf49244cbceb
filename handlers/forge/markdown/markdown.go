// Package markdown puts what people and programs wrote into comments at a
// forge, as code or as prose, so that nothing in it is Markdown, calls anybody
// or loads an image; and what we have to say in a thread into one comment. It
// hides what GitHub-flavoured Markdown, which GitLab and the others read too,
// makes of a text.
package markdown

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Code is text in a code span, on one line. "" stays "".
func Code(s string) string {
	s = OneLine(s)
	if s == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// CodeCell is a code span in a table, where a bar ends the cell even in code.
func CodeCell(s string) string { return strings.ReplaceAll(Code(s), "|", `\|`) }

// Codes are several code spans.
func Codes(all []string) string {
	spans := make([]string, len(all))
	for i, s := range all {
		spans[i] = Code(s)
	}
	return strings.Join(spans, ", ")
}

var (
	markup    = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`, "#", `\#`, "|", `\|`, "~", `\~`, "!", `\!`, "&", "&amp;", "://", `\://`, "www.", `www\.`)
	listStart = regexp.MustCompile(`^(\d*)([-+.)])`)
)

// Prose is text on one line as it stands: none of it is Markdown.
func Prose(s string) string {
	return listStart.ReplaceAllString(markup.Replace(OneLine(s)), `$1\$2`)
}

// Fenced is a block of code that nothing in it can close. tag names its
// language.
func Fenced(s, tag string) string {
	s = strings.TrimRight(s, "\n")
	lines := strings.Split(s, "\n")
	longest := 2
	for i, line := range lines {
		line = strings.TrimLeft(line, " \t")
		run := len(line) - len(strings.TrimLeft(line, "`"))
		if run > longestFence {
			lines[i] = zeroWidth + lines[i] // no fence is that long
			continue
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	return fence + tag + "\n" + strings.Join(lines, "\n") + "\n" + fence
}

const (
	zeroWidth    = "\u200b"
	longestFence = 32
	// FenceRoom is how much longer than its text a block can get, but for
	// zeroWidth on lines of backticks.
	FenceRoom = 2*(longestFence+1) + 16
)

var pings = regexp.MustCompile(`(?i)(@|&#0*64;|&#x0*40;|&commat;)[a-z0-9]|(#|&#0*35;|&#x0*23;|&num;)[0-9]|(!|&#0*33;|&#x0*21;|&excl;)[0-9]|!\[|<img`)

// Harmless takes the effect of names (@ada), numbers (#12, GitLab's !12) and
// images that stand outside code.
func Harmless(md string) string {
	source := []byte(md)
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	var b strings.Builder
	at := 0
	keep := func(s text.Segment) {
		if s.Start < at || s.Stop > len(source) {
			return
		}
		b.WriteString(tame(md[at:s.Start]))
		b.WriteString(md[s.Start:s.Stop])
		at = s.Stop
	}
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindCodeBlock, ast.KindFencedCodeBlock:
			for i := range n.Lines().Len() {
				keep(n.Lines().At(i))
			}
		case ast.KindCodeSpan:
			for c := n.FirstChild(); c != nil; c = c.NextSibling() {
				if t, ok := c.(*ast.Text); ok {
					keep(t.Segment)
				}
			}
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	b.WriteString(tame(md[at:]))
	return b.String()
}

func tame(md string) string {
	return pings.ReplaceAllStringFunc(md, func(found string) string {
		switch {
		case found == "![":
			return "!" + zeroWidth + "["
		case strings.HasPrefix(found, "<"):
			return "&lt;img"
		}
		return found[:len(found)-1] + zeroWidth + found[len(found)-1:]
	})
}

// Printed is what a terminal would show of a program's output in the end: no
// escape sequences, and of lines that were written over only the last.
func Printed(s string) string {
	s = strings.ReplaceAll(ansi.Strip(strings.ToValidUTF8(s, "\uFFFD")), "\r\n", "\n")
	if strings.Contains(s, "\r") {
		lines := strings.Split(s, "\n")
		for i, line := range lines {
			line = strings.TrimRight(line, "\r")
			lines[i] = line[strings.LastIndexByte(line, '\r')+1:]
		}
		s = strings.Join(lines, "\n")
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}

// KeepEnd keeps the last max bytes of a text: whole lines where that costs
// little, whole characters anyhow.
func KeepEnd(s string, max int) (kept string, cut bool) {
	if len(s) <= max {
		return s, false
	}
	s = s[len(s)-max:]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	if i := strings.IndexByte(s, '\n'); i >= 0 && i < 2000 && i+1 < len(s) {
		s = s[i+1:]
	}
	return s, true
}

// KeepStart keeps the first max bytes of a text, whole characters.
func KeepStart(s string, max int) (kept string, cut bool) {
	if len(s) <= max {
		return s, false
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max], true
}

// Clip keeps n characters of a line; the last says that it was cut.
func Clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

func OneLine(s string) string { return strings.Join(strings.Fields(Printed(s)), " ") }

func longestRun(s string, of rune) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != of {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// Closed ends a fence that a text has left open, such as one that was cut.
func Closed(md string) string {
	open := ""
	for line := range strings.SplitSeq(md, "\n") {
		text := strings.TrimLeft(line, " ")
		if len(line)-len(text) > 3 || text == "" || text[0] != '`' && text[0] != '~' {
			continue
		}
		rest := strings.TrimLeft(text, text[:1])
		run := text[:len(text)-len(rest)]
		switch {
		case open == "" && len(run) >= 3 && (run[0] == '~' || !strings.Contains(rest, "`")):
			open = run
		case open != "" && run[0] == open[0] && len(run) >= len(open) && strings.TrimSpace(rest) == "":
			open = ""
		}
	}
	if open == "" {
		return md
	}
	return md + "\n" + open
}
