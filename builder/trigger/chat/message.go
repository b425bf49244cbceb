package chat

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// Limits in characters keep every message within what the services take (of
// those WeCom's 4,096 bytes are the least), and short.
const (
	maxName    = 128 // of images, refs and people
	maxTags    = 5
	maxFailure = 300
	maxWord    = 200 // of what a service answers
)

// message is what every service is told. Its texts are one line each and cut,
// but not escaped: each service does that in its own way. Only event and the
// facts' names are our own words.
type message struct {
	event string // Pushed, Failed, Recovered
	about string // acme/hello: v1.2.3
	facts []fact
	build string // its id
	url   string // its page; "" where there is none
}

type fact struct{ name, text string }

func (m message) title() string { return m.event + " " + m.about }

func (k *Kind) message(f trigger.Firing) message {
	r := f.Record
	m := message{event: eventWord(f), about: clean(r.Destination, maxName), build: r.ID}
	if k.o.BuildURL != nil {
		m.url = k.o.BuildURL(r.ID)
	}
	tags := listed(f.Tags)
	if tags != "" {
		m.about += ": " + tags
	}
	m.add("Image", clean(trigger.Image(k.o.Registry, r), 2*maxName))
	m.add("Tags", tags)
	m.add("Digest", short(r.Digest, len("sha256:")+12))
	m.add("Commit", commit(r))
	m.add("By", clean(r.Actor, maxName))
	if !r.StartedAt.IsZero() && r.FinishedAt.After(r.StartedAt) {
		m.add("Took", r.FinishedAt.Sub(r.StartedAt).Round(100*time.Millisecond).String())
	}
	if f.Event == config.OnFailed {
		m.add("Failure", failure(r.Failure))
	}
	return m
}

func (m *message) add(name, text string) {
	if text != "" {
		m.facts = append(m.facts, fact{name, text})
	}
}

func eventWord(f trigger.Firing) string {
	switch f.Event {
	case config.OnFailed:
		return "Failed"
	case config.OnRecovered:
		return "Recovered"
	}
	if f.Record.State == builder.Pushed {
		return "Pushed by hand"
	}
	return "Pushed"
}

// commit is "4f2c1a9d3b8e of acme/hello (v1.2.3)"; "" where nothing was built
// from one.
func commit(r builder.Record) string {
	if r.Commit == "" {
		return ""
	}
	text := short(r.Commit, 12)
	if r.Repository.Owner != "" {
		text += " of " + clean(r.Repository.FullName(), maxName)
	}
	if ref := clean(strings.TrimPrefix(strings.TrimPrefix(r.Ref, "refs/heads/"), "refs/tags/"), maxName); ref != "" {
		text += " (" + ref + ")"
	}
	return text
}

func failure(f *builder.Failure) string {
	if f == nil {
		return ""
	}
	text := clean(f.Message, maxFailure)
	if f.File != "" {
		where := clean(path.Clean(f.File), maxName)
		if f.Line > 0 {
			where = fmt.Sprintf("%s:%d", where, f.Line)
		}
		text += " (" + where + ")"
	}
	return text
}

// listed names the first few tags.
func listed(tags []string) string {
	var out []string
	for i, t := range tags {
		if i == maxTags {
			out = append(out, fmt.Sprintf("and %d more", len(tags)-maxTags))
			break
		}
		out = append(out, clean(t, maxName))
	}
	return strings.Join(out, ", ")
}

func short(s string, n int) string {
	if s = clean(s, maxName); len(s) > n {
		return s[:n]
	}
	return s
}

// clean makes other people's text one line of at most limit characters, without
// what is not seen: control characters, and those that turn the direction of
// writing or have no width, by which a name could look like another.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}
