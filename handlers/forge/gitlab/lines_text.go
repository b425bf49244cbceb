package gitlab

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// Of what a thread shows, nobody reads more.
const (
	maxShownExcerpt  = 4 << 10 // bytes
	maxShownOutput   = 4 << 10
	maxShownMessage  = 600
	maxShownProblems = 20
)

// trouble is what people have to mend in a file of the commit.
type trouble struct {
	Context  string // of the status
	Image    string // "": it is the build file that is refused
	File     string
	Line     int // from 1
	EndLine  int
	Message  string
	Problems []config.Diagnostic // of the build file, instead of Message
	Refused  bool                // … as a whole
	Excerpt  string
	Output   string
	Website  string // of the project
	Commit   string
	URL      string // of the build
}

// troubleOf is what a report shows at a line, nil for nothing.
func troubleOf(r builder.Report, website string, buildURL func(string) string) *trouble {
	t := trouble{Context: r.Context, Website: website, Commit: r.Commit}
	if b := r.Record; b != nil {
		f := b.Failure
		if b.State != builder.Failed || f == nil || f.File == "" || f.Line <= 0 || b.Spec.Inline != "" {
			return nil
		}
		t.Image, t.File, t.Line, t.EndLine = b.Image, inTree(f.File), f.Line, f.EndLine
		t.Message, t.Excerpt, t.Output, t.URL = f.Message, f.Excerpt, f.Output, buildURL(b.ID)
		if b.Commit != "" {
			t.Commit = b.Commit // what was built; the line is in there
		}
		return &t
	}
	if !ofBuildFile(r) {
		return nil
	}
	t.Refused = len(r.Decision.Invalid) > 0
	for _, d := range r.Decision.Invalid {
		d.File = inTree(d.File)
		t.Problems = append(t.Problems, d)
	}
	for _, reason := range r.Decision.Reasons {
		if reason.Error && reason.Line > 0 {
			d := config.Diagnostic{File: config.BuildFileName, Line: reason.Line, Message: reason.Message}
			if reason.Image != "" {
				d.Message = reason.Image + ": " + d.Message
			}
			t.Problems = append(t.Problems, d)
		}
	}
	if len(t.Problems) == 0 {
		return nil
	}
	t.File, t.Line = t.Problems[0].File, max(t.Problems[0].Line, 1)
	return &t
}

// ofBuildFile reports whether the report is what the event's own commit came
// to, by its build file.
func ofBuildFile(r builder.Report) bool {
	return r.Record == nil && r.Decision != nil && r.Context == builder.AggregateContext && (r.Event == nil || r.Event.Commit == r.Commit)
}

// mends reports whether what was wrong before is mended with this report.
func mends(r builder.Report) bool {
	if b := r.Record; b != nil {
		return b.State.Good() && b.Spec.Inline == ""
	}
	if !ofBuildFile(r) || toMend(r.Decision) {
		return false
	}
	// Decisions that did not read the file say nothing about it.
	for _, reason := range r.Decision.Reasons {
		if reason.Image != "" {
			return true
		}
	}
	return len(r.Decision.Builds) > 0
}

// inTree is a path relative to the repository's root, as GitLab has it.
func inTree(file string) string { return strings.TrimPrefix(path.Clean("/"+file), "/") }

// print tells apart what is to be mended, not the commits that it is in.
func (t trouble) print() string {
	parts := []string{t.Context, t.File, fmt.Sprint(t.Line), t.Message}
	for _, d := range t.Problems {
		parts = append(parts, d.String())
	}
	return markdown.Fingerprint(strings.Join(parts, "\x00"))
}

func (t trouble) marker() string { return marker(t.print()) }

// marker tells our note from others; nobody sees it.
func marker(print string) string {
	return "<!-- registry-build " + markdown.Fingerprint("line "+print) + " -->"
}

