package plaingit_test

import (
	"path/filepath"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
)

// world is somebody who pushes to our git remote.
type world struct {
	*server
	t     *testing.T
	in    folders
	work  *work
	taken int
	lost  bool
}

var (
	_ forgetest.World = (*world)(nil)
	_ forgetest.Loser = (*world)(nil)
)

func TestStory(t *testing.T) {
	in := newFolders(t)
	w := &world{server: startIn(t, in, newMemory(), nil), t: t, in: in, work: newWork(t)}
	w.Push("main", forgetest.BuildFile, forgetest.Main)
	w.Next(t, 1)
	forgetest.Story(t, w)
}

func TestContract(t *testing.T) {
	s := start(t)
	w := newWork(t)
	w.commit("a", "1")
	w.git("push", s.remote("writer", "acme/hello"), "main")
	s.store.awaitEvents(t, 1)
	forgetest.Run(t, forgetest.Subject{Origin: s.Forge, Repository: acmeHello})
}

func (w *world) Adapter() any                   { return w.Forge }
func (w *world) Repository() builder.Repository { return acmeHello }

func (w *world) push(what string) {
	if w.lost {
		w.work.git("--git-dir="+filepath.Join(w.in.root, "acme", "hello.git"), "fetch", "--quiet", w.work.dir, "+"+what)
		return
	}
	w.work.git("push", w.remote("writer", "acme/hello"), what)
}

func (w *world) Push(branch, file, text string) string {
	commit := w.work.commit(file, text)
	w.push(commit + ":refs/heads/" + branch)
	return commit
}

func (w *world) Tag(name, commit string) {
	w.work.git("tag", "-a", "-m", name, name, commit)
	w.push(name)
}

func (w *world) Delete(ref string) { w.push(":" + ref) }

func (w *world) Next(t *testing.T, n int) []builder.Event {
	t.Helper()
	events := w.store.awaitEvents(t, w.taken+n)[w.taken:]
	w.taken += n
	return events
}

// Lose stops the server: what is written into its folder then runs no hook.
func (w *world) Lose(do func()) {
	w.stop()
	w.lost = true
	do()
	w.lost = false
}

// Look starts another server in the same folders.
func (w *world) Look() { w.server = startIn(w.t, w.in, w.store, nil) }
