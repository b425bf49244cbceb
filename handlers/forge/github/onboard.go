package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// What the page after an installation looks into: this many repositories, for
// this long; the rest is only listed.
const (
	maxInspected = 40
	inspectLimit = 15 * time.Second
	inspectors   = 4
)

// onboarding is the page after an installation.
type onboarding struct {
	Total        int
	Repositories []found
	More         string
}

// found is a repository with what an onlooker would find in it.
type found struct {
	Name, URL, Branch string
	Dockerfiles       []string
	HasFile           bool
	New               string // GitHub's page for a new file, filled in
	Problem           string // why there are no Dockerfiles to tell of
	Unknown           bool   // it was not looked into
}

// onboard looks into the repositories that came in.
func (a *App) onboard(ctx context.Context, installation string, list []seen, total int) onboarding {
	ctx, done := context.WithTimeout(ctx, inspectLimit)
	defer done()
	page := onboarding{Total: total, Repositories: make([]found, len(list))}
	var g errgroup.Group
	g.SetLimit(inspectors)
	var mu sync.Mutex
	for i, s := range list {
		repo := builder.Repository{Forge: Instance, ID: strconv.FormatInt(s.ID, 10), Owner: s.Owner.Login, Name: s.Name,
			DefaultBranch: s.DefaultBranch, Installation: installation}
		f := found{Name: repo.FullName(), URL: a.Config.URL + "/" + repo.FullName(), Branch: s.DefaultBranch}
		if i >= maxInspected {
			f.Problem, f.Unknown = "not looked into", true
			page.Repositories[i] = f
			continue
		}
		g.Go(func() error {
			if err := a.inspect(ctx, repo, &f); err != nil {
				a.Log.Info("repository not looked into", "repo", repo.FullName(), "err", err)
				f.Problem, f.Unknown = "could not be read", true
			}
			mu.Lock()
			defer mu.Unlock()
			page.Repositories[i] = f
			return nil
		})
	}
	_ = g.Wait() // each tells its own
	if total > len(list) {
		page.More = fmt.Sprintf("And %d more, which work the same.", total-len(list))
	}
	return page
}

// inspect finds Dockerfiles and the build file at the default branch.
func (a *App) inspect(ctx context.Context, repo builder.Repository, f *found) error {
	client, err := a.client(ctx, repo, need{"contents": "read"})
	if err != nil {
		return err
	}
	tree, resp, err := client.Git.GetTree(once(ctx), repo.Owner, repo.Name, url.PathEscape(repo.DefaultBranch), true)
	if resp != nil && resp.StatusCode == http.StatusConflict { // it has no tree
		f.Problem = "empty so far"
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range tree.Entries {
		switch path := e.GetPath(); {
		case e.GetType() != "blob":
		case path == config.BuildFileName:
			f.HasFile = true
		case builder.IsDockerfile(path) && len(f.Dockerfiles) < 20:
			f.Dockerfiles = append(f.Dockerfiles, path)
		}
	}
	if !f.HasFile && len(f.Dockerfiles) > 0 {
		s := builder.Suggest(f.Dockerfiles, repo.Name, repo.DefaultBranch)
		f.New = a.newFile(repo, s.File)
	}
	return nil
}

// newFile is GitHub's own page for a new file with the text filled in: so the
// app needs no right to write.
func (a *App) newFile(repo builder.Repository, text string) string {
	q := url.Values{"filename": {config.BuildFileName}, "value": {text}}
	branch := strings.ReplaceAll(url.PathEscape(repo.DefaultBranch), "%2F", "/") // as GitHub's own links have it
	return a.Config.URL + "/" + repo.FullName() + "/new/" + branch + "?" + q.Encode()
}
