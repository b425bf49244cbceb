package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
)

// Find returns the project that people call group/subgroup/name.
// builder.ErrNotFound when there is none, or none that the token is let into,
// also for what cannot be a path.
func (f *Forge) Find(ctx context.Context, fullName string) (builder.Repository, error) {
	var none builder.Repository
	if !fullPaths.MatchString(fullName) || strings.Contains("/"+fullName+"/", "/../") || strings.Contains("/"+fullName+"/", "/./") {
		return none, fmt.Errorf("%q is no project of GitLab's, write GROUP/NAME: %w", fullName, builder.ErrNotFound)
	}
	var p project
	_, err := f.get(once(ctx), "projects/"+gitlab.PathEscape(fullName), nil, &p)
	switch answeredWith(err) {
	case http.StatusNotFound, http.StatusForbidden:
		return none, fmt.Errorf("there is no project %s at %s, or the token's user is no member of it: %w", fullName, f.Config.URL, builder.ErrNotFound)
	}
	if err != nil {
		return none, fmt.Errorf("project %s: %w", fullName, err)
	}
	if !strings.EqualFold(p.Path, fullName) {
		// GitLab leads from the names of the past to those of now.
		return none, fmt.Errorf("project %s is called %s now: %w", fullName, p.Path, builder.ErrNotFound)
	}
	if p.ID <= 0 || !fullPaths.MatchString(p.Path) {
		return none, fmt.Errorf("GitLab answers with project %d, %.200q for %s", p.ID, p.Path, fullName)
	}
	f.names.put(p.ID, projectName{path: p.Path, branch: p.DefaultBranch, asked: p.Path, at: f.Now()})
	return p.record(f.Config.Name), nil
}
