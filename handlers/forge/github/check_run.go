package github

import (
	"fmt"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
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
		parts = append([]string{"**Failed:** " + prose(beginning(p.Error))}, parts...)
	}
	if p.URL != "" {
		parts = append(parts, "[The build and its triggers]("+p.URL+"), where it can be tried again")
	}
	summary, cut := keepStart(harmless(strings.Join(parts, "\n\n")+"\n"), maxText-100)
	if cut {
		summary += "…"
	}
	return page{Title: clip(oneLine(p.Title), maxTitle), Summary: summary}
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
	row("Trigger", codeCell(p.Trigger))
	row("Result", string(p.State))
	row("Condition", codeCell(beginning(p.Condition)))
	row("Action", codeCell(beginning(p.Action)))
	row("Tags", strings.ReplaceAll(codes(p.Tags[:min(len(p.Tags), 10)]), "|", `\|`))
	row("Attempts", fmt.Sprint(p.Attempts))
	row("Last attempt", at(p.StartedAt))
	row("Next attempt", at(p.NextAt))
	if p.Took > 0 {
		row("Took", span(p.Took))
	}
	row("Asked for by", codeCell(p.AskedBy))
	row("Made", codeCell(p.TriggerRun.URL))
	row("Build", codeCell(p.BuildID))
	return strings.Join(rows, "\n")
}
