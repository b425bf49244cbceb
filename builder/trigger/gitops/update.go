package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/gitops/manifest"
)

// tries is how often an update is made anew because somebody else pushed
// meanwhile, before the trigger waits for its next attempt.
const tries = 8

// update is one batch on its way into one branch.
type update struct {
	k        *Kind
	c        *clone
	key      string
	t        target
	repo     builder.Repository // of a forge
	batch    []*request
	outcomes []outcome
	now      time.Time

	branch  string
	base    string // its commit
	history []past
}

// update writes a batch into its branch. The error is everybody's; else each
// request has an outcome of its own.
func (k *Kind) update(ctx context.Context, key string, batch []*request) ([]outcome, error) {
	last := batch[len(batch)-1]
	u := &update{k: k, key: key, t: last.target, batch: batch, now: k.o.Now()}
	remote := last.remote
	if u.t.forge != nil {
		var err error
		remote, u.repo, err = k.open(ctx, u.t)
		if remote.Done != nil {
			defer remote.Done()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := checkRemote(remote, u.t.forge != nil); err != nil {
		return nil, err
	}
	c, err := k.openClone(ctx, key, remote)
	if err != nil {
		return nil, trigger.Temporary(fmt.Errorf("clone of %s: %w", u.t.name, err), 0)
	}
	defer c.unlock()
	u.c = c
	for try := range tries {
		u.outcomes = make([]outcome, len(batch))
		if err = u.attempt(ctx); !errors.Is(err, errMoved) {
			return u.outcomes, u.explain(ctx, err)
		}
		select {
		case <-time.After(rand.N(50 * time.Millisecond << try)):
		case <-ctx.Done():
			return nil, u.explain(ctx, context.Cause(ctx))
		}
	}
	return nil, trigger.Temporary(fmt.Errorf("others pushed to %s %d times while it was updated", u.t, tries), 0)
}

// checkRemote keeps git to what it is meant to speak.
func checkRemote(r Remote, ours bool) error {
	if strings.HasPrefix(r.URL, "https://") || ours && strings.HasPrefix(r.URL, "http://") {
		return nil
	}
	return errors.New("only repositories at https addresses are written to")
}

// attempt makes the commit on the branch as it is now, and pushes it. errMoved
// where somebody else did meanwhile.
func (u *update) attempt(ctx context.Context) error {
	ask := []string{}
	for _, b := range []string{u.t.branch, u.t.pull} {
		if b != "" {
			ask = append(ask, b)
		}
	}
	at, err := u.c.list(ctx, ask...)
	if err != nil {
		return err
	}
	if u.branch = u.t.branch; u.branch == "" {
		u.branch = at.head
	}
	if u.base = at.at[u.branch]; u.base == "" {
		if u.branch == "" {
			return final("%s is empty; push the file to it first", u.t.name)
		}
		return final("there is no branch %s in %s; correct branch:, or push it first", u.branch, u.t.name)
	}
	if err := u.c.prepare(ctx, u.base); err != nil {
		return err
	}
	fetch := []string{u.base}
	pull := at.at[u.t.pull]
	if pull != "" {
		fetch = append(fetch, pull)
	}
	if err := u.c.fetch(ctx, fetch...); err != nil {
		return err
	}
	if u.history, err = u.c.log(ctx, u.base, u.now, false); err != nil {
		return err
	}
	if u.t.pull != "" {
		return u.byPull(ctx, pull)
	}
	return u.direct(ctx)
}

// finalError is not worth another try of the update: mostly a sentence for the
// person who wrote the trigger.
type finalError struct{ error }

func final(format string, args ...any) error { return finalError{fmt.Errorf(format, args...)} }

// direct pushes to the branch itself.
func (u *update) direct(ctx context.Context) error {
	w := &work{c: u.c, commit: u.base, files: map[string]file{}}
	written, err := u.apply(ctx, w, newest(u.history))
	if err != nil || len(written) == 0 {
		return err
	}
	commit, err := u.commit(ctx, w, written, nil)
	if err != nil {
		return err
	}
	if err := u.c.push(ctx, u.branch, u.base, commit); err != nil {
		return err
	}
	u.k.o.Log.InfoContext(ctx, "image written", "target", u.t.String(), "commit", commit, "updates", len(written))
	for _, i := range written {
		a := &u.outcomes[i].answer
		a.Text += fmt.Sprintf(" (commit %s on %s of %s)", short(commit), u.branch, u.t.name)
		if u.c.remote.CommitURL != "" {
			a.URL = u.c.remote.CommitURL + commit
		}
	}
	return nil
}

// commit makes the commit of what was written, and of what stays from before.
func (u *update) commit(ctx context.Context, w *work, written []int, kept []setting) (string, error) {
	tree, err := w.tree(ctx)
	if err != nil {
		return "", err
	}
	return u.c.commit(ctx, tree, u.base, u.message(written, kept))
}

// apply changes the files, the oldest build first, and returns which requests
// changed something. known is what was written before.
func (u *update) apply(ctx context.Context, w *work, known map[string]setting) ([]int, error) {
	latest := map[string]setting{}
	var order []int
	for i, r := range u.batch {
		s := r.setting()
		done, err := u.doneBefore(ctx, s)
		if err != nil {
			return nil, err
		}
		if done {
			u.outcomes[i].answer = trigger.Answer{Skipped: true, Text: fmt.Sprintf("%s: commit %s differs from what was built before only by what we wrote, and that image is there", r.file, short(s.Commit))}
			continue
		}
		if old, ok := latest[s.field()]; !ok || s.after(old) {
			latest[s.field()] = s
		}
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := u.batch[a].setting(), u.batch[b].setting(); {
		case x.after(y):
			return 1
		case y.after(x):
			return -1
		}
		return 0
	})
	var written []int
	for _, i := range order {
		changed, err := u.applyOne(ctx, w, i, known, latest)
		if err != nil {
			return nil, err
		}
		if changed {
			written = append(written, i)
		}
	}
	return written, nil
}

func (u *update) applyOne(ctx context.Context, w *work, i int, known, latest map[string]setting) (bool, error) {
	r, s := u.batch[i], u.batch[i].setting()
	newer := latest[s.field()]
	if o, ok := known[s.field()]; ok && o.after(newer) {
		newer = o
	}
	if o, ok := u.k.seen.Get(u.key + "\x00" + s.field()); ok && o.after(newer) {
		newer = o
	}
	if newer.after(s) {
		u.outcomes[i].answer = trigger.Answer{Skipped: true, Text: fmt.Sprintf("%s: build %s, which was accepted later, has set %s to %s", r.file, newer.Build, r.place, newer.Image)}
		return false, nil
	}
	change, err := w.set(ctx, r.file, r.place, r.image)
	var no finalError
	if errors.As(err, &no) {
		u.outcomes[i].err = fmt.Errorf("%s: %w", u.where(), no.error)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	u.k.seen.Add(u.key+"\x00"+s.field(), s)
	u.outcomes[i].answer.Text = fmt.Sprintf("%s:%d: %s", r.file, change.Line, change.Text)
	if !change.Changed {
		u.outcomes[i].answer.Text = fmt.Sprintf("%s:%d names %s already, on %s", r.file, change.Line, r.image.Digest, u.where())
	}
	return change.Changed, nil
}

func (u *update) where() string { return u.branch + " of " + u.t.name }

// work is a tree with files that differ from its commit's.
type work struct {
	c      *clone
	commit string
	files  map[string]file // as they are to be
	before map[string][]byte
}

// set changes a file. A finalError says what is wrong with it.
func (w *work) set(ctx context.Context, path string, p manifest.Place, img manifest.Image) (manifest.Change, error) {
	f, ok := w.files[path]
	if !ok {
		var no errNoFile
		var err error
		if f, err = w.c.read(ctx, w.commit, path); errors.As(err, &no) {
			return manifest.Change{}, finalError{fmt.Errorf("%s %w", path, no)}
		}
		if err != nil {
			return manifest.Change{}, err
		}
		if w.before == nil {
			w.before = map[string][]byte{}
		}
		w.files[path], w.before[path] = f, f.text
	}
	text, change, err := manifest.Set(path, f.text, p, img)
	if err != nil {
		return change, finalError{err}
	}
	f.text = text
	w.files[path] = f
	return change, nil
}

// changed lists the files that differ, in order.
func (w *work) changed() []string {
	var list []string
	for path, f := range w.files {
		if !bytes.Equal(f.text, w.before[path]) {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// tree is the commit's tree with the files in it.
func (w *work) tree(ctx context.Context) (string, error) {
	tree := w.commit
	for _, path := range w.changed() {
		var err error
		if tree, err = w.c.write(ctx, tree, path, w.files[path]); err != nil {
			return "", err
		}
	}
	return tree, nil
}

func short(commit string) string { return commit[:min(len(commit), 7)] }
