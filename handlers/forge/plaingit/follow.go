package plaingit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const (
	// maxFollowed is how many builds of one push are shown live: each holds
	// a reader of its log.
	maxFollowed = 16
	// optionDetach is git push -o registry-build.detach: do not wait.
	optionDetach = "registry-build.detach"
)

// follower shows a pusher what their push came to, until every build of it is
// in a terminal state or ctx ends.
type follower struct {
	builds Builds
	out    interface{ say(line string) }
	url    func() string
	detach bool
}

// wantsDetach reads the push options, and tells of those that nobody knows.
func wantsDetach(options []string, out interface{ say(line string) }) bool {
	detach := false
	for _, o := range options {
		switch {
		case o == optionDetach:
			detach = true
		case strings.HasPrefix(o, "registry-build"):
			out.say(clean(fmt.Sprintf("registry-build: unknown push option %q; there is %s", o, optionDetach)))
		}
	}
	return detach
}

func (f *follower) follow(ctx context.Context, events []builder.Event) {
	var builds []builder.Build
	for _, e := range events {
		d, err := f.builds.AwaitDecision(ctx, e.ID)
		if err != nil {
			f.lost(ctx, "the push is accepted and builds by itself", err)
			return
		}
		f.decision(e, d)
		builds = append(builds, d.Builds...)
	}
	for _, b := range builds {
		f.queued(ctx, b)
	}
	switch {
	case f.detach, len(builds) == 0:
		return
	case len(builds) > maxFollowed:
		f.out.say(fmt.Sprintf("registry-build: %d builds are too many to show here: %s", len(builds), f.url()))
		return
	}
	labels := labels(builds)
	var all sync.WaitGroup
	for i, b := range builds {
		all.Go(func() { f.build(ctx, b, labels[i]) })
	}
	all.Wait()
}

// decision tells why something is not built.
func (f *follower) decision(e builder.Event, d builder.Decision) {
	say := func(format string, args ...any) {
		f.text("", fmt.Sprintf("registry-build: %s: ", short(e.Ref))+fmt.Sprintf(format, args...))
	}
	for _, problem := range d.Invalid {
		say("%s", problem)
	}
	if d.Failure != nil {
		f.failure("registry-build: "+short(e.Ref)+": ", d.Failure)
	}
	if d.Hint != "" {
		say("%s", d.Hint)
	}
	built := make(map[string]bool)
	for _, b := range d.Builds {
		built[b.Image] = true
	}
	for _, r := range d.Reasons {
		switch {
		case r.Image == "":
			say("%s", r.Message)
		case built[r.Image]: // another rule matched
		case r.Rule == "":
			say("%s is not built: %s", r.Image, r.Message)
		default:
			say(`%s is not built by "%s" (line %d): %s`, r.Image, r.Rule, r.Line, r.Message)
		}
	}
}

func (f *follower) queued(ctx context.Context, b builder.Build) {
	place := ""
	if r, err := f.builds.Build(ctx, b.ID); err == nil && r.Place > 0 {
		place = fmt.Sprintf(", number %d in the queue", r.Place)
	}
	f.text("", fmt.Sprintf("registry-build: %s queued%s: %s", b.Image, place, f.page(b.ID)))
	for _, w := range b.Warnings {
		f.text("", "registry-build: "+b.Image+": warning: "+w)
	}
}

// build shows one build's log and how it ended, each line after label.
func (f *follower) build(ctx context.Context, b builder.Build, label string) {
	lines := &splitter{say: func(line string) { f.out.say(label + line) }}
	after := ""
	var err error
	for range 30 { // attempts to go on reading after an error, a second apart
		err = nil
		for chunk, e := range f.builds.ReadLog(ctx, b.ID, after, true) {
			if err = e; err != nil {
				break
			}
			after = chunk.ID
			lines.Write(chunk.Data)
		}
		if err == nil || !errors.Is(err, builder.ErrUnavailable) || !pause(ctx, time.Second) {
			break
		}
	}
	if len(lines.held) > 0 {
		lines.Flush()
	}
	if err != nil || ctx.Err() != nil {
		f.lost(ctx, label+"the build goes on: "+f.page(b.ID), err)
		return
	}
	r, err := f.builds.Build(ctx, b.ID)
	if err != nil {
		f.lost(ctx, label+"the build has ended: "+f.page(b.ID), err)
		return
	}
	f.ended(r, label)
}

// ended tells the outcome in the words of the commit's status. Tags, digest
// and the failing lines stand in the log, which the pusher has just read.
func (f *follower) ended(r builder.Record, label string) {
	f.text(label, fmt.Sprintf("registry-build: %s: %s", r.Image, builder.Describe(r)))
	if !r.State.Good() {
		f.text(label, "registry-build: "+f.page(r.ID))
	}
}

// outputLines is how much of a failing step's output is repeated at the end.
const outputLines = 20

func (f *follower) failure(label string, failure *builder.Failure) {
	if failure.Output != "" {
		lines := strings.Split(strings.TrimRight(failure.Output, "\n"), "\n")
		f.text(label, "the failing step's last output:")
		for _, l := range lines[max(0, len(lines)-outputLines):] {
			f.text(label, "  "+l)
		}
	}
	if failure.Excerpt != "" {
		f.text(label, strings.TrimRight(failure.Excerpt, "\n"))
	}
	at := place(failure.File, failure.Line)
	if strings.HasPrefix(failure.Message, strings.TrimSuffix(at, " ")) {
		at = "" // the sentence begins with it
	}
	f.text(label, at+failure.Message)
}

// text says one or more lines that somebody else may have had a hand in.
func (f *follower) text(label, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		f.out.say(label + clean(line))
	}
}

// lost says what goes on without us. A pusher who hung up cannot hear it.
func (f *follower) lost(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		f.out.say(fmt.Sprintf("registry-build: %s (%s)", what, unavailableToRead(err)))
	}
}

func unavailableToRead(err error) string {
	if errors.Is(err, builder.ErrUnavailable) {
		return "Redis is down"
	}
	return "its state cannot be read"
}

// page is where people see a build.
func (f *follower) page(build string) string { return f.url() + "/builds/" + build }

// labels are what tells the lines of several builds apart: the image's name,
// and the ref where two have the same.
func labels(builds []builder.Build) []string {
	names := make([]string, len(builds))
	if len(builds) == 1 {
		return names
	}
	count := make(map[string]int)
	for _, b := range builds {
		count[b.Image]++
	}
	for i, b := range builds {
		names[i] = b.Image
		if count[b.Image] > 1 {
			names[i] += " " + short(b.Ref)
		}
		names[i] = clean(names[i]) + " | "
	}
	return names
}

// short is a ref as people say it.
func short(ref string) string {
	if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return name
	}
	return strings.TrimPrefix(ref, "refs/tags/")
}

func place(file string, line int) string {
	switch {
	case file == "":
		return ""
	case line == 0:
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// pause reports whether the time passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
