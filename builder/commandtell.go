package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// helpText is the table of commands.
func helpText() string {
	rows := [][]string{}
	for _, u := range Commands() {
		rows = append(rows, []string{quote(u.Form), u.Text, u.Who()})
	}
	return "Write one of these as the first line of a comment:\n\n" + table([]string{"command", "what it does", "for"}, rows) +
		"\n\nEach may stand behind `/rb`, too: GitLab takes `/status` and `/promote` for its own, and leaves us `/rb status` and `/rb promote`."
}

// status shows the newest build of each image.
func (c *commander) status(ctx context.Context) (Decision, error) {
	builds, err := c.newestBuilds(ctx)
	if err != nil {
		return Decision{}, err
	}
	at := quote(shortCommit(c.head))
	if len(builds) == 0 {
		return answered(fmt.Sprintf("Nothing was built of %s; `/why` tells why.", at) + c.pausedText()), nil
	}
	var rows [][]string
	for _, r := range builds {
		rows = append(rows, []string{quote(r.Image), quote(subjectOfEvent(Event{Kind: r.EventKind, Ref: r.Ref, Pull: r.Pull}).String()), quote(Describe(r)), sinceText(r), quote(r.ID)})
	}
	return answered(fmt.Sprintf("The newest builds of %s:\n\n", at) +
		table([]string{"image", "of", "state", "since", "build"}, rows) + c.pausedText()), nil
}

// sinceText is when the build came into its state.
func sinceText(r Record) string {
	for _, at := range []time.Time{r.FinishedAt, r.StartedAt, r.QueuedAt} {
		if !at.IsZero() {
			return at.UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	return ""
}

func (c *commander) pausedText() string {
	var lines []string
	for image, by := range c.lease.Paused {
		what := "all images"
		if image != "" {
			what = quote(image)
		}
		lines = append(lines, fmt.Sprintf("automatic builds of %s are paused by %s", what, quote(by)))
	}
	slices.Sort(lines)
	return bullets(lines)
}

// why shows what the last push came to, rule by rule.
func (c *commander) why(ctx context.Context) (Decision, error) {
	refs, err := c.refsOf(ctx)
	if err != nil {
		return Decision{}, err
	}
	var parts []string
	for _, ref := range refs {
		d, err := c.Past.Latest(ctx, c.e.Repository.Key(), ref)
		var e Event
		if err == nil {
			e, err = c.Past.Event(ctx, d.EventID)
		}
		if errors.Is(err, ErrNotFound) || err == nil && c.pull == nil && e.Commit != c.head {
			continue
		}
		if err != nil {
			return Decision{}, fmt.Errorf("latest decision on %s: %w", ref, err)
		}
		parts = append(parts, whyText(e, d))
	}
	if len(parts) == 0 {
		return answered(fmt.Sprintf("No push that ended at %s is known, so nothing was decided on it.", quote(shortCommit(c.head))) + c.pausedText()), nil
	}
	return answered(strings.Join(parts, "\n\n") + c.pausedText()), nil
}

// refsOf are the refs that the command's commit may have been pushed to.
func (c *commander) refsOf(ctx context.Context) ([]string, error) {
	if c.pull != nil {
		refs := []string{PullRef(c.pull.Number)}
		if !c.pull.Fork && c.pull.HeadBranch != "" {
			refs = append(refs, branchRef(c.pull.HeadBranch))
		}
		return refs, nil
	}
	builds, err := c.buildsOf(ctx)
	if err != nil {
		return nil, err
	}
	refs := []string{defaultRef(c.e.Repository)}
	for _, r := range builds {
		if r.Ref != "" && !slices.Contains(refs, r.Ref) {
			refs = append(refs, r.Ref)
		}
	}
	return refs, nil
}

// whyText shows a decision: what was built, and what was not and why.
func whyText(e Event, d Decision) string {
	text := fmt.Sprintf("For %s at %s:", quote(subjectOfEvent(e).String()), quote(shortCommit(e.Commit)))
	var notes []string
	if d.Unapproved != "" {
		notes = append(notes, fmt.Sprintf("it comes from a fork and waits for `/%s %s`", CommandOkToBuild, d.Unapproved))
	}
	if d.Failure != nil {
		notes = append(notes, quote(d.Failure.Message))
	}
	for _, m := range d.Invalid {
		notes = append(notes, quote(m.String()))
	}
	if d.Hint != "" {
		notes = append(notes, quote(d.Hint))
	}
	var rows [][]string
	for _, b := range d.Builds {
		rows = append(rows, []string{quote(b.Image), ruleText(b.Rule), "", "builds" + tagsText(b)})
	}
	for _, r := range d.Reasons {
		if r.Image == "" {
			notes = append(notes, quote(r.Message))
			continue
		}
		line := ""
		if r.Line > 0 {
			line = fmt.Sprint(r.Line)
		}
		rows = append(rows, []string{quote(r.Image), ruleText(r.Rule), line, quote(r.Message)})
	}
	text += bullets(few(notes))
	if len(rows) > 0 {
		text += "\n\n" + table([]string{"image", "rule", "line", "outcome"}, rows[:min(len(rows), mostRows)])
		if more := len(rows) - mostRows; more > 0 {
			text += fmt.Sprintf("\n\nand %d more.", more)
		}
	}
	return text
}

const mostRows = 40 // of a table: a comment has 65,536 characters

func ruleText(rule string) string {
	if rule == "" {
		return ""
	}
	return quote(rule)
}

// table is a table of Markdown. A pipe would end a cell, also within code.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for _, cell := range cells {
			b.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	line(head)
	b.WriteString("|" + strings.Repeat(" --- |", len(head)) + "\n")
	for _, row := range rows {
		line(row)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
