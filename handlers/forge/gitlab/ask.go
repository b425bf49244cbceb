package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
)

const (
	diffWait = 3 * time.Second // GitLab reads a new merge request's commits behind the scenes
	diffSoon = 5 * time.Minute // and is done with it by then
)

// mergeRequest is what we need to know of a merge request, as both the one and
// the list have it.
type mergeRequest struct {
	IID             int       `json:"iid"`
	State           string    `json:"state"` // opened, closed, merged; locked while it is being merged
	SHA             string    `json:"sha"`   // of the head; "" while it is not known yet
	SourceBranch    string    `json:"source_branch"`
	TargetBranch    string    `json:"target_branch"`
	SourceProjectID int       `json:"source_project_id"` // 0: the fork was deleted
	TargetProjectID int       `json:"target_project_id"`
	CreatedAt       time.Time `json:"created_at"`
	Author          struct {
		Username string `json:"username"`
	} `json:"author"`
	DiffRefs struct {
		Base string `json:"base_sha"`
	} `json:"diff_refs"` // not in lists
}

// Pull implements builder.Forge: a merge request by its iid. It has no Merge:
// GitLab makes no commit of the would-be merge that everybody may fetch.
// https://docs.gitlab.com/api/merge_requests/#get-single-mr
func (f *Forge) Pull(ctx context.Context, repo builder.Repository, number int) (builder.Pull, error) {
	id, err := projectID(repo)
	if err != nil {
		return builder.Pull{}, err
	}
	if number <= 0 {
		return builder.Pull{}, fmt.Errorf("merge request %s!%d: %w", repo.FullName(), number, builder.ErrNotFound)
	}
	var mr mergeRequest
	if _, err := f.get(ctx, fmt.Sprintf("projects/%d/merge_requests/%d", id, number), nil, &mr); err != nil {
		return builder.Pull{}, closedToUs(fmt.Errorf("merge request %s!%d: %w", repo.FullName(), number, err))
	}
	if mr.open() && mr.SHA == "" {
		if f.Now().Sub(mr.CreatedAt) < diffSoon {
			return builder.Pull{}, fmt.Errorf("merge request %s!%d: %w", repo.FullName(), number,
				builder.Later{Wait: diffWait, Reason: "GitLab has not read its commits yet"})
		}
		return builder.Pull{}, fmt.Errorf("merge request %s!%d has no commits: %w", repo.FullName(), number, builder.ErrNotFound)
	}
	return f.pullOf(ctx, repo, mr, map[int]string{})
}

func (mr mergeRequest) open() bool { return mr.State == "opened" || mr.State == "locked" }

// fork reports whether the head is in another project.
func (mr mergeRequest) fork() bool { return mr.SourceProjectID != mr.TargetProjectID }

// pullOf is the merge request in our words. owners are of the forks that were
// asked for already.
func (f *Forge) pullOf(ctx context.Context, repo builder.Repository, mr mergeRequest, owners map[int]string) (builder.Pull, error) {
	p := builder.Pull{
		Number: mr.IID, Author: mr.Author.Username,
		HeadBranch: mr.SourceBranch, Head: mr.SHA, BaseBranch: mr.TargetBranch, Base: mr.DiffRefs.Base,
		Fork: mr.fork(), HeadOwner: repo.Owner,
		Open: mr.open(), Merged: mr.State == "merged",
	}
	if !p.Fork {
		return p, nil
	}
	owner, known := owners[mr.SourceProjectID]
	if !known {
		var err error
		if owner, err = f.ownerOf(ctx, mr.SourceProjectID); err != nil {
			return builder.Pull{}, fmt.Errorf("fork of merge request %s!%d: %w", repo.FullName(), mr.IID, err)
		}
		owners[mr.SourceProjectID] = owner
	}
	// Builds of forks are kept apart by their owners, so there is always one.
	if p.HeadOwner = owner; owner == "" {
		p.HeadOwner = p.Author
	}
	return p, nil
}

// ownerOf returns the namespace of a fork, "" of one that is gone or private.
func (f *Forge) ownerOf(ctx context.Context, id int) (string, error) {
	if id <= 0 {
		return "", nil
	}
	path, err := f.pathOf(once(ctx), id, "")
	if errors.Is(err, builder.ErrNotFound) || errors.Is(err, builder.ErrDenied) {
		return "", nil
	}
	namespace, _ := splitPath(path)
	return namespace, err
}

