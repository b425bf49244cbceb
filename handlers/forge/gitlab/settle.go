package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// settle decides what an error of GitLab's means for what was to be told. What
// is not found may be there in a moment, but in no project that is gone.
func (f *Forge) settle(ctx context.Context, repo builder.Repository, subject string, err error) error {
	switch answeredWith(err) {
	case http.StatusNotFound:
		if id, wrong := projectID(repo); wrong == nil {
			if _, gone := f.project(once(ctx), id); errors.Is(gone, builder.ErrNotFound) {
				err = gone
			}
		}
	case http.StatusForbidden:
		f.sayForbidden(ctx, repo)
	}
	return f.ledger.Settle(ctx, repo, subject, err)
}

// sayForbidden tells the operator once for each project, whichever process
// finds it. Statuses of protected branches are for those who may push or merge
// there. https://docs.gitlab.com/user/permissions/
func (f *Forge) sayForbidden(ctx context.Context, repo builder.Repository) {
	first, err := f.Memory.Claim(ctx, f.ledger.Key("forbidden/"+repo.Key()), f.Now().UTC().Format(time.RFC3339), saidFor)
	if err == nil && first {
		f.Log.Warn("GitLab does not let the token tell how commits fare", "project", repo.FullName(),
			"mend", fmt.Sprintf("give its user the role Maintainer at %s/%s/-/project_members; Developers may tell nothing to protected branches", strings.TrimSuffix(f.Config.URL, "/"), repo.FullName()))
	}
}
