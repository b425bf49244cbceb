package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/registry-build/registry-build/config"
)

// pause stops automatic builds of an image, or of all, in the whole repository.
func (c *commander) pause(ctx context.Context) (Decision, error) {
	if err := c.mustBeImage(ctx); err != nil {
		return Decision{}, err
	}
	what, again := "all images", "/resume"
	if c.c.Image != "" {
		what, again = quote(c.c.Image), "/resume "+c.c.Image
	}
	d := answered(fmt.Sprintf("Automatic builds of %s are paused in %s. %s lets them start again; `/build` works all the time.",
		what, quote(c.e.Repository.FullName()), quote(again)))
	d.Pause = map[string]string{c.c.Image: c.e.Actor}
	return d, nil
}

// resume takes a pause back: that of the image, or every one.
func (c *commander) resume(ctx context.Context) (Decision, error) {
	paused := c.lease.Paused
	by, is := paused[c.c.Image]
	switch {
	case c.c.Image == "" && len(paused) == 0:
		return Decision{}, refused("Nothing is paused.")
	case c.c.Image == "":
		d := answered("Automatic builds start again, with the next push. `/build` builds what was pushed meanwhile.")
		d.Pause = map[string]string{}
		for image := range paused {
			d.Pause[image] = ""
		}
		return d, nil
	case !is && paused[""] != "":
		return Decision{}, refusef("Not %s alone is paused, but all images, by %s: `/resume` lets all start again.", quote(c.c.Image), quote(paused[""]))
	case !is:
		if err := c.mustBeImage(ctx); err != nil {
			return Decision{}, err
		}
		return Decision{}, refusef("%s is not paused.", quote(c.c.Image))
	}
	d := answered(fmt.Sprintf("Automatic builds of %s, which %s had paused, start again with the next push. %s builds what was pushed meanwhile.",
		quote(c.c.Image), quote(by), quote("/build "+c.c.Image)))
	if paused[""] != "" {
		d.Answer.Text += fmt.Sprintf(" But all images are paused, too, by %s: `/resume`.", quote(paused[""]))
	}
	d.Pause = map[string]string{c.c.Image: ""}
	return d, nil
}

// mustBeImage refuses a name that is no image's, neither in the default
// branch's file nor at the command's commit.
func (c *commander) mustBeImage(ctx context.Context) error {
	name := c.c.Image
	if name == "" {
		return nil
	}
	file, err := c.defaultFile(ctx, c.e.Repository)
	if err != nil {
		return err
	}
	names := c.imageNames(file)
	at, err := c.open(ctx, c.e.Repository, c.head)
	var f *Failure
	if err != nil && !errors.As(err, &f) && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		names = append(names, c.imageNames(at.file)...)
		at.Close()
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if slices.Contains(names, name) {
		return nil
	}
	if len(names) == 0 {
		return refusef("There is no image %s: %s has none, or cannot be read.", quote(name), quote(config.BuildFileName))
	}
	best, distance := "", 3
	for _, n := range names {
		if d := levenshtein.Distance(name, n, nil); d < distance && d < len(n) {
			best, distance = n, d
		}
	}
	if best != "" {
		return refusef("There is no image %s in %s; did you mean %s?", quote(name), quote(config.BuildFileName), quote(best))
	}
	for i, n := range names {
		names[i] = quote(n)
	}
	return refusef("There is no image %s in %s; it has %s.", quote(name), quote(config.BuildFileName), strings.Join(names, ", "))
}

func (c *commander) imageNames(f fileAt) []string {
	p := &planner{PlanInput: PlanInput{Event: c.e}}
	var names []string
	for _, img := range p.images(f.authority()) {
		names = append(names, img.Name)
	}
	return names
}
