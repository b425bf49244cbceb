package builder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ask is one event that a command wants planned, as if it came now.
type ask struct {
	event      Event
	generation int64
	source     string // the commit to build, where that is known and not the event's
}

// carryOut plans what a command asks for and makes one decision of it. All of
// its builds belong to the command's event.
func (c *commander) carryOut(ctx context.Context, asks ...ask) (Decision, error) {
	all := Decision{TagOwners: map[string]string{}}
	owners := maps.Clone(c.lease.TagOwners)
	if owners == nil {
		owners = map[string]string{}
	}
	for i, a := range asks {
		e := a.event
		e.ID, e.Repository, e.Actor, e.Command = c.e.ID, c.e.Repository, c.e.Actor, nil
		e.Seq, e.AcceptedAt, e.Before, e.Protected = c.e.Seq, c.e.AcceptedAt, "", false
		if i > 0 {
			e.ID += "+" + strconv.Itoa(i) // two refs may build one image by one rule
		}
		in := c.input(c.lease, e)
		in.Generation, in.Source, in.TagOwners = a.generation, a.source, owners
		var d Decision
		var err error
		if e.Kind == PullChanged {
			d, err = c.planPull(ctx, in, c.lease.Attempt)
		} else {
			d, err = c.plan(ctx, c.lease, in)
		}
		if err != nil {
			return Decision{}, err
		}
		for j := range d.Builds {
			d.Builds[j].EventID = c.e.ID
		}
		all.Builds = append(all.Builds, d.Builds...)
		all.Reasons = append(all.Reasons, d.Reasons...)
		all.Invalid = append(all.Invalid, d.Invalid...)
		if d.Failure != nil {
			all.Failure = d.Failure
		}
		if d.Hint != "" {
			all.Reasons = append(all.Reasons, Reason{Message: d.Hint})
		}
		maps.Copy(owners, d.TagOwners)
		maps.Copy(all.TagOwners, d.TagOwners)
	}
	return all, nil
}

// mostNotes is how many remarks an answer has room for.
const mostNotes = 10

func few(notes []string) []string {
	if more := len(notes) - mostNotes; more > 0 {
		notes = append(notes[:mostNotes], fmt.Sprintf("and %d more", more))
	}
	return notes
}

// tellBuilds makes the answer of what was planned: what builds, begun with the
// verb, and why the rest does not. Nothing at all is a refusal.
func tellBuilds(d Decision, verb string) Decision {
	notes := few(notesOf(d))
	if len(d.Builds) == 0 {
		d.Answer = &Answer{Text: "Nothing is built." + bullets(notes), Refused: true}
		return d
	}
	at := quote(shortCommit(d.Builds[0].StatusCommit()))
	fork := ""
	if d.Builds[0].Lane == ForkLane {
		fork = ", as a fork's: without secrets and without a network, and nothing is pushed"
	}
	if len(d.Builds) == 1 {
		d.Answer = &Answer{Text: fmt.Sprintf("%s %s at %s%s%s.", verb, quote(d.Builds[0].Image), at, tagsText(d.Builds[0]), fork) + bullets(notes)}
		return d
	}
	var lines []string
	for _, b := range d.Builds {
		lines = append(lines, quote(b.Image)+tagsText(b))
	}
	d.Answer = &Answer{Text: fmt.Sprintf("%s %s at %s%s:", verb, count(len(lines), "image"), at, fork) + bullets(append(lines, notes...))}
	return d
}

func tagsText(b Build) string {
	if len(b.Tags) == 0 {
		return ""
	}
	tags := make([]string, 0, len(b.Tags))
	for _, t := range b.Tags[:min(len(b.Tags), mostNotes)] {
		tags = append(tags, quote(t))
	}
	text := ", tag "
	if len(b.Tags) > 1 {
		text = ", tags "
	}
	text += strings.Join(tags, ", ")
	if more := len(b.Tags) - len(tags); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// notesOf says why images do not build, and of what those that do should be
// warned. Rules that do not matter beside one that matches are left to /why.
func notesOf(d Decision) []string {
	var notes []string
	if d.Failure != nil {
		notes = append(notes, quote(d.Failure.Message))
	}
	for _, m := range d.Invalid {
		notes = append(notes, quote(m.String()))
	}
	built := func(image string) bool {
		return slices.ContainsFunc(d.Builds, func(b Build) bool { return b.Image == image })
	}
	for _, r := range d.Reasons {
		if r.Error || !built(r.Image) && (r.Rule == "" || len(d.Builds) == 0) {
			notes = append(notes, reasonText(r))
		}
	}
	for _, b := range d.Builds {
		for _, w := range b.Warnings {
			notes = append(notes, quote(b.Image)+": "+quote(w))
		}
	}
	return notes
}

func reasonText(r Reason) string {
	switch {
	case r.Image == "":
		return quote(r.Message)
	case r.Rule == "":
		return quote(r.Image) + ": " + quote(r.Message)
	}
	return fmt.Sprintf("%s, rule %s: %s", quote(r.Image), quote(r.Rule), quote(r.Message))
}

func bullets(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\n\n- " + strings.Join(lines, "\n- ")
}
