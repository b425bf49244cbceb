package importer

import (
	"fmt"
	"slices"
	"strings"
)

// write is the build file with all that a person should know of it.
func (d *draft) write() []byte {
	p := page{said: map[string]bool{}}
	d.body(&p)
	if len(d.unmapped) > 0 {
		p.WriteString("\n")
		p.comment(0, "Not mapped (%d):", len(d.unmapped))
		for i, n := range d.unmapped {
			if i == maxNotes {
				p.comment(0, "- and %d more, which `registry-build import` lists.", len(d.unmapped)-i)
				break
			}
			lines := wrap(n.At(d.file), 94)
			p.line(0, "# - %s", oneLine(lines[0]))
			for _, l := range lines[1:] {
				p.line(0, "#   %s", l)
			}
		}
	}
	return []byte(p.String())
}

// plain is the build file without a comment, for trying it out.
func (d *draft) plain() []byte {
	p := page{bare: true}
	d.body(&p)
	return []byte(p.String())
}

// At is the note with its place in the file: "rules.json:12: …".
func (n Note) At(file string) string {
	if n.Line == 0 {
		return oneLine(file + ": " + n.Text)
	}
	return oneLine(fmt.Sprintf("%s:%d: %s", file, n.Line, n.Text))
}

func (d *draft) body(p *page) {
	all := d.common()
	p.comment(0, "Made of the %s build rules in %s by `registry-build import`.", d.service.title, d.file)
	p.comment(0, "Mend what says TODO, then look at it with `registry-build validate --ref main`.")
	if d.service.title == "ACR" && !d.switches {
		p.comment(0, "ACR keeps beside its rules whether it builds by itself, with a cache, or overseas; that was not in %s. Here it builds by itself and with a cache.", d.file)
	}
	p.line(0, "version: 1")
	if d.timed() {
		p.comment(0, "Times in tags are in UTC+8, as %s writes them.", d.service.title)
		p.line(0, "timezone: Asia/Shanghai")
	}
	if !all.automatic {
		p.comment(0, "Building by itself is switched off at %s: only commands, the API and the console build.", d.service.title)
		p.line(0, "automatic: false")
	}
	p.line(0, "images:")
	for _, im := range d.images {
		im.write(p, d.service.title, len(d.images) > 1, all.automatic)
	}
}

// timed reports whether a tag holds a time.
func (d *draft) timed() bool {
	for _, im := range d.images {
		for _, r := range im.rules {
			for _, t := range r.tags {
				if strings.Contains(t, "${time") || strings.Contains(t, "${buildTime") {
					return true
				}
			}
		}
	}
	return false
}

// common says for the file whether any rule builds by itself.
func (d *draft) common() rule {
	out := rule{}
	live := 0
	for _, im := range d.images {
		for _, r := range im.rules {
			if !r.standIn {
				live++
				out.automatic = out.automatic || r.automatic
			}
		}
	}
	if live == 0 {
		out.automatic = true
	}
	return out
}

// defaults are the parts that all rules which build have in common; they are
// written once, for the image.
func (im *image) defaults() *rule {
	var first *rule
	out := newRule(0, 0)
	same := struct{ place, args, platform, cache bool }{true, true, true, true}
	for _, r := range im.rules {
		if r.standIn && len(im.rules) > 1 {
			continue
		}
		if first == nil {
			first = r
			continue
		}
		same.place = same.place && r.context == first.context && r.dockerfile == first.dockerfile
		same.args = same.args && slices.Equal(r.args, first.args)
		same.platform = same.platform && r.platform == first.platform
		same.cache = same.cache && r.cache == first.cache
	}
	if first == nil {
		return out
	}
	if same.place {
		out.context, out.dockerfile = first.context, first.dockerfile
	}
	if same.args {
		out.args = first.args
	}
	if same.platform {
		out.platform = first.platform
	}
	if same.cache {
		out.cache = first.cache
	}
	return out
}

func (im *image) write(p *page, service string, several, automatic bool) {
	def := im.defaults()
	b := page{bare: p.bare, said: p.said}
	if im.name != "" {
		b.line(4, "name: %s", quoted(im.name))
	}
	if im.repository != "" {
		b.once(4, "%s pushed to the repository below. Without it the image goes where the operator's server keeps this repository's; with it, the server's policy must allow it.", service)
		b.comment(4, "repository: %s", im.repository)
	}
	im.writeParts(&b, 4, def, newRule(0, 0), service)
	if len(im.rules) > 1 {
		b.once(4, "Every rule that matches builds, as %s has it; without this the first one that matches would.", service)
		b.line(4, "match: all")
	}
	b.line(4, "rules:")
	for _, r := range im.rules {
		for _, from := range append([]*rule{r}, r.joined...) {
			id := ""
			if from.id != "" {
				id = " (" + from.id + ")"
			}
			b.comment(6, "%s rule in line %d%s: %s", service, from.line, id, from.original)
		}
		for _, c := range r.comments {
			b.once(6, "%s", c)
		}
		if slices.Contains(r.tags, "latest") {
			b.once(6, "latest only moves forward here: a slow build of an older commit never takes it back.")
		}
		b.line(6, "- %s: %s", r.key, pattern(r.pattern))
		if len(r.tags) > 0 {
			var tags []string
			for _, t := range r.tags {
				tags = append(tags, quoted(t))
			}
			b.line(8, "tags: [%s]", strings.Join(tags, ", "))
		}
		im.writeParts(&b, 8, r, def, service)
		if automatic && !r.automatic {
			b.once(8, "%s builds it by hand only.", service)
			b.line(8, "automatic: false")
		}
	}
	text := b.String()
	// The first line that is no comment begins the entry of the list.
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if trimmed := strings.TrimLeft(l, " "); trimmed != "" && trimmed[0] != '#' {
			lines[i] = "  - " + trimmed
			break
		}
		lines[i] = "  " + strings.TrimLeft(l, " ")
	}
	p.WriteString(strings.Join(lines, ""))
}

// writeParts writes what differs from the defaults, for an image or a rule.
func (im *image) writeParts(p *page, indent int, r, def *rule, service string) {
	if r.context != def.context {
		if service == "ACR" && r.context != "." {
			p.once(indent, "ACR builds in the directory of the Dockerfile.")
		}
		p.line(indent, "context: %s", quoted(r.context))
	}
	if r.dockerfile != def.dockerfile {
		if r.context != "." {
			p.once(indent, "Relative to the root of the repository, not to the context.")
		}
		p.line(indent, "dockerfile: %s", quoted(r.dockerfile))
	}
	if r.platform != def.platform && r.platform != "" {
		p.line(indent, "platforms: [%s]", quoted(r.platform))
	}
	if len(r.args) > 0 && !slices.Equal(r.args, def.args) {
		p.line(indent, "args:")
		for _, a := range r.args {
			p.line(indent+2, "%s: %s", quoted(a.name), quoted(a.value))
		}
	}
	if r.cache != def.cache {
		p.once(indent, "Every step again, and bases pulled again, as at %s.", service)
		p.line(indent, "cache: %t", r.cache)
	}
}
