package github

import (
	"fmt"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// Sizes of a check run's page: https://docs.github.com/rest/checks/runs. They
// are counted in bytes here, so that it never matters what GitHub counts.
const (
	maxText    = 65535 // summary and text, each
	maxTitle   = 140
	maxExcerpt = 8 << 10 // of the lines around a failure, and of what its step printed
	maxSteps   = 100     // rows of the table
	maxStep    = 120     // characters of a step's name
	maxTable   = 24 << 10
	maxList    = 50 // tags, warnings, reasons
)

// page is what a check run shows.
type page struct{ Title, Summary, Text string }

// buildPage is what the page of one build is made from.
type buildPage struct {
	builder.Record
	Title   string // builder.Describe
	Website string // of the repository: https://github.com/acme/shop
	URL     string // of the build, for people
	Host    string // of the embedded registry
	Log     string // its end, as it was printed
	LogCut  bool   // that is not all
}

func (p buildPage) render() page {
	summary, cut := markdown.KeepStart(markdown.Harmless(p.summary()), maxText-100)
	if cut {
		summary += "…"
	}
	return page{Title: markdown.Clip(markdown.OneLine(p.Title), maxTitle), Summary: summary, Text: p.text()}
}

func (p buildPage) summary() string {
	var parts []string
	add := func(part string) {
		if part != "" {
			parts = append(parts, part)
		}
	}
	add(p.state())
	add(p.failure())
	add(p.image())
	add(p.about())
	add(list("Warnings", each(p.Warnings, markdown.Prose)))
	add(p.links())
	return strings.Join(parts, "\n\n") + "\n"
}

// state says what is not an end, and why a build ended without one.
func (p buildPage) state() string {
	switch {
	case p.Stop != nil && !p.State.Terminal():
		return "Stopping: " + markdown.Prose(p.Stop.Reason) + "."
	case p.State == builder.Queued && p.Place > 0:
		return fmt.Sprintf("Place %d in the repository's queue.", p.Place)
	case p.State == builder.Queued:
		return "Waiting for a free builder."
	case p.State == builder.Running:
		return "Building: at " + currentStep(p.Steps) + "."
	case p.State == builder.Pushing:
		return "Built; the tags are being put."
	case p.State == builder.Cancelled:
		return "Cancelled: " + markdown.Prose(orElse(p.Reason, "no reason was given")) + "."
	case p.State == builder.Superseded:
		return "Superseded " + markdown.Prose(orElse(p.Reason, "by a newer push")) + ": what was pushed last is built instead."
	case p.State == builder.Skipped:
		return "Unchanged: " + markdown.Prose(orElse(p.Reason, "nothing that this image is built from has changed")) + "."
	}
	return ""
}

func (p buildPage) failure() string {
	f := p.Failure
	if p.State != builder.Failed || f == nil {
		return ""
	}
	text := "**Failed:** " + markdown.Prose(beginning(f.Message))
	if f.File != "" && f.Line > 0 {
		text += fmt.Sprintf("\n\nAt [%s](%s/blob/%s/%s#L%d):", markdown.Code(fmt.Sprintf("%s:%d", f.File, f.Line)), p.Website, p.Commit, escapePath(f.File), f.Line)
	}
	if f.Excerpt != "" {
		excerpt, _ := markdown.KeepStart(markdown.Printed(f.Excerpt), maxExcerpt)
		text += "\n\n" + markdown.Fenced(excerpt, "dockerfile")
	}
	if f.Output != "" {
		output, cut := markdown.KeepEnd(markdown.Printed(f.Output), maxExcerpt)
		text += "\n\nThe step's last output:\n\n" + markdown.Fenced(marked(output, cut), "text")
	}
	return text
}

// image tells where the image is, and how to get it.
func (p buildPage) image() string {
	if !p.State.Good() {
		return ""
	}
	if p.Lane == builder.ForkLane {
		return "It comes from a fork, so it was built to try it out, and nothing was pushed."
	}
	if p.Digest == "" {
		return ""
	}
	var b strings.Builder
	repository := builder.FullDestination(p.Host, p.Destination)
	b.WriteString(markdown.Fenced("docker pull "+repository+"@"+p.Digest, "sh"))
	var put, held []string
	for _, t := range p.Tagged {
		if t.Held() {
			held = append(held, fmt.Sprintf("%s stays on %s, which is newer", markdown.Code(t.Tag), p.commitLink(t.HeldBy)))
			continue
		}
		put = append(put, repository+":"+t.Tag)
	}
	if p.State == builder.Promoted && p.From != "" {
		fmt.Fprintf(&b, "\n\nThe same input was built before, as %s: that image got the tags, and nothing was built again.", markdown.Code(p.From))
	}
	if len(put) > 0 {
		b.WriteString("\n\n" + list("Tags", each(put, markdown.Code)))
	}
	if len(held) > 0 {
		b.WriteString("\n\n" + list("Tags left where they were", held))
	}
	return b.String()
}

// about is a table of what was built, from what and for whom.
func (p buildPage) about() string {
	rows := []string{"| | |", "|---|---|"}
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, "| "+name+" | "+value+" |")
		}
	}
	row("Image", markdown.CodeCell(p.Image))
	if p.Commit != "" {
		row("Commit", p.commitLink(p.Commit))
	}
	row("Ref", markdown.CodeCell(p.Ref))
	row("Rule", markdown.CodeCell(p.Rule))
	row("For", markdown.CodeCell(p.Actor))
	if p.Spec.Inline == "" {
		row("Dockerfile", markdown.CodeCell(p.Spec.Dockerfile))
		row("Context", markdown.CodeCell(p.Spec.Context))
	}
	row("Target", markdown.CodeCell(p.Spec.Target))
	row("Platforms", markdown.CodeCell(strings.Join(p.Spec.Platforms, ", ")))
	if p.Spec.NoCache {
		row("Cache", "not used")
	}
	if p.Attempt > 1 {
		row("Attempt", fmt.Sprint(p.Attempt))
	}
	if p.State.Terminal() {
		row("Steps", countSteps(p.Steps))
		if !p.StartedAt.IsZero() && !p.FinishedAt.Before(p.StartedAt) {
			row("Took", span(p.FinishedAt.Sub(p.StartedAt)))
		}
	}
	row("Build", markdown.CodeCell(p.ID))
	return strings.Join(rows, "\n")
}