// body is the note in Markdown, in which nothing that a build printed acts.
func (t trouble) body() string {
	parts := []string{t.marker(), t.headline()}
	if len(t.Problems) > 0 {
		parts = append(parts, t.problems())
	} else {
		parts = append(parts, fmt.Sprintf("At %s in commit %s:", t.link(t.File, t.Line, t.EndLine), commitLink(t.Website, t.Commit)))
	}
	if t.Excerpt != "" {
		excerpt, _ := markdown.KeepStart(markdown.Printed(t.Excerpt), maxShownExcerpt)
		parts = append(parts, markdown.Fenced(excerpt, "dockerfile"))
	}
	if t.Output != "" {
		output, cut := markdown.KeepEnd(markdown.Printed(t.Output), maxShownOutput)
		if cut {
			output = "[…]\n" + output
		}
		parts = append(parts, "The step's last output:", markdown.Fenced(output, "text"))
	}
	if t.URL != "" {
		parts = append(parts, "[The whole log]("+t.URL+")")
	}
	return postable(strings.Join(parts, "\n\n"))
}

func (t trouble) headline() string {
	if t.Image == "" {
		if t.Refused {
			return fmt.Sprintf("**%s has mistakes, so nothing is built** from commit %s:", markdown.Code(t.File), commitLink(t.Website, t.Commit))
		}
		return fmt.Sprintf("**%s asks for what cannot be built** from commit %s:", markdown.Code(t.File), commitLink(t.Website, t.Commit))
	}
	return fmt.Sprintf("**The build of %s fails here:** %s", markdown.Code(t.Image), markdown.Prose(firstOf(t.Message)))
}

func (t trouble) problems() string {
	var b strings.Builder
	for i, d := range t.Problems {
		if i == maxShownProblems {
			fmt.Fprintf(&b, "- and %d more", len(t.Problems)-i)
			break
		}
		b.WriteString("- ")
		if d.Line > 0 {
			b.WriteString(t.link(d.File, d.Line, 0) + ": ")
		}
		b.WriteString(markdown.Prose(firstOf(d.Message)) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// link leads to lines of a file at the commit.
func (t trouble) link(file string, line, last int) string {
	anchor := fmt.Sprintf("#L%d", line)
	if last > line {
		anchor += fmt.Sprintf("-%d", last)
	}
	return fmt.Sprintf("[%s](%s/-/blob/%s/%s%s)", markdown.Code(fmt.Sprintf("%s:%d", file, line)), t.Website, t.Commit, escapePath(file), anchor)
}

// mendedBy says which commit mended it.
func (l *lines) mendedBy() string {
	by := commitLink(l.forge.website(l.report.Repository), l.report.Commit)
	if b := l.report.Record; b != nil {
		return fmt.Sprintf("%s builds since %s.", markdown.Code(b.Image), by)
	}
	return fmt.Sprintf("%s is valid since %s.", markdown.Code(config.BuildFileName), by)
}

// elsewhere says why a thread gives way to another.
func (l *lines) elsewhere(t trouble) string {
	at := t.link(t.File, t.Line, 0)
	if t.Image == "" {
		return fmt.Sprintf("In %s something else is wrong, at %s.", commitLink(t.Website, t.Commit), at)
	}
	return fmt.Sprintf("In %s the build of %s fails in another way, at %s.", commitLink(t.Website, t.Commit), markdown.Code(t.Image), at)
}

func commitLink(website, commit string) string {
	return fmt.Sprintf("[%s](%s/-/commit/%s)", markdown.Code(commit[:min(len(commit), 8)]), website, commit)
}

// postable makes a text fit to be posted: it calls nobody, it orders nothing, and
// it is not too long.
func postable(md string) string {
	md, cut := markdown.KeepStart(md, markdown.MaxComment)
	if cut {
		md = markdown.Closed(md + "\n…")
	}
	return markdown.NoQuickActions(markdown.Harmless(md))
}

func firstOf(s string) string {
	s, cut := markdown.KeepStart(s, maxShownMessage)
	if cut {
		return s + "…"
	}
	return s
}

// escapePath makes a path of the repository part of an address.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
