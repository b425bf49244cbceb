package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
)

// place is where a webhook hangs: a project, or a group for all below it.
type place struct {
	Kind string // scopeProject or scopeGroup
	ID   int
	Path string
}

// api is the place in the API's paths.
func (p place) api() string { return p.Kind + "s/" + strconv.Itoa(p.ID) }

// inPath is a group that is known by its path alone.
func (p place) inPath() string {
	if p.ID == 0 {
		return p.Kind + "s/" + gitlab.PathEscape(p.Path)
	}
	return p.api()
}

func projectPlace(p project) place { return place{scopeProject, p.ID, p.Path} }

// target is a project or group that the operator names.
type target struct {
	place
	project project // of a project
}

// target finds a project or group by its path. builder.ErrNotFound.
func (f *Forge) target(ctx context.Context, name string) (target, error) {
	name = strings.TrimSuffix(strings.Trim(name, "/"), ".git")
	if !validPath(name) {
		return target{}, builder.ErrNotFound
	}
	if strings.Contains(name, "/") {
		repo, err := f.Find(ctx, name)
		if err == nil {
			id, err := projectID(repo)
			p := project{ID: id, Path: repo.FullName(), DefaultBranch: repo.DefaultBranch}
			return target{projectPlace(p), p}, err
		}
		if !errors.Is(err, builder.ErrNotFound) {
			return target{}, err
		}
	}
	// https://docs.gitlab.com/api/groups/#get-a-single-group
	var group struct {
		ID   int    `json:"id"`
		Path string `json:"full_path"`
	}
	query := struct {
		WithProjects bool `url:"with_projects"`
	}{}
	_, err := f.get(once(ctx), "groups/"+gitlab.PathEscape(name), &query, &group)
	if shut(err) {
		return target{}, builder.ErrNotFound
	}
	if err != nil {
		return target{}, fmt.Errorf("group %s: %w", name, err)
	}
	if group.ID <= 0 || !strings.EqualFold(group.Path, name) {
		return target{}, builder.ErrNotFound
	}
	return target{place: place{scopeGroup, group.ID, group.Path}}, nil
}

// projectsOf lists the projects of a group and of those below it, but for
// archived ones.
// https://docs.gitlab.com/api/groups/#list-projects
func (f *Forge) projectsOf(ctx context.Context, group place) ([]project, error) {
	query := &struct {
		IncludeSubgroups bool   `url:"include_subgroups"`
		WithShared       bool   `url:"with_shared"`
		Archived         bool   `url:"archived"`
		OrderBy          string `url:"order_by"`
		Sort             string `url:"sort"`
		paged
	}{IncludeSubgroups: true, OrderBy: "id", Sort: "asc"}
	var list []project
	err := pages(once(ctx), f, group.api()+"/projects", query, func(p project) (bool, error) {
		if p.ID > 0 && fullPaths.MatchString(p.Path) {
			list = append(list, p)
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("projects of %s: %w", group.Path, err)
	}
	return list, nil
}

// ancestors yields the groups above a path, the nearest first.
func ancestors(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for at := strings.LastIndexByte(path, '/'); at > 0; at = strings.LastIndexByte(path, '/') {
			path = path[:at]
			if !yield(path) {
				return
			}
		}
	}
}

// members is the page where roles are given.
func (f *Forge) members(at place) string {
	if at.Kind == scopeGroup {
		return f.Config.URL + "/groups/" + at.Path + "/-/group_members"
	}
	return f.Config.URL + "/" + at.Path + "/-/project_members"
}

// hooksPage is where people see the webhooks.
func (f *Forge) hooksPage(at place) string {
	if at.Kind == scopeGroup {
		return f.Config.URL + "/groups/" + at.Path + "/-/hooks"
	}
	return f.Config.URL + "/" + at.Path + "/-/hooks"
}

// shut reports whether an error means that the place is not open to us.
func shut(err error) bool {
	switch answeredWith(err) {
	case http.StatusForbidden, http.StatusNotFound, http.StatusUnauthorized:
		return true
	}
	return false
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func orElse(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// covering is a group with a webhook of ours.
type covering struct {
	place
	hook hook
}

// aboveIt returns the nearest group above the place whose webhook is ours, as
// far as we may see; nil where there is none.
func (f *Forge) aboveIt(ctx context.Context, at place) (*covering, error) {
	for path := range ancestors(at.Path) {
		group := place{Kind: scopeGroup, Path: path}
		hooks, err := f.hooksAt(ctx, group)
		if shut(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if ours := f.ours(hooks); len(ours) > 0 {
			group.ID = ours[0].GroupID
			return &covering{group, ours[0]}, nil
		}
	}
	return nil, nil
}
