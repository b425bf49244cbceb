package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// queuedMost is what people take for at once.
const queuedMost = 50 * time.Millisecond

// queuedPushes are measured in each organization.
const queuedPushes = 4

// measureQueued measures how long a commit has no check: from GitHub's
// delivery of a push until it has the check run "queued" of the image. GitHub
// is a double on this machine that answers at once; between the two, the push
// is accepted, the commit fetched, its build file read and planned.
func measureQueued(ctx context.Context, in *installation, rounds int) (rows []row, err error) {
	hub, err := githubtest.Start(githubtest.Options{RateLimit: 1 << 20})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hub.Close()) }()
	app, err := hub.AddApp(githubtest.AppOptions{HookSecret: intakeSecret})
	if err != nil {
		return nil, err
	}
	settings := fmt.Sprintf("forges:\n  github:\n    api: %s\n    url: %s\n    app: %d\n    secrets: [%q]\n    key: %q\n", hub.API, hub.URL, app.ID, intakeSecret, app.PrivateKeyPEM)
	ours, err := in.beside(ctx, "queued", settings)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinStop(err, ours) }()
	app.SetHook(ours.URL+"/hooks/github", intakeSecret)
	fmt.Println("queued: from GitHub's delivery of a push to the check run on its commit")
	r := row{name: "event_to_queued_ms", most: queuedMost, note: "from the delivery to the check run queued at GitHub; at most 50 ms"}
	for round := range rounds {
		took, err := pushesOf(ctx, hub, app, fmt.Sprintf("org-%d", round))
		if err != nil {
			said, _ := os.ReadFile(filepath.Join(in.path("queued"), "up.log"))
			return nil, fmt.Errorf("%w\n%s", err, said)
		}
		for _, t := range took {
			r.add(0, t, 0)
		}
	}
	fmt.Printf("  %d pushes: %s, %s ms\n", len(r.ours), milliseconds(r.ours.median()), span(r.ours))
	return []row{r}, nil
}

// pushesOf measures some pushes to a new organization. Each has an installation
// and so limits of its own: GitHub's 80 writes a minute would be measured else.
// The first push, which mints tokens and clones, is not counted.
func pushesOf(ctx context.Context, hub *githubtest.Server, app *githubtest.App, org string) (samples, error) {
	repo, err := hub.AddRepo(org+"/shop", githubtest.RepoOptions{Files: map[string]string{
		"Dockerfile":          "FROM scratch\nCOPY Dockerfile /\n",
		".registry-build.yml": "images: [{name: shop, rules: [{branch: main}]}]\n",
	}})
	if err != nil {
		return nil, err
	}
	if _, err := app.Install(org); err != nil {
		return nil, err
	}
	var all samples
	for push := range queuedPushes + 1 {
		sha, err := repo.Push(githubtest.Push{Files: map[string]string{"push": fmt.Sprint(push)}})
		if err != nil {
			return nil, err
		}
		took, err := queued(ctx, hub, repo, sha)
		if err != nil {
			return nil, err
		}
		if push > 0 {
			all = append(all, took)
		}
	}
	return all, nil
}

// queued waits for the image's check run and returns how long after the
// delivery it was asked for.
func queued(ctx context.Context, hub *githubtest.Server, repo *githubtest.Repo, sha string) (time.Duration, error) {
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	for {
		if c, ok := repo.CheckRun(sha, "registry-build/shop"); ok && c.Status == "completed" {
			break
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no check run at %s", sha)
		case <-time.After(10 * time.Millisecond):
		}
	}
	var sent time.Time
	for _, d := range hub.Deliveries() {
		if d.Event == "push" && d.Repository == repo.ID() && strings.Contains(string(d.Payload), `"after":"`+sha+`"`) {
			sent = d.At
		}
	}
	for _, q := range hub.Requests("POST /repos/" + repo.FullName() + "/check-runs") {
		if strings.Contains(string(q.Body), sha) && strings.Contains(string(q.Body), `"registry-build/shop"`) {
			return q.At.Sub(sent), nil
		}
	}
	return 0, fmt.Errorf("nobody made the check run at %s", sha)
}
