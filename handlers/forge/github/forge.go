package github

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
)

// nameHolds is how long a repository is fetched under its name before GitHub
// is asked for it again, which costs nothing while it stays.
const nameHolds = 5 * time.Minute

// Origin implements forge.Origin: the repository over HTTP, under its name of
// now, with a token that may read its contents and nothing else. The token
// holds for a minute at least and an hour at most.
func (a *App) Origin(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	d, err := a.door(ctx, repo, need{"contents": "read"})
	if err != nil {
		return builder.Origin{}, err
	}
	return a.origin(ctx, d, repo)
}

// origin is the repository behind a door, as git speaks to it.
func (a *App) origin(ctx context.Context, d *door, repo builder.Repository) (builder.Origin, error) {
	// Git follows no redirect with the token, so the name has to be right. A
	// record that knows another one is older, or newer.
	if !strings.EqualFold(d.fullName(), repo.FullName()) || d.nameAge() > nameHolds {
		var later builder.Later
		if _, err := d.resolve(ctx); err != nil && !errors.As(err, &later) {
			return builder.Origin{}, fmt.Errorf("origin of %s: %w", repo.FullName(), err)
		}
	}
	token, _, err := d.token(ctx)
	if err != nil {
		return builder.Origin{}, d.closed(err)
	}
	login := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
	return builder.Origin{URL: a.Config.URL + "/" + d.fullName() + ".git", Header: "Authorization: Basic " + login}, nil
}

// Pull implements builder.Forge.
// https://docs.github.com/rest/pulls/pulls#get-a-pull-request
func (a *App) Pull(ctx context.Context, repo builder.Repository, number int) (builder.Pull, error) {
	gh, err := a.client(ctx, repo, need{"pull_requests": "read"})
	if err != nil {
		return builder.Pull{}, err
	}
	pr, _, err := gh.PullRequests.Get(ctx, repo.Owner, repo.Name, number)
	if err != nil {
		return builder.Pull{}, notFound(fmt.Errorf("pull request %s#%d: %w", repo.FullName(), number, err))
	}
	if fmt.Sprint(pr.GetBase().GetRepo().GetID()) != repo.ID {
		return builder.Pull{}, fmt.Errorf("pull request %s#%d: the name is another repository's now: %w", repo.FullName(), number, builder.ErrNotFound)
	}
	return pullOf(pr), nil
}

// pullOf reads a pull request as the API describes it.
func pullOf(pr *github.PullRequest) builder.Pull {
	head, base := pr.GetHead(), pr.GetBase()
	p := builder.Pull{
		Number: pr.GetNumber(), Author: pr.GetUser().GetLogin(),
		HeadBranch: head.GetRef(), Head: head.GetSHA(), BaseBranch: base.GetRef(), Base: base.GetSHA(),
		// A fork that was deleted leaves a pull request without a head repository.
		Fork:   head.GetRepo() == nil || head.GetRepo().GetID() != base.GetRepo().GetID(),
		Open:   pr.GetState() == "open",
		Merged: pr.GetMerged() || pr.MergedAt != nil,
	}
	// Builds of forks are kept apart by their owners, so there is always one.
	labelled, _, _ := strings.Cut(head.GetLabel(), ":")
	p.HeadOwner = cmp.Or(head.GetRepo().GetOwner().GetLogin(), head.GetUser().GetLogin(), labelled, p.Author)
	// GitHub works mergeability out behind the scenes; until it is known, the
	// merge commit is an older one's.
	if p.Open && pr.GetMergeable() {
		p.Merge = pr.GetMergeCommitSHA()
	}
	return p
}

// logins is what GitHub calls people and bots.
var logins = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(\[bot\])?$`)

// Permission implements builder.Forge.
// https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user
func (a *App) Permission(ctx context.Context, repo builder.Repository, person string) (builder.Permission, error) {
	if !logins.MatchString(person) {
		return builder.PermissionNone, nil
	}
	d, err := a.door(ctx, repo, need{"metadata": "read"})
	if err != nil {
		return builder.PermissionNone, err
	}
	// Of the two things that GitHub tells this is what a role comes to: admin,
	// write, read or none. The role's name says nothing: an organisation may
	// call its own as it likes.
	var level struct {
		Permission string `json:"permission"`
	}
	err = d.sure(ctx, func() error {
		return d.get(once(ctx), "collaborators/"+url.PathEscape(person)+"/permission", &level)
	})
	if answeredWith(err) == http.StatusNotFound {
		return builder.PermissionNone, nil
	}
	if err != nil {
		return builder.PermissionNone, fmt.Errorf("permission of %s in %s: %w", person, repo.FullName(), err)
	}
	return permissionOf(level.Permission), nil
}

func permissionOf(name string) builder.Permission {
	switch name {
	case "admin":
		return builder.PermissionAdmin
	case "write":
		return builder.PermissionWrite
	case "read":
		return builder.PermissionRead
	}
	return builder.PermissionNone
}

// Protected implements builder.Forge. A branch counts as protected by a
// protection rule or by a ruleset.
// https://docs.github.com/rest/branches/branches#get-a-branch
func (a *App) Protected(ctx context.Context, repo builder.Repository, ref string) (bool, error) {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok || branch == "" {
		return false, nil
	}
	d, err := a.door(ctx, repo, need{"contents": "read"})
	var answer struct {
		Name      string `json:"name"`
		Protected bool   `json:"protected"`
	}
	if err == nil {
		err = d.sure(ctx, func() error { return d.get(ctx, "branches/"+url.PathEscape(branch), &answer) })
	}
	var unknown missingPermission
	if answeredWith(err) == http.StatusNotFound || errors.As(err, &unknown) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("protection of %s in %s: %w", branch, repo.FullName(), err)
	}
	// The old name of a branch leads to the branch that had it. Who pushes a
	// new one of that name, and removes it at once, has not protected it.
	return answer.Protected && answer.Name == branch, nil
}

// get reads something of the repository. The path is escaped and relative.
func (d *door) get(ctx context.Context, path string, into any) error {
	req, err := d.client.NewRequest(http.MethodGet, "repos/"+d.fullName()+"/"+path, nil)
	if err != nil {
		return err
	}
	_, err = d.client.Do(ctx, req, into)
	return err
}

// sure asks something whose answer gives authority, and makes sure that this
// repository gave it and nobody who has taken its name meanwhile.
func (d *door) sure(ctx context.Context, ask func() error) error {
	for range 3 {
		asked := d.fullName()
		answered := ask()
		if answered != nil && answeredWith(answered) != http.StatusNotFound {
			return answered
		}
		name, err := d.resolve(ctx)
		if err != nil {
			return err
		}
		if strings.EqualFold(asked, name) {
			return answered
		}
	}
	return fmt.Errorf("repository %d changes its name all the time", d.repo)
}
