package github

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
)

// fullNames is what GitHub allows as owner/name.
var fullNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*(_[A-Za-z0-9]+)?/[A-Za-z0-9._-]+$`)

// Find returns the repository that people call owner/name. builder.ErrNotFound
// when there is none, or none that we are let into, also for what cannot be a
// name.
func (a *App) Find(ctx context.Context, fullName string) (builder.Repository, error) {
	var none builder.Repository
	owner, name, _ := strings.Cut(fullName, "/")
	if !fullNames.MatchString(fullName) || name == "." || name == ".." {
		return none, fmt.Errorf("%q is no repository of GitHub's, write OWNER/NAME: %w", fullName, builder.ErrNotFound)
	}
	x, err := a.access(ctx)
	if err != nil {
		return none, err
	}
	installation, err := x.installedIn(ctx, owner, name)
	if err != nil {
		return none, err
	}
	// A token for the one name tells what is behind it, and that it is ours.
	token, _, err := x.client.Apps.CreateInstallationToken(repeatable(ctx), installation, &github.InstallationTokenOptions{
		Repositories: []string{name}, Permissions: &github.InstallationPermissions{Metadata: github.String("read")},
	})
	switch answeredWith(err) {
	case http.StatusNotFound, http.StatusForbidden, http.StatusUnprocessableEntity:
		return none, fmt.Errorf("the GitHub App is not let into %s: %w", fullName, builder.ErrNotFound)
	}
	if err != nil {
		return none, fmt.Errorf("repository %s: %w", fullName, err)
	}
	for _, r := range token.Repositories {
		if strings.EqualFold(r.GetFullName(), fullName) {
			return a.describe(ctx, r.GetID(), installation, owner, name)
		}
	}
	return none, fmt.Errorf("the GitHub App is not let into %s: %w", fullName, builder.ErrNotFound)
}

// describe reads what GitHub knows of a repository by its id.
func (a *App) describe(ctx context.Context, id, installation int64, owner, name string) (builder.Repository, error) {
	repo := builder.Repository{
		Forge: Instance, ID: strconv.FormatInt(id, 10), Owner: owner, Name: name,
		Installation: strconv.FormatInt(installation, 10),
	}
	d, err := a.door(ctx, repo, need{"metadata": "read"})
	if err != nil {
		return builder.Repository{}, err
	}
	found, _, err := d.client.Repositories.GetByID(once(ctx), id)
	if err != nil {
		return builder.Repository{}, notFound(fmt.Errorf("repository %s: %w", repo.FullName(), err))
	}
	repo.Owner, repo.Name, repo.DefaultBranch = found.GetOwner().GetLogin(), found.GetName(), found.GetDefaultBranch()
	return repo, nil
}
