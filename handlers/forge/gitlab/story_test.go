package gitlab

import (
	"context"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/gitlab/gitlabtest"
)

// world is a GitLab server with a webhook of ours in acme/platform/shop.
type world struct {
	*Forge
	*forgetest.Inbox
	t       *testing.T
	server  *gitlabtest.Server
	project *gitlabtest.Project
	bot     string
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
	s := gitlabtest.New(t)
	p, err := s.AddProject("acme/platform/shop", gitlabtest.ProjectOptions{Files: map[string]string{forgetest.BuildFile: forgetest.Main}})
	if err != nil {
		t.Fatal(err)
	}
	p.SetMember(forgetest.Writer, gitlabtest.Developer)
	s.AddUser(forgetest.Nobody)
	token := p.CreateToken(gitlabtest.TokenOptions{Level: gitlabtest.Maintainer})
	const secret = "the webhooks' secret of this story"
	f, err := New(Options{
		Config:   config.GitLab{Name: "git-acme-dev", URL: s.URL, Token: token.Value, Events: config.ByWebhook},
		Secrets:  secretsOf{secret},
		Memory:   forgetest.NewMemory(),
		BuildURL: func(id string) string { return "https://builds.example.com/builds/" + id },
		Host:     func() string { return "" },
		HookURL:  func() string { return hooks.URL + "/hooks/git-acme-dev" },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.wire.first = soon
	p.AddHook(gitlabtest.HookOptions{URL: f.HookURL(), Token: hookToken(secret, "git-acme-dev", scope{Kind: scopeProject, ID: int(p.ID())})})
	inbox.Use(f)
	forgetest.Story(t, &world{Forge: f, Inbox: inbox, t: t, server: s, project: p, bot: token.Username})
}

type secretsOf []string

func (s secretsOf) Secrets(context.Context) ([]string, error) { return s, nil }

func (w *world) Adapter() any { return w.Forge }

func (w *world) Repository() builder.Repository {
	return builder.Repository{Forge: "git-acme-dev", ID: strconv.FormatInt(w.project.ID(), 10), Owner: "acme/platform", Name: "shop", DefaultBranch: "main"}
}

// ActiveRepositories implements Projects.
func (w *world) ActiveRepositories(context.Context, time.Time) ([]builder.Repository, error) {
	return []builder.Repository{w.Repository()}, nil
}

// done fails the test, and lets the deliveries arrive.
func (w *world) done(err error) {
	w.t.Helper()
	if err == nil {
		err = w.server.Settle(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Push(branch, file, text string) string {
	commit, err := w.project.Push(gitlabtest.Push{User: forgetest.Writer, Branch: branch, Files: map[string]string{file: text}})
	w.done(err)
	return commit
}

func (w *world) Tag(name, commit string) { w.done(w.project.Tag(forgetest.Writer, name, commit, name)) }
func (w *world) Delete(ref string)       { w.done(w.project.SetRef(forgetest.Writer, ref, "")) }

func (w *world) OpenPull(branch string) int {
	m, err := w.project.OpenMerge(gitlabtest.MergeOptions{User: forgetest.Writer, Source: branch})
	w.done(err)
	return m.IID()
}

func (w *world) merge(number int) *gitlabtest.Merge {
	m, err := w.project.Merge(number)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) Close(number int) { w.done(w.merge(number).Close(forgetest.Writer)) }

func (w *world) Comment(number int, person, text string) string {
	n, err := w.merge(number).Comment(person, text)
	w.done(err)
	return strconv.FormatInt(n.ID, 10)
}

func (w *world) Comments(number int) (ours []string) {
	for _, n := range w.merge(number).Notes() {
		if n.Author == w.bot && !n.System {
			ours = append(ours, n.Body)
		}
	}
	return ours
}

func (w *world) Reactions(number int, id string) (names []string) {
	for _, n := range w.merge(number).Notes() {
		for _, a := range n.Awards {
			if strconv.FormatInt(n.ID, 10) == id {
				names = append(names, a.Name)
			}
		}
	}
	return names
}

func (w *world) Status(commit, name string) (builder.ReportState, string) {
	s, _ := w.project.StatusOf(commit, name)
	states := map[string]builder.ReportState{"pending": builder.StatusPending, "running": builder.StatusPending,
		"success": builder.StatusSuccess, "failed": builder.StatusFailure, "canceled": builder.StatusError}
	return states[s.State], s.Description
}

func (w *world) Lose(do func()) {
	w.Away(true)
	do()
	w.Away(false)
}

func (w *world) Look() {
	if _, err := w.look(w.t.Context(), w); err != nil {
		w.t.Fatal(err)
	}
	w.done(nil)
}
