package gitops

import (
	"fmt"
	"strings"
)

// title is the first line of a commit and of a pull request.
func title(names []string) string {
	if len(names) > 1 {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return strings.Join(names, "")
}

// message is the commit's: what was written and why, for people, then the
// settings as trailers. kept are those of before that it holds too.
func (u *update) message(written []int, kept []setting) string {
	var names, body, trailers []string
	for _, i := range written {
		r := u.batch[i]
		names = append(names, r.name())
		body = append(body, u.about(r))
		trailers = append(trailers, r.setting().line())
	}
	for _, s := range kept {
		names = append(names, imageTitle(s.Image))
		body = append(body, fmt.Sprintf("Image: %s\nFile: %s (%s)\nBuild: %s\n", s.Image, s.File, oneLine(s.Place), s.Build))
		trailers = append(trailers, s.line())
	}
	return title(names) + "\n\n" + strings.Join(body, "\n") + "\n" + strings.Join(trailers, "\n") + "\n"
}

// about tells one update.
func (u *update) about(r *request) string {
	b := r.f.Record
	var text strings.Builder
	fmt.Fprintf(&text, "Image: %s\nFile: %s (%s)\n", r.image, r.file, oneLine(r.place.String()))
	if u.k.o.BuildURL != nil {
		fmt.Fprintf(&text, "Build: %s\n", u.k.o.BuildURL(b.ID))
	} else {
		fmt.Fprintf(&text, "Build: %s\n", b.ID)
	}
	if b.Commit != "" {
		fmt.Fprintf(&text, "Source: %s@%s", b.Repository.FullName(), short(b.Commit))
		if b.Actor != "" {
			fmt.Fprintf(&text, " by %s", oneLine(b.Actor))
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// name is what a commit's subject calls the update.
func (r *request) name() string { return r.f.Record.Destination + ": " + r.image.Tag }

// imageTitle makes the like of a setting: acme/shop: v1.2.3.
func imageTitle(ref string) string {
	name, _, _ := strings.Cut(ref, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i] + ": " + name[i+1:]
	}
	return name
}
