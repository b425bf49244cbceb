package gitops

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder/trigger/gitops/manifest"
)

// trailer begins the lines of our commits that say what they set. They are
// what the order of updates is read from: they move with the branch, so they
// are true for whoever pushes to it next, whichever process that is.
const trailer = "Registry-Build-Set: "

// setting is one value that a commit of ours wrote.
type setting struct {
	File   string    `json:"file"`
	Place  string    `json:"place"` // manifest.Place.String
	Image  string    `json:"image"` // repository:tag@digest
	Build  string    `json:"build"`
	Source string    `json:"source,omitempty"` // Repository.Key of what was built
	Commit string    `json:"commit,omitempty"`
	At     time.Time `json:"at"` // when the build was accepted
	Seq    int64     `json:"seq,omitempty"`
}

func (r *request) setting() setting {
	b := r.f.Record
	return setting{
		File: r.file, Place: r.place.String(), Image: r.image.String(), Build: b.ID,
		Source: b.Repository.Key(), Commit: b.Commit, At: b.AcceptedAt.UTC(), Seq: b.Seq,
	}
}

// field is what a setting sets.
func (s setting) field() string { return s.File + "\x00" + s.Place }

// after reports whether the build was accepted later than the other's.
func (s setting) after(o setting) bool {
	if !s.At.Equal(o.At) {
		return s.At.After(o.At)
	}
	return s.Seq > o.Seq
}

func (s setting) line() string {
	text, err := json.Marshal(s)
	if err != nil {
		return "" // texts, numbers and a time
	}
	return trailer + string(text)
}

// target is the setting as it is written into a file.
func (s setting) target() (manifest.Place, manifest.Image, bool) {
	var p manifest.Place
	kind, rest, _ := strings.Cut(s.Place, " ")
	switch kind {
	case "kustomize":
		p.Kustomize = rest
	case "helm":
		p.Helm = rest
	case "path":
		p.Path = rest
	}
	name, digest, ok := strings.Cut(s.Image, "@")
	i := strings.LastIndexByte(name, ':')
	if !ok || i < 0 || rest == "" || checkFile(s.File) != nil {
		return p, manifest.Image{}, false
	}
	img := manifest.Image{Repository: name[:i], Tag: name[i+1:], Digest: digest}
	return p, img, imageName(img)
}

// clockSlack is how far in the future a build may have been accepted. What is
// later was not written by us, and would keep our updates out for ever.
const clockSlack = 10 * time.Minute

// settingsOf reads the lines of a commit's message.
func settingsOf(message string, now time.Time) []setting {
	var list []setting
	for line := range strings.Lines(message) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), trailer)
		var s setting
		if ok && json.Unmarshal([]byte(text), &s) == nil && s.At.Before(now.Add(clockSlack)) {
			list = append(list, s)
		}
	}
	return list
}

// past is one commit of a branch.
type past struct {
	commit, tree, email string
	parents             []string
	settings            []setting
}

// log reads the commits that are known of a history, the newest first;
// firstParent leaves out what was merged.
func (c *clone) log(ctx context.Context, commit string, now time.Time, firstParent bool) ([]past, error) {
	args := []string{"log", "-z", "--no-show-signature", "--max-count=" + depth, "--format=%H%n%T%n%P%n%ce%n%B"}
	if firstParent {
		args = append(args, "--first-parent")
	}
	out, err := c.run(ctx, "", append(args, commit, "--")...)
	if err != nil {
		return nil, err
	}
	var list []past
	for one := range strings.SplitSeq(out, "\x00") {
		parts := strings.SplitN(one, "\n", 5)
		if len(parts) == 5 {
			list = append(list, past{parts[0], parts[1], parts[3], strings.Fields(parts[2]), settingsOf(parts[4], now)})
		}
	}
	return list, nil
}

// newest is the last setting of each field.
func newest(list []past) map[string]setting {
	out := map[string]setting{}
	for _, p := range list {
		for _, s := range p.settings {
			if old, ok := out[s.field()]; !ok || s.after(old) {
				out[s.field()] = s
			}
		}
	}
	return out
}
