package markdown

import "strings"

// NoQuickActions keeps a text from giving orders. GitLab carries out lines of a
// note that begin with a slash (/merge, /close, /assign) with the rights of
// whoever posts it, and those are ours. That a line is in a block of code is
// not trusted: which block it is in is decided by GitLab's own reading, in older
// versions a regular expression that takes ``` within ```` for its end. So no
// line of any note begins with a slash: a space goes before it, which does
// nothing to a paragraph and next to nothing to code.
// https://docs.gitlab.com/user/project/quick_actions/
func NoQuickActions(md string) string {
	md = strings.ReplaceAll(md, "\r", "") // GitLab drops them before it looks
	lines := strings.Split(md, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "/") {
			lines[i] = " " + line
		}
	}
	md = strings.Join(lines, "\n")
	if text := strings.TrimSpace(md); strings.HasPrefix(text, "/") {
		return zeroWidth + text // a space at the beginning of all may be cut off
	}
	return md
}
