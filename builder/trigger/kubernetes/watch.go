package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// watch looks at the rollout, several times within stay, and says whether it
// has ended. w is what the patch answered, or nil.
func (u *update) watch(ctx context.Context, w *workload, m memo, stay time.Duration) (trigger.Answer, error) {
	until := time.Now().Add(stay)
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		if w == nil {
			var err error
			if w, err = u.get(ctx); err != nil {
				return trigger.Answer{Memo: m.String()}, u.whileWatching(err)
			}
		}
		if answer, err, over := u.changed(w, m); over {
			return answer, err
		}
		p := rollout(u.t, w, m.Overdue)
		if p.done {
			return trigger.Answer{Text: u.told(p.text, m)}, nil
		}
		last := time.Now().Add(wait).After(until)
		if last || p.failed != "" {
			u.lookAtPods(ctx, w, &m, &p)
		}
		switch {
		case p.failed != "":
			return u.fail(ctx, m, p.failed)
		case last:
			return trigger.Answer{Text: u.told(p.text, m), Memo: m.String(), Again: u.again(m)}, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return trigger.Answer{Memo: m.String()}, err
		}
		w = nil
	}
}

// whileWatching makes errors of looking at what was patched worth another
// look only where they were before: a workload that is gone stays gone.
func (u *update) whileWatching(err error) error {
	if _, again := trigger.IsTemporary(err); again {
		return err
	}
	return fmt.Errorf("the image was set, and then: %w", err)
}

// changed ends the watch where the image is no longer ours.
func (u *update) changed(w *workload, m memo) (trigger.Answer, error, bool) {
	c, err := w.container(u.t)
	if err != nil {
		return trigger.Answer{}, fmt.Errorf("the image was set, and then: %w", err), true
	}
	s, err := w.readState(c.Name)
	newer := err == nil && s.newer(u.f.Record) && w.Labels[buildLabel+c.Name] == s.Build
	switch {
	case newer:
		return trigger.Answer{Text: fmt.Sprintf("%s got the image of build %s, which was accepted later, before this rollout had ended", where(u.t), s.Build), Skipped: true}, nil, true
	case sameBytes(c.Image, m.Image):
		return trigger.Answer{}, nil, false
	}
	return trigger.Answer{}, fmt.Errorf("somebody else set the image of container %s of %s to %s%s during the rollout; it was left so",
		c.Name, where(u.t), c.Image, w.setBy(u.t.Kind, c.Name)), true
}

// lookAtPods adds what the pods say, also to what has failed already: trouble
// that lasts, and the time that is over, end the rollout. Pods that may not be listed are no failure.
func (u *update) lookAtPods(ctx context.Context, w *workload, m *memo, p *progress) {
	now := u.kind.now()
	pods, err := u.newPods(ctx, w, m.Image)
	if err != nil {
		p.text += "; why is not known: " + err.Error()
	} else {
		m.Trouble = findTrouble(pods, m.Trouble, now)
		p.text += unscheduled(pods)
	}
	if t := m.Trouble; t != nil {
		why := fmt.Sprintf("pod %s: %s", t.Pod, t.Text)
		p.text += "; " + why
		switch {
		case p.failed != "":
			p.failed += "; " + why
		case now.Sub(t.Since) >= u.kind.o.Patience:
			p.failed = why
		}
	}
	if limit := u.timeout(); p.failed == "" && now.Sub(m.Patched) >= limit {
		p.failed = fmt.Sprintf("the rollout did not end within %s: %s", limit, p.text)
	}
}

func (u *update) timeout() time.Duration {
	if u.t.Timeout > 0 {
		return u.t.Timeout
	}
	return config.DefaultRollout
}

// again is when to look the next time: a long rollout needs no close watch.
func (u *update) again(m memo) time.Duration {
	return min(max(u.kind.now().Sub(m.Patched)/20, time.Second), 5*time.Second)
}

// told is the answer's text.
func (u *update) told(text string, m memo) string {
	text = where(u.t) + ", " + m.Image + ": " + text
	if m.Before != "" && !sameBytes(m.Before, m.Image) {
		text += "\nbefore: " + m.Before
	}
	return text
}

// fail ends a rollout that went wrong, or goes back first.
func (u *update) fail(ctx context.Context, m memo, why string) (trigger.Answer, error) {
	// The image comes last: it is long, and a commit's status has room for little.
	m.Failed = "the rollout to " + where(u.t) + " failed: " + why + "; it was the rollout of " + m.Image
	if !u.t.Rollback {
		return trigger.Answer{}, errors.New(m.Failed)
	}
	return u.rollBack(ctx, m)
}
