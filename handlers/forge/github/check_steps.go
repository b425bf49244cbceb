package github

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// current returns the step that runs: the first that has begun and not ended,
// else the last that has begun. -1 when none has.
func current(steps []builder.Step) int {
	last := -1
	for i, s := range steps {
		begun := !s.Started.IsZero() || s.Ended || s.Cached
		if begun && !s.Ended {
			return i
		}
		if begun {
			last = i
		}
	}
	return last
}

// currentStep is "step 4 of 9: `RUN make`".
func currentStep(steps []builder.Step) string {
	i := current(steps)
	if i < 0 {
		return "the beginning"
	}
	return fmt.Sprintf("step %d of %d: %s", i+1, len(steps), markdown.Code(markdown.Clip(markdown.OneLine(steps[i].Name), maxStep)))
}

// stepTable has a row for each step, with its time.
func stepTable(steps []builder.Step) string {
	if len(steps) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| | Step | Time |\n|--:|---|--:|")
	for i, s := range steps {
		row := fmt.Sprintf("\n| %d | %s | %s |", i+1, markdown.CodeCell(markdown.Clip(markdown.OneLine(s.Name), maxStep)), stepTime(s))
		if i == maxSteps || b.Len()+len(row) > maxTable {
			fmt.Fprintf(&b, "\n| | and %d more | |", len(steps)-i)
			break
		}
		b.WriteString(row)
	}
	b.WriteByte('\n')
	return b.String()
}

func stepTime(s builder.Step) string {
	switch {
	case s.Cached:
		return "cached"
	case s.Failed && s.Took > 0:
		return "**failed** after " + span(s.Took)
	case s.Failed:
		return "**failed**"
	case s.Ended:
		return span(s.Took)
	case s.Started.IsZero():
		return ""
	}
	return "running"
}

// countSteps is "9, 7 of them from the cache".
func countSteps(steps []builder.Step) string {
	if len(steps) == 0 {
		return ""
	}
	cached := 0
	for _, s := range steps {
		if s.Cached {
			cached++
		}
	}
	if cached == 0 {
		return fmt.Sprint(len(steps))
	}
	return fmt.Sprintf("%d, %d of them from the cache", len(steps), cached)
}

// escapePath makes a path of the repository part of an address.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
