package app

import (
	"context"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// gitlabLimit is how long one GitLab server may take: each of its projects is
// asked about.
const gitlabLimit = time.Minute

// memory is what adapters remember by.
type memory = telling.Memory

// gitlabs looks at the GitLab servers of the server file.
func (p *premises) gitlabs(ctx context.Context) []forge.Finding {
	var projects []builder.Repository // nil: not known, which is told with Redis
	if records, done, err := p.records(ctx); err == nil {
		defer done()
		if projects, err = records.ActiveRepositories(ctx, time.Unix(0, 0)); err == nil && projects == nil {
			projects = []builder.Repository{}
		}
	}
	var found []forge.Finding
	for _, g := range p.cfg.GitLab {
		found = append(found, p.gitlabDoctor(ctx, g, projects)...)
	}
	return found
}

func (p *premises) gitlabDoctor(ctx context.Context, g config.GitLab, projects []builder.Repository) []forge.Finding {
	ctx, done := context.WithTimeout(ctx, gitlabLimit)
	defer done()
	lab, _, err := p.gitlab(g, noMemory{})
	if err != nil {
		return []forge.Finding{{What: err.Error(), Mend: "correct it in the server file; `up` does not start without it"}}
	}
	found := lab.Doctor(ctx, projects)
	if len(p.cfg.GitLab) > 1 {
		for i := range found {
			found[i].What = fmt.Sprintf("%s: %s", g.Name, found[i].What)
		}
	}
	return found
}
