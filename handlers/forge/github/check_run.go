package github

import (
	"fmt"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// runPage is what the page of one trigger of a build is made from. What the
// other side answered stays out of it: everybody sees it who sees the code.
type runPage struct {
	builder.TriggerRun
	Title string // builder.DescribeRun
	URL   string // of the build, for people
}

func (p runPage) render() page {
	parts := []string{p.about()}
	if p.Error != "" {
		parts = append([]string{"**Failed:** " + markdown.Prose(beginning(p.Error))}, parts...)
	}
	if p.URL != "" {
		parts = append(parts, "[The build and its triggers]("+p.URL+"), where it can be tried again")
	}
	summary, cut := markdown.KeepStart(markdown.Harmless(strings.Join(parts, "\n\n")+"\n"), maxText-100)
	if cut {
		summary += "…"
	}
	return page{Title: markdown.Clip(markdown.OneLine(p.Title), maxTitle), Summary: summary}
}

func (p runPage) about() string {
	rows := []string{"| | |", "|---|---|"}
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, "| "+name+" | "+value+" |")
		}
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	row("Trigger", markdown.CodeCell(p.Trigger))
	row("Result", string(p.State))
	row("Condition", markdown.CodeCell(beginning(p.Condition)))
	row("Action", markdown.CodeCell(beginning(p.Action)))
	row("Tags", strings.ReplaceAll(markdown.Codes(p.Tags[:min(len(p.Tags), 10)]), "|", `\|`))
	row("Attempts", fmt.Sprint(p.Attempts))
	row("Last attempt", at(p.StartedAt))
	row("Next attempt", at(p.NextAt))
	if p.Took > 0 {
		row("Took", span(p.Took))
	}
	row("Asked for by", markdown.CodeCell(p.AskedBy))
	row("Made", markdown.CodeCell(p.TriggerRun.URL))
	row("Build", markdown.CodeCell(p.BuildID))
	return strings.Join(rows, "\n")
}
