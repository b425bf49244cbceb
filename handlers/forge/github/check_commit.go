package github

import (
	"fmt"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
)

// commitPage is what the page of all images of a commit, or of one that did
// not have to be built, is made from.
type commitPage struct {
	builder.Decision
	Title    string
	Website  string // of the repository
	FullName string
	Commit   string
	Host     string
	New      string // GitHub's page for the suggested build file
	BuildURL func(id string) string
}

func (p commitPage) render() page {
	var parts []string
	for _, part := range []string{p.invalid(), p.failed(), p.fork(), p.suggestion(), p.builds(), p.reasons()} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, markdown.Prose(p.Title))
	}
	summary, cut := markdown.KeepStart(markdown.Harmless(strings.Join(parts, "\n\n")+"\n"), maxText-100)
	if cut {
		summary = summary[:strings.LastIndexByte(summary, '\n')+1] + "\n…\n"
	}
	return page{Title: markdown.Clip(markdown.OneLine(p.Title), maxTitle), Summary: summary}
}

func (p commitPage) invalid() string {
	if len(p.Invalid) == 0 {
		return ""
	}
	items := make([]string, len(p.Invalid))
	for i, d := range p.Invalid {
		if d.Line > 0 {
			items[i] = fmt.Sprintf("[line %d](%s/blob/%s/%s#L%d), column %d: ", d.Line, p.Website, p.Commit, escapePath(d.File), d.Line, d.Col)
		}
		items[i] += markdown.Prose(beginning(d.Message))
	}
	return list(buildFile(p.Website, p.Commit)+" has mistakes, so nothing is built", items)
}

func (p commitPage) failed() string {
	if p.Failure == nil {
		return ""
	}
	return "**Nothing could be built:** " + markdown.Prose(beginning(p.Failure.Message))
}

func (p commitPage) fork() string {
	if p.Unapproved == "" {
		return ""
	}
	return fmt.Sprintf("This commit comes from a fork. Nothing of it is built until somebody who can write to %s has read the changes and writes on the pull request:\n\n%s",
		markdown.Code(p.FullName), markdown.Fenced(fmt.Sprintf("/%s %s", builder.CommandOkToBuild, p.Unapproved), "text"))
}

func (p commitPage) suggestion() string {
	s := p.Suggestion
	if s == nil {
		return ""
	}
	found := s.Dockerfiles[:min(len(s.Dockerfiles), maxList)]
	text := fmt.Sprintf("This repository has %s and no %s, so nothing is built. A file that fits:\n\n%s",
		markdown.Codes(found), markdown.Code(config.BuildFileName), markdown.Fenced(s.File, "yaml"))
	if len(p.New) <= maxAddress {
		text += "\n\n[Add it to the repository](" + p.New + ")"
	}
	return text + "\n\nThis is said once for a repository."
}

// maxAddress is what browsers and GitHub take for sure.
const maxAddress = 7000

func (p commitPage) builds() string {
	if len(p.Builds) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| Image | Rule | Tags | Build |\n|---|---|---|---|")
	for i, build := range p.Builds {
		if i == maxList {
			fmt.Fprintf(&b, "\n| and %d more | | | |", len(p.Builds)-i)
			break
		}
		tags := build.Tags[:min(len(build.Tags), 10)]
		more := ""
		if len(tags) < len(build.Tags) {
			more = fmt.Sprintf(" and %d more", len(build.Tags)-len(tags))
		}
		fmt.Fprintf(&b, "\n| %s | %s | %s | [%s](%s) |", markdown.CodeCell(build.Image), markdown.CodeCell(markdown.Clip(build.Rule, maxStep)),
			strings.ReplaceAll(markdown.Codes(tags), "|", `\|`)+more, markdown.CodeCell(build.ID), p.BuildURL(build.ID))
	}
	return b.String()
}

// reasons tells what is not built, mistakes first. Rules that another rule
// made superfluous are left to /why.
func (p commitPage) reasons() string {
	var mistakes, others []string
	for _, r := range p.Reasons {
		about := markdown.Code(r.Image)
		if r.Rule != "" {
			about += " by " + markdown.Code(r.Rule)
		}
		if about != "" {
			about += ": "
		}
		switch {
		case r.Error:
			mistakes = append(mistakes, about+markdown.Prose(beginning(r.Message)))
		case r.Rule == "" || len(p.Builds) == 0:
			others = append(others, about+markdown.Prose(beginning(r.Message)))
		}
	}
	parts := []string{}
	for _, part := range []string{list("To be mended", mistakes), list("Not built", others)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "\n\n")
}
