package handlers

import (
	"bufio"
	"bytes"
	"html"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	htmlrenderer "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"

	"github.com/registry-build/registry-build/builder"
)

const (
	maxComment     = 16 << 10 // bytes of a comment that are looked at: reading can take the square of them
	maxCommandLine = 1000     // bytes; what is longer is no command
)

// ReadCommand reads the command out of a comment's body, which it drops. It
// is false where there is none, or one of another bot's. What is ours and
// cannot be understood is a command too: it is answered.
func ReadCommand(c builder.Command) (builder.Command, bool) {
	line, ok := firstLine(c.Body)
	if !ok {
		return builder.Command{}, false
	}
	read, ok := builder.ParseCommand(line)
	if !ok {
		return builder.Command{}, false
	}
	read.Source, read.Pull, read.Comment = c.Source, c.Pull, c.Comment
	return read, true
}

// firstLine returns the first line of a comment as a person reads it: what is
// quoted, code or an HTML comment is passed over, and what stands there then
// must be plain text. A heading, a list, a table or HTML is read as well, and
// is no command; so whatever comes after it is none either.
func firstLine(body string) (string, bool) {
	source := normal(body)
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM))
	doc := markdown.Parser().Parse(text.NewReader(source))
	for block := doc.FirstChild(); block != nil; block = block.NextSibling() {
		switch block := block.(type) {
		case *ast.Blockquote, *ast.CodeBlock, *ast.FencedCodeBlock, *ast.LinkReferenceDefinition, *ast.ThematicBreak:
		case *ast.HTMLBlock:
			if !isComment(block, source) {
				return "", false
			}
		case *ast.Paragraph:
			return lineOf(block, source)
		default:
			return "", false
		}
	}
	return "", false
}

// normal cuts what is too long after a line, and ends lines as goldmark likes
// them: browsers send \r\n.
func normal(body string) []byte {
	body = strings.TrimPrefix(body, "\ufeff")
	if len(body) > maxComment {
		body = body[:maxComment]
		body = body[:strings.LastIndexAny(body, "\r\n")+1]
	}
	return []byte(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(body))
}

// isComment reports whether nothing of the HTML is shown.
func isComment(block *ast.HTMLBlock, source []byte) bool {
	raw := bytes.Clone(block.Lines().Value(source))
	if block.HasClosure() {
		closure := block.ClosureLine
		raw = append(raw, closure.Value(source)...)
	}
	raw = bytes.TrimSpace(raw)
	return bytes.HasPrefix(raw, []byte("<!--")) && bytes.Index(raw, []byte("-->")) == len(raw)-len("-->")
}

// lineOf returns the first line of a paragraph without its markup, if it
// begins with plain text that begins with a slash.
func lineOf(p *ast.Paragraph, source []byte) (string, bool) {
	first, ok := p.FirstChild().(*ast.Text)
	if !ok || !bytes.HasPrefix(first.Value(source), []byte("/")) {
		return "", false
	}
	var line strings.Builder
	err := ast.Walk(p, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			writeText(&line, n, source)
			if n.SoftLineBreak() || n.HardLineBreak() {
				return ast.WalkStop, nil
			}
		case *ast.String:
			line.Write(n.Value)
		case *ast.AutoLink:
			line.Write(n.Label(source))
		case *ast.Image, *ast.RawHTML:
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return "", false
	}
	// Code that goes over the end of the line has it in its text.
	read, _, _ := strings.Cut(line.String(), "\n")
	if len(read) > maxCommandLine {
		return "", false
	}
	return read, true
}

// writeText writes text as it is shown: without backslashes that escape, and
// with entities resolved.
func writeText(line *strings.Builder, n *ast.Text, source []byte) {
	if n.IsRaw() {
		line.Write(n.Value(source))
		return
	}
	var escaped bytes.Buffer
	w := bufio.NewWriter(&escaped)
	htmlrenderer.DefaultWriter.Write(w, n.Value(source))
	_ = w.Flush() // into memory
	line.WriteString(html.UnescapeString(escaped.String()))
}