// GitLab's roles, as numbers that others stand between.
// https://docs.gitlab.com/api/members/#roles
const (
	roleGuest      = 10
	roleDeveloper  = 30
	roleMaintainer = 40
)

// usernames is what GitLab calls people and bots.
var usernames = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}$`)

// Permission implements builder.Forge: by the person's membership, also of the
// groups above, or that are invited. Who is none may read what is open to all;
// that somebody administers the server says nothing.
func (f *Forge) Permission(ctx context.Context, repo builder.Repository, person string) (builder.Permission, error) {
	id, err := projectID(repo)
	if err != nil || !usernames.MatchString(person) {
		return builder.PermissionNone, nil
	}
	permission, err := f.permission(ctx, id, person)
	if err != nil {
		return builder.PermissionNone, closedToUs(fmt.Errorf("permission of %s in %s: %w", person, repo.FullName(), err))
	}
	return permission, nil
}

func (f *Forge) permission(ctx context.Context, project int, person string) (builder.Permission, error) {
	user, err := f.activeUser(ctx, person)
	if user == 0 || err != nil {
		return builder.PermissionNone, err
	}
	// https://docs.gitlab.com/api/members/#get-a-member-of-a-group-or-project-including-inherited-and-invited-members
	var member struct {
		AccessLevel     int    `json:"access_level"`
		State           string `json:"state"`
		MembershipState string `json:"membership_state"`
		ExpiresAt       string `json:"expires_at"` // the day on which it is none any more
	}
	_, err = f.get(once(ctx), fmt.Sprintf("projects/%d/members/all/%d", project, user), nil, &member)
	switch status := answeredWith(err); {
	case status == http.StatusNotFound || status == http.StatusForbidden:
		return f.strangers(ctx, project)
	case err != nil:
		return builder.PermissionNone, err
	case member.State != "active" || member.MembershipState != "" && member.MembershipState != "active":
		return builder.PermissionNone, nil
	case member.ExpiresAt != "" && member.ExpiresAt <= f.Now().UTC().Format(time.DateOnly):
		return f.strangers(ctx, project)
	case member.AccessLevel >= roleMaintainer:
		return builder.PermissionAdmin, nil
	case member.AccessLevel >= roleDeveloper:
		return builder.PermissionWrite, nil
	case member.AccessLevel >= roleGuest:
		return builder.PermissionRead, nil
	}
	return f.strangers(ctx, project)
}

// activeUser returns the id of a user; 0 where nobody is called so, or may not
// sign in.
// https://docs.gitlab.com/api/users/#list-users
func (f *Forge) activeUser(ctx context.Context, username string) (int, error) {
	var users []struct {
		ID       int    `json:"id"`
		Username string `json:"username"`
		State    string `json:"state"`
	}
	query := struct {
		Username string `url:"username"`
	}{username}
	if _, err := f.get(ctx, "users", query, &users); err != nil {
		return 0, err
	}
	for _, u := range users {
		if strings.EqualFold(u.Username, username) && u.State == "active" && u.ID > 0 {
			return u.ID, nil
		}
	}
	return 0, nil
}

// strangers is what who is no member may do.
func (f *Forge) strangers(ctx context.Context, id int) (builder.Permission, error) {
	p, err := f.project(once(ctx), id)
	switch {
	case errors.Is(err, builder.ErrNotFound) || errors.Is(err, builder.ErrDenied):
		return builder.PermissionNone, nil
	case err != nil:
		return builder.PermissionNone, err
	case p.Visibility == "public" || p.Visibility == "internal":
		return builder.PermissionRead, nil
	}
	return builder.PermissionNone, nil
}

// Protected implements builder.Forge. A branch that every developer may push
// to is not: those are all who can push.
// https://docs.gitlab.com/api/branches/#get-single-repository-branch
func (f *Forge) Protected(ctx context.Context, repo builder.Repository, ref string) (bool, error) {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	id, err := projectID(repo)
	if !ok || branch == "" || err != nil {
		return false, nil
	}
	var answer struct {
		Name       string `json:"name"`
		Protected  bool   `json:"protected"`
		Developers bool   `json:"developers_can_push"`
	}
	_, err = f.get(ctx, "projects/"+strconv.Itoa(id)+"/repository/branches/"+gitlab.PathEscape(branch), nil, &answer)
	switch answeredWith(err) {
	case http.StatusNotFound, http.StatusForbidden:
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("protection of %s in %s: %w", branch, repo.FullName(), err)
	}
	return answer.Protected && !answer.Developers && answer.Name == branch, nil
}
