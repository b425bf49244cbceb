package github_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestDoubleDelivers: what the double of GitHub signs and sends comes to the
// events that it stands for.
func TestDoubleDelivers(t *testing.T) {
	var (
		mu  sync.Mutex
		app *github.App
		got []string
	)
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil && app != nil {
			if err = app.Verify(r.Header, body); err != nil {
				t.Errorf("%s: %v", r.Header.Get("X-GitHub-Event"), err)
			}
			events, _ := app.Events(r.Header, body)
			for _, e := range events {
				if err := forgetest.CheckEvent(github.Instance, e); err != nil {
					t.Error(err)
				}
				got = append(got, fmt.Sprintf("%s %s %s by %s", e.Kind, e.Repository.FullName(), e.Ref, e.Actor))
			}
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer hooks.Close()
	gh := githubtest.New(t)
	repo, err := gh.AddRepo("acme/shop", githubtest.RepoOptions{Files: map[string]string{"Dockerfile": "FROM scratch\n"}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := gh.AddApp(githubtest.AppOptions{HookURL: hooks.URL})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	app = github.New(github.Options{Identities: fixedIdentity{identity: github.Identity{ID: made.ID, Slug: made.Slug, Secrets: []string{made.HookSecret}}}})
	mu.Unlock()

	var number int
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"installed", func() error { _, err := made.Install("acme"); return err }, "installation_changed acme/shop  by"},
		{"branch", func() error { return repo.SetRef("ann", "refs/heads/topic", repo.Head("main")) }, "branch_pushed acme/shop refs/heads/topic by ann"},
		{"annotated tag", func() error { return repo.Tag("ann", "v1", "main", "one") }, "tag_pushed acme/shop refs/tags/v1 by ann"},
		{"commit's comment", func() error { _, err := repo.CommentCommit(repo.Head("main"), "ann", "/build"); return err }, "commanded acme/shop  by ann"},
		{"branch with a commit", func() error {
			_, err := repo.Push(githubtest.Push{User: "ann", Branch: "topic", Files: map[string]string{"a": "1"}})
			return err
		}, "branch_pushed acme/shop refs/heads/topic by ann"},
		{"pull request", func() (err error) {
			number, err = repo.OpenPull(githubtest.Pull{User: "ann", Head: "topic"})
			return err
		}, "pull_changed acme/shop refs/pull/1/head by ann"},
		{"comment", func() error { _, err := repo.Comment(number, "ann", "/rebuild"); return err }, "commanded acme/shop  by ann"},
		{"closed", func() error { return repo.ClosePull(number, "ann", false) }, "pull_closed acme/shop refs/pull/1/head by ann"},
		{"deleted", func() error { return repo.SetRef("ann", "refs/heads/topic", "") }, "branch_deleted acme/shop refs/heads/topic by ann"},
	}
	var want, seen []string
	for _, step := range steps {
		mu.Lock()
		got = nil
		mu.Unlock()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if err := gh.Settle(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		mu.Lock()
		told := strings.Join(got, "; ")
		mu.Unlock()
		if step.name == "installed" {
			told, _, _ = strings.Cut(told, " by")
			told += " by"
		}
		want, seen = append(want, step.name+": "+step.want), append(seen, step.name+": "+told)
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
