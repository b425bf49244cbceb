package builder

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// AggregateContext is the commit status that sums up all images of a commit,
// for branch protection.
const AggregateContext = "registry-build"

// maxDescription is what GitHub takes as a status's description; the other
// forges take more.
const maxDescription = 140

// StatusContext names the commit status of the build's image.
func (b Build) StatusContext() string { return AggregateContext + "/" + b.Image }

// Describe tells in one line of at most 140 characters where a build stands,
// for a commit status. What must be cut is cut between characters and marked.
func Describe(r Record) string {
	switch r.State {
	case Queued:
		return describeQueued(r)
	case Running, Pushing:
		return describeRunning(r)
	case Succeeded, Promoted:
		return describePushed(r)
	case Failed:
		return describeFailure(r.Failure)
	case Pushed:
		return describePlainPush(r)
	case Skipped:
		return oneLine("unchanged", r.Reason)
	}
	return oneLine(string(r.State), r.Reason)
}

func describeQueued(r Record) string {
	text := "queued"
	if r.Attempt > 0 {
		text = "queued again" // its worker was lost
	}
	if r.Place > 0 {
		text += ", " + ordinal(r.Place) + " in line"
	}
	return text
}

func describeRunning(r Record) string {
	if r.Stop != nil {
		return oneLine("stopping", r.Stop.Reason)
	}
	attempt := ""
	if r.Attempt > 1 {
		attempt = fmt.Sprintf(", attempt %d", r.Attempt)
	}
	if r.Lane == ForkLane || r.State == Running {
		return clip(describeStep(r.Steps)+attempt, maxDescription)
	}
	if len(r.Tags) > 0 {
		return fit(r.Tags, func(tags string) string { return "pushing " + tags + attempt })
	}
	return "pushing" + attempt
}

// maxStepText leaves room for the attempt.
const maxStepText = 120

// stagePlace is what BuildKit puts before a step's text: "[tools 2/7] ".
var stagePlace = regexp.MustCompile(`^\[[^\]]*\] *`)

// describeStep tells how far a build is: the latest step that runs, or the
// last that ended while the next is on its way.
func describeStep(steps []Step) string {
	now := -1
	for i, s := range steps {
		if s.Started.IsZero() {
			continue
		}
		if now < 0 || !s.Ended || steps[now].Ended {
			now = i
		}
	}
	if now < 0 {
		return "building"
	}
	return clip(oneLine(fmt.Sprintf("step %d of %d", now+1, len(steps)), stagePlace.ReplaceAllString(steps[now].Name, "")), maxStepText)
}

func describePushed(r Record) string {
	tags, held := r.Tags, ""
	if len(r.Tagged) > 0 {
		tags = nil
		for _, o := range r.Tagged {
			if !o.Held() {
				tags = append(tags, o.Tag)
			} else if held == "" {
				held = "; " + clip(o.Tag, 40) + " left on " + shortCommit(o.HeldBy)
			} else if !strings.HasSuffix(held, " and more") {
				held += " and more"
			}
		}
	}
	in := took(r)
	if r.Lane == ForkLane {
		if in != "" {
			in = " in " + in
		}
		return "built" + in + "; it comes from a fork, so nothing is pushed"
	}
	if r.State == Promoted {
		text := "unchanged: same input as build " + r.From
		if r.From == "" {
			text = "unchanged: same input as before"
		}
		switch {
		case len(tags) == 0:
			return clip(text+held, maxDescription)
		case in == "":
			return clip(text+", tags put"+held, maxDescription)
		}
		return clip(text+", tags put in "+in+held, maxDescription)
	}
	if in != "" {
		in = " in " + in
	}
	if len(tags) == 0 {
		return clip("pushed without a tag"+in+held, maxDescription)
	}
	return fit(tags, func(tags string) string { return "pushed " + tags + in + held })
}

func describePlainPush(r Record) string {
	text := "pushed"
	if r.Actor != "" {
		text += " by " + clip(r.Actor, 40)
	}
	if len(r.Tags) == 0 {
		return text
	}
	return fit(r.Tags, func(tags string) string { return text + ": " + tags })
}

func describeFailure(f *Failure) string {
	if f == nil {
		return "failed"
	}
	message := f.Message
	if f.File != "" {
		place := f.File
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		if !strings.Contains(message, place) {
			message = place + " " + message
		}
	}
	return oneLine("failed", message)
}

// took is how long the build ran, or how long it took to put the tags of what
// was promoted from the queue. "" when it is not known.
func took(r Record) string {
	start := r.StartedAt
	if start.IsZero() {
		start = r.QueuedAt
	}
	if start.IsZero() || r.FinishedAt.Before(start) {
		return ""
	}
	return duration(r.FinishedAt.Sub(start))
}

func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// fit writes as many of the names as leave the line short enough, and counts
// the rest. Of a first name that is too long alone, the end is cut.
func fit(names []string, line func(names string) string) string {
	rest := func(n int) string {
		if n == len(names) {
			return ""
		}
		return fmt.Sprintf(" and %d more", len(names)-n)
	}
	for n := len(names); n > 0; n-- {
		text := line(strings.Join(names[:n], ", ") + rest(n))
		if utf8.RuneCountInString(text) <= maxDescription {
			return text
		}
	}
	room := maxDescription - utf8.RuneCountInString(line(rest(1)))
	return clip(line(clip(names[0], max(room, 1))+rest(1)), maxDescription)
}

// oneLine is "what: why", without the line ends of why.
func oneLine(what, why string) string {
	why = strings.Join(strings.Fields(why), " ")
	if why == "" {
		return what
	}
	return clip(what+": "+why, maxDescription)
}

// clip cuts text to n characters, the last of which says that it was cut.
func clip(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// shortCommit is the commit as templates write it.
func shortCommit(commit string) string { return commit[:min(len(commit), 6)] }
