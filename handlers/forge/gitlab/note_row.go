package gitlab

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Sizes of a cell, in characters and names.
const (
	maxCell     = 250
	maxCellTags = 3
)

// tableRow is a report in a row.
func (f *Forge) tableRow(r builder.Report) tableRow {
	row := tableRow{Order: telling.OrderOf(r), Context: r.Context, Phase: telling.Phase(r), Ended: telling.Ended(r), State: stateWord(r)}
	about := r.Description
	if _, word, ok := strings.Cut(row.State, " "); ok { // it stands beside it
		about = strings.TrimLeft(strings.TrimPrefix(about, word), ":, ")
	}
	row.About = markdown.Prose(markdown.Clip(about, maxCell))
	if r.BuildID != "" && f.BuildURL != nil {
		row.Log = f.BuildURL(r.BuildID)
	}
	if b := r.Record; b != nil {
		switch {
		case b.State == builder.Failed && b.Failure != nil:
			row.About = f.failureCell(*b)
		case b.State.Good() && b.Digest != "" && b.Lane == builder.TrustedLane && f.Host != nil:
			row.About = imageCell(*b, f.Host())
		}
	}
	return row
}

// stateWord tells the state at a glance.
func stateWord(r builder.Report) string {
	if b := r.Record; b != nil {
		switch b.State {
		case builder.Queued:
			return "⏳ queued"
		case builder.Running:
			return "🔨 building"
		case builder.Pushing:
			return "📦 pushing"
		case builder.Succeeded, builder.Pushed:
			return "✅ built"
		case builder.Promoted:
			return "✅ built before"
		case builder.Skipped:
			return "✅ unchanged"
		case builder.Cancelled:
			return "🚫 cancelled"
		case builder.Superseded:
			return "⏭️ superseded"
		case builder.Failed:
			return "❌ failed"
		}
	}
	if t := r.Run; t != nil {
		switch t.State {
		case builder.RunSucceeded:
			return "✅ done"
		case builder.RunFailed:
			return "❌ failed"
		case builder.RunSkipped:
			return "⏭️ skipped"
		}
		return "⏳ under way"
	}
	switch r.State {
	case builder.StatusPending:
		return "⏳"
	case builder.StatusWaiting:
		return "✋"
	case builder.StatusFailure, builder.StatusError:
		return "❌"
	case builder.StatusNeutral:
		return "ℹ️"
	}
	return "✅"
}

// failureCell is what went wrong, on one line, with the place in the commit.
func (f *Forge) failureCell(b builder.Record) string {
	text := markdown.OneLine(b.Failure.Message)
	place := b.Failure.File
	if place == "" {
		return markdown.Prose(markdown.Clip(text, maxCell))
	}
	link := f.website(b.Repository) + "/-/blob/" + b.StatusCommit() + "/" + (&url.URL{Path: b.Failure.File}).EscapedPath()
	if b.Failure.Line > 0 {
		place += fmt.Sprintf(":%d", b.Failure.Line)
		link += fmt.Sprintf("#L%d", b.Failure.Line)
	}
	link = strings.NewReplacer("(", "%28", ")", "%29", "|", "%7C").Replace(link)
	text = strings.TrimPrefix(text, place+": ") // the link says that
	return fmt.Sprintf("[%s](%s): %s", markdown.CodeCell(markdown.Clip(place, 120)), link, markdown.Prose(markdown.Clip(text, maxCell)))
}

// imageCell names the image as it is pulled: by its tags, and by its digest.
func imageCell(b builder.Record, host string) string {
	name := builder.FullDestination(host, b.Destination)
	var tags []string
	more, held := 0, 0
	for _, t := range b.Tagged {
		switch {
		case t.Held():
			held++
		case len(tags) == maxCellTags:
			more++
		default:
			tags = append(tags, markdown.CodeCell(name+":"+t.Tag))
		}
	}
	if len(tags) == 0 {
		return markdown.CodeCell(name+"@"+b.Digest) + heldText(held)
	}
	text := strings.Join(tags, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	algorithm, digest, _ := strings.Cut(b.Digest, ":")
	return text + ", " + markdown.CodeCell(algorithm+":"+digest[:min(len(digest), 12)]) + heldText(held)
}

// heldText counts the tags that stay on a newer image.
func heldText(held int) string {
	switch held {
	case 0:
		return ""
	case 1:
		return "; one tag stays on a newer image"
	}
	return fmt.Sprintf("; %d tags stay on newer images", held)
}
