package kubernetes

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/registry-build/registry-build/config"
)

// verdict is what is to be done with a workload as it stands.
type verdict struct {
	set   *state // patch the image and note this
	hold  string // hold the workload for this reason
	state state  // to note with the hold
	skip  string // do nothing: why
	watch bool   // it was done before
	err   error
}

// decide looks at the workload and changes nothing.
func (u *update) decide(w *workload, c container) verdict {
	s, err := w.readState(c.Name)
	if err != nil {
		return verdict{err: fmt.Errorf("the annotation %s of %s cannot be read; remove it with: kubectl annotate %s %[1]s-",
			stateAnnotation+c.Name, where(u.t), kubectl(u.t))}
	}
	restored := w.Labels[buildLabel+c.Name] != s.Build
	if s.Build == u.f.Record.ID && !restored && sameImage(c.Image, u.image) {
		return verdict{watch: true}
	}
	if why, held := w.Annotations[holdAnnotation]; held {
		return verdict{err: u.heldError(why)}
	}
	if !restored && s.newer(u.f.Record) {
		return verdict{skip: fmt.Sprintf("%s has the image of build %s, which was accepted later", where(u.t), s.Build)}
	}
	if byHand := s.Image != "" && !sameBytes(c.Image, s.Image) || restored; byHand &&
		c.Image != s.Held && !sameBytes(c.Image, u.image) {
		return u.holdFor(w, c, s)
	}
	if w.Spec.Paused && u.t.Kind == config.Deployment {
		return verdict{err: fmt.Errorf("%s is paused, so nothing was changed; resume it with: kubectl rollout resume %s, and try again", where(u.t), kubectl(u.t))}
	}
	next := s.next(u.f.Record, u.image, c.Image)
	return verdict{set: &next}
}

// holdFor words why the workload is held.
func (u *update) holdFor(w *workload, c container, s state) verdict {
	ours := s.Image
	if build := w.Labels[buildLabel+c.Name]; build != "" && build != s.Build {
		ours = "the one of build " + build
	}
	s.Held = c.Image
	return verdict{state: s, hold: fmt.Sprintf("the image of container %s was set to %s%s, where registry-build had set %s",
		c.Name, c.Image, w.setBy(u.t.Kind, c.Name), ours)}
}

func (u *update) heldError(why string) error {
	if why == "" {
		why = "no reason is written"
	}
	return errors.New(where(u.t) + " is held (" + clip(why) + "); release it with: kubectl annotate " + kubectl(u.t) + " " + holdAnnotation + "-, and try again")
}

// maxClip is how much of somebody else's text a sentence holds, in bytes.
const maxClip = 400

func clip(text string) string {
	if len(text) <= maxClip {
		return text
	}
	end := maxClip
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
