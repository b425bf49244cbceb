package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder/trigger"
)

const (
	// rollbackPatience is how long, after the rollout's own time, a cluster
	// that is away is waited for.
	rollbackPatience = 10 * time.Minute
	rollbackWait     = 5 * time.Second
)

// rollBack puts the image before back. It waits for no rollout: the pods of
// that image mostly still run. The trigger has failed in any case.
func (u *update) rollBack(ctx context.Context, m memo) (trigger.Answer, error) {
	var said string
	err := errConflict
	for try := 0; try < maxConflicts && errors.Is(err, errConflict); try++ {
		if try > 0 {
			if err := sleep(ctx, conflictWait(try)); err != nil {
				return trigger.Answer{Memo: m.String()}, err
			}
		}
		said, err = u.rollBackOnce(ctx, m)
	}
	if errors.Is(err, errConflict) {
		err = u.contended()
	}
	if err == nil {
		return trigger.Answer{}, errors.New(m.Failed + "; " + said)
	}
	if _, again := trigger.IsTemporary(err); again && u.kind.now().Sub(m.Patched) < u.timeout()+rollbackPatience {
		return trigger.Answer{Text: m.Failed + "; going back waits: " + err.Error(), Memo: m.String(), Again: rollbackWait}, nil
	}
	return trigger.Answer{}, fmt.Errorf("%s; the image before could not be put back: %w", m.Failed, err)
}

// rollBackOnce returns what was done, or why nothing was.
func (u *update) rollBackOnce(ctx context.Context, m memo) (string, error) {
	w, err := u.get(ctx)
	if err != nil {
		return "", err
	}
	if err := u.allowed(w); err != nil {
		return "", err
	}
	c, err := w.container(u.t)
	if err != nil {
		return "", err
	}
	s, err := w.readState(c.Name)
	back := "the image before was put back: " + m.Before
	switch {
	case m.Before == "" || sameBytes(m.Before, m.Image):
		return "there is no other image to go back to", nil
	case err == nil && s.Build != u.f.Record.ID && sameBytes(c.Image, m.Before):
		return back, nil // by a call whose answer was lost
	case err != nil || s.Build != u.f.Record.ID || !sameBytes(c.Image, m.Image) || s.Before == nil:
		return "somebody else has changed it meanwhile, so it was left so", nil
	}
	if why, held := w.Annotations[holdAnnotation]; held {
		return "it is held (" + clip(why) + "), so it was left so", nil
	}
	before := *s.Before
	label := any(before.Build)
	if before.Build == "" {
		label = nil // takes it away
	}
	_, err = u.apply(ctx, w, patch{
		container: c.Name,
		image:     before.Image,
		annotations: map[string]any{
			stateAnnotation + c.Name: before.String(),
			changeCause:              "registry-build: back to the image before: the rollout of build " + u.f.Record.ID + " failed",
		},
		labels: map[string]any{buildLabel + c.Name: label},
	})
	return back, err
}