func (p buildPage) links() string {
	switch {
	case p.URL == "":
		return ""
	case p.State.Terminal():
		return "[The whole log](" + p.URL + ")"
	}
	return "[Follow the log](" + p.URL + ")"
}

func (p buildPage) commitLink(commit string) string {
	return fmt.Sprintf("[%s](%s/commit/%s)", markdown.Code(commit[:min(len(commit), 7)]), p.Website, commit)
}

// text is the table of steps, and of a build that has ended the end of its log.
func (p buildPage) text() string {
	text := stepTable(p.Steps)
	if !p.State.Terminal() || strings.TrimSpace(p.Log) == "" {
		return text
	}
	if text != "" {
		text += "\n"
	}
	title := "The log:\n\n"
	room := maxText - len(text) - markdown.FenceRoom - 200 - len(p.URL)
	log, cut := markdown.KeepEnd(strings.TrimRight(markdown.Printed(p.Log), "\n"), room)
	for block := ""; ; {
		if cut || p.LogCut {
			title = "The end of the log:\n\n"
			if p.URL != "" {
				title = "The end of the log; [all of it](" + p.URL + ") is kept for a while:\n\n"
			}
		}
		// Lines that look like fences grow when they are fenced.
		if block = markdown.Fenced(marked(log, cut || p.LogCut), "text"); len(text)+len(title)+len(block) <= maxText {
			return text + title + block + "\n"
		}
		log, cut = markdown.KeepEnd(log, len(log)-max(1, len(text)+len(title)+len(block)-maxText))
	}
}

// marked says where the beginning of a text was cut off.
func marked(s string, cut bool) string {
	if cut {
		return "[…]\n" + s
	}
	return s
}

// list is a list of Markdown, "" when there is nothing in it.
func list(title string, items []string) string {
	if len(items) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(title + ":\n")
	for i, item := range items {
		if i == maxList {
			fmt.Fprintf(&b, "\n- and %d more", len(items)-i)
			break
		}
		b.WriteString("\n- " + item)
	}
	return b.String()
}

// each makes Markdown of texts, of which nobody reads more than the beginning.
func each(texts []string, show func(string) string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = show(beginning(s))
	}
	return out
}

func beginning(s string) string {
	if s, cut := markdown.KeepStart(s, 600); cut {
		return s + "…"
	}
	return s
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// span is a time as people read it.
func span(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// buildFile links the build file at a commit.
func buildFile(website, commit string) string {
	return fmt.Sprintf("[%s](%s/blob/%s/%s)", markdown.Code(config.BuildFileName), website, commit, config.BuildFileName)
}
