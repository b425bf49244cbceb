package github

import (
	"context"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// world is a github.com with the app in acme/shop.
type world struct {
	*clientRig
	*forgetest.Inbox
	t *testing.T
}

var (
	_ forgetest.World    = (*world)(nil)
	_ forgetest.Reviewer = (*world)(nil)
	_ forgetest.Shower   = (*world)(nil)
	_ forgetest.Loser    = (*world)(nil)
)

func TestStory(t *testing.T) {
	inbox := forgetest.NewInbox(t)
	hooks := httptest.NewServer(inbox)
	t.Cleanup(hooks.Close)
	rig := newClientRig(t)
	rig.app.HookURL = hooks.URL
	rig.Identities = identityOf(Identity{ID: rig.app.ID, Key: rig.app.PrivateKeyPEM, Secrets: []string{rig.app.HookSecret}})
	rig.Memory, rig.Logs, rig.Config.Show = forgetest.NewMemory(), someLog(""), config.ShowBoth
	rig.BuildURL = func(id string) string { return "https://builds.example.com/builds/" + id }
	rig.Host = func() string { return "" }
	rig.gh.AddUser(forgetest.Nobody)
	rig.repo.SetCollaborator(forgetest.Writer, "write")
	inbox.Use(rig.App)
	w := &world{clientRig: rig, Inbox: inbox, t: t}
	w.Push("main", forgetest.BuildFile, forgetest.Main)
	w.Next(t, 1)
	forgetest.Story(t, w)
}

func (w *world) Adapter() any                   { return w.App }
func (w *world) Repository() builder.Repository { return w.record() }

// done fails the test, and lets the deliveries arrive: GitHub sends them side
// by side, and a story tells one thing after the other.
func (w *world) done(err error) {
	w.t.Helper()
	if err == nil {
		err = w.gh.Settle(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Push(branch, file, text string) string {
	commit, err := w.repo.Push(githubtest.Push{User: forgetest.Writer, Branch: branch, Files: map[string]string{file: text}})
	w.done(err)
	return commit
}

func (w *world) Tag(name, commit string) { w.done(w.repo.Tag(forgetest.Writer, name, commit, name)) }
func (w *world) Delete(ref string)       { w.done(w.repo.SetRef(forgetest.Writer, ref, "")) }

func (w *world) OpenPull(branch string) int {
	number, err := w.repo.OpenPull(githubtest.Pull{Head: branch, User: forgetest.Writer})
	w.done(err)
	return number
}

func (w *world) Close(number int) { w.done(w.repo.ClosePull(number, forgetest.Writer, false)) }

func (w *world) Comment(number int, person, text string) string {
	c, err := w.repo.Comment(number, person, text)
	w.done(err)
	return strconv.FormatInt(c.ID, 10)
}

func (w *world) Comments(number int) (ours []string) {
	for _, c := range w.repo.Comments(number) {
		if c.User != forgetest.Writer {
			ours = append(ours, c.Body)
		}
	}
	return ours
}

func (w *world) Reactions(number int, id string) (names []string) {
	for _, c := range w.repo.Comments(number) {
		for _, r := range c.Reactions {
			if strconv.FormatInt(c.ID, 10) == id {
				names = append(names, r.Content)
			}
		}
	}
	return names
}

func (w *world) Status(commit, name string) (builder.ReportState, string) {
	s, _ := w.repo.StatusOf(commit, name)
	return builder.ReportState(s.State), s.Description
}

func (w *world) Lose(do func()) {
	w.Away(true)
	do()
	w.Away(false)
}

func (w *world) Look() {
	if err := w.redeliverMissed(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}
