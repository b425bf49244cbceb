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

// GitLab's roles, as numbers that others stand between.
// https://docs.gitlab.com/api/members/#roles
const (
	roleGuest      = 10
	roleReporter   = 20
	roleDeveloper  = 30
	roleMaintainer = 40
	roleOwner      = 50
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

// roleIn is our role in the place, by ourselves or from a group above; 0 for
// none.
// https://docs.gitlab.com/api/members/#get-a-member-of-a-group-or-project-including-inherited-and-invited-members
func (f *Forge) roleIn(ctx context.Context, p place, user int) (int, error) {
	var member struct {
		AccessLevel int `json:"access_level"`
	}
	_, err := f.get(once(ctx), fmt.Sprintf("%s/members/all/%d", p.api(), user), nil, &member)
	switch answeredWith(err) {
	case http.StatusNotFound, http.StatusForbidden:
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("our role in %s: %w", p.Path, err)
	}
	return member.AccessLevel, nil
}

// roleName is what people call a role.
func roleName(level int) string {
	switch {
	case level >= roleOwner:
		return "Owner"
	case level >= roleMaintainer:
		return "Maintainer"
	case level >= roleDeveloper:
		return "Developer"
	case level >= roleReporter:
		return "Reporter"
	case level > 0:
		return "Guest"
	}
	return "no role"
}
