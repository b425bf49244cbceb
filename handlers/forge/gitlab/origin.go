package gitlab

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const (
	nameHolds = 5 * time.Minute  // before the server is asked again
	nameStale = 30 * time.Minute // past which a name is not used even when the server cannot be asked
	namesKept = 10_000
)

// fullPaths is what GitLab allows as group/subgroup/name: two parts at least,
// 20 levels of groups at most.
// https://docs.gitlab.com/user/reserved_names/
var fullPaths = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*){1,21}$`)

// Origin implements forge.Origin: the project over HTTP, under its path of
// now, with the server's token, authorities and proxy.
func (f *Forge) Origin(ctx context.Context, repo builder.Repository) (builder.Origin, error) {
	id, err := projectID(repo)
	if err != nil {
		return builder.Origin{}, err
	}
	path, err := f.pathOf(ctx, id, repo.FullName())
	if err != nil {
		return builder.Origin{}, fmt.Errorf("origin of %s: %w", repo.FullName(), err)
	}
	login := base64.StdEncoding.EncodeToString([]byte("oauth2:" + f.Config.Token))
	return builder.Origin{
		URL:    f.Config.URL + "/" + path + ".git",
		Header: "Authorization: Basic " + login,
		CA:     f.Config.CA, Proxy: f.Config.Proxy,
	}, nil
}

// pathOf returns the path that the project has now. Git follows no redirect
// with the token, so it has to be right.
func (f *Forge) pathOf(ctx context.Context, id int, recorded string) (string, error) {
	now, err := f.known(ctx, id, recorded, "")
	return now.path, err
}

// known is what the project is called now, and its default branch. A record
// that says something else is older, or newer, and makes us ask; so does a
// claimed branch that is another.
func (f *Forge) known(ctx context.Context, id int, recorded, branch string) (projectName, error) {
	known, have := f.names.get(id)
	age := f.Now().Sub(known.at)
	sameName := strings.EqualFold(known.path, recorded) || strings.EqualFold(known.asked, recorded)
	if have && age < nameHolds && sameName && (branch == "" || branch == known.branch) {
		return known, nil
	}
	p, err := f.project(ctx, id)
	var later builder.Later
	switch {
	case errors.As(err, &later) && have && age < nameStale:
		return known, nil
	case err != nil:
		return projectName{}, err
	}
	known = projectName{path: p.Path, branch: p.DefaultBranch, asked: recorded, at: f.Now()}
	f.names.put(id, known)
	return known, nil
}

// project is what we need to know of a project.
type project struct {
	ID            int    `json:"id"`
	Path          string `json:"path_with_namespace"`
	DefaultBranch string `json:"default_branch"`
	Visibility    string `json:"visibility"`
}

// record is the project as events name it.
func (p project) record(instance string) builder.Repository {
	namespace, name := splitPath(p.Path)
	return builder.Repository{Forge: instance, ID: strconv.Itoa(p.ID), Owner: namespace, Name: name, DefaultBranch: p.DefaultBranch}
}

// project reads a project by its id. builder.ErrNotFound where there is none,
// or none that the token is let into; an archived one is there.
// https://docs.gitlab.com/api/projects/#get-a-single-project
func (f *Forge) project(ctx context.Context, id int) (project, error) {
	var p project
	_, err := f.get(ctx, "projects/"+strconv.Itoa(id), nil, &p)
	if err != nil {
		return project{}, closedToUs(err)
	}
	if p.ID != id || !fullPaths.MatchString(p.Path) {
		return project{}, fmt.Errorf("GitLab answers with project %d, %.200q for project %d", p.ID, p.Path, id)
	}
	return p, nil
}

// names remembers the paths of projects for a while.
type names struct {
	mu    sync.Mutex
	known map[int]projectName
}

type projectName struct {
	path   string // path_with_namespace
	branch string // the default one
	asked  string // what the record called it that made us ask
	at     time.Time
}

func (n *names) get(id int) (projectName, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.known[id]
	return name, ok
}

func (n *names) put(id int, name projectName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= namesKept {
		n.known = map[int]projectName{} // asked again: cheap, and rare
	}
	n.known[id] = name
}
