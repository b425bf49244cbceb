package github

import (
	"path"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// Limits of annotations: https://docs.github.com/rest/checks/runs
const (
	annotationsAtOnce  = 50       // in one request; more are added by updates
	maxAnnotation      = 60 << 10 // bytes of a message; GitHub takes 64 KB
	maxAnnotationTitle = 255      // characters
	levelFailure       = "failure"
	levelWarning       = "warning"
)

// buildAnnotations are the failing line and what the Dockerfile's linter says.
// A Dockerfile that was sent without a repository has no lines to show it on.
func buildAnnotations(r builder.Record) []*github.CheckRunAnnotation {
	if r.Spec.Inline != "" || !r.State.Terminal() {
		return nil
	}
	var all []*github.CheckRunAnnotation
	if f := r.Failure; f != nil && r.State == builder.Failed && f.File != "" && f.Line > 0 {
		a := annotation(levelFailure, f.File, f.Line, f.EndLine, "The build of "+r.Image+" fails here", f.Message)
		if f.Output != "" {
			output, cut := markdown.KeepEnd(markdown.Printed(f.Output), maxExcerpt)
			a.RawDetails = github.String(marked(output, cut))
		}
		all = append(all, a)
	}
	for _, n := range r.Notes {
		if n.File == "" || n.Line == 0 {
			continue
		}
		message := n.Message
		if n.URL != "" {
			message += "\n" + n.URL
		}
		all = append(all, annotation(levelWarning, n.File, n.Line, n.EndLine, "Dockerfile of "+r.Image, message))
	}
	return all
}

// decisionAnnotations are the mistakes in a commit's build file.
func decisionAnnotations(d builder.Decision) []*github.CheckRunAnnotation {
	var all []*github.CheckRunAnnotation
	for _, p := range d.Invalid {
		a := annotation(levelFailure, p.File, p.Line, 0, "This file is refused", p.Message)
		if p.Col > 0 && p.Line > 0 {
			a.StartColumn, a.EndColumn = github.Int(p.Col), github.Int(p.Col)
		}
		all = append(all, a)
	}
	for _, r := range d.Reasons {
		if r.Error && r.Line > 0 {
			all = append(all, annotation(levelFailure, config.BuildFileName, r.Line, 0, orElse(r.Image, "The build file"), r.Message))
		}
	}
	return all
}

// annotation keeps GitHub's limits. A line of 0 is the whole file: its first.
func annotation(level, file string, line, last int, title, message string) *github.CheckRunAnnotation {
	line = max(line, 1)
	message, cut := markdown.KeepStart(strings.TrimSpace(markdown.Printed(message)), maxAnnotation)
	if cut {
		message += "…"
	}
	return &github.CheckRunAnnotation{
		Path: github.String(strings.TrimPrefix(path.Clean("/"+file), "/")), AnnotationLevel: github.String(level),
		StartLine: github.Int(line), EndLine: github.Int(max(line, last)),
		Title: github.String(markdown.Clip(markdown.OneLine(title), maxAnnotationTitle)), Message: github.String(orElse(message, title)),
	}
}
