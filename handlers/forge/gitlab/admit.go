package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

const (
	admittedFor = 10 * time.Minute // a project that is in the group
	refusedFor  = time.Minute      // and one that is not
	admitLimit  = 5 * time.Second  // GitLab gives us ten for the whole delivery
	mostAdmits  = 10_000
)

var _ forge.Admitter = (*Forge)(nil)

// Admit implements forge.Admitter. The token of a group's webhook is good for
// the group's projects, which no payload proves: an owner of the group may have
// the webhook tell anything, by a template of his own. So it is asked whether
// the project is in the group.
func (f *Forge) Admit(ctx context.Context, header http.Header, events []builder.Event) error {
	s, ours := scopeOf(header.Get(headerToken))
	if !ours || s.Kind != scopeGroup {
		return nil // a project's is compared with what it tells, the operator's own tell of everything
	}
	ctx, done := context.WithTimeout(ctx, admitLimit)
	defer done()
	for _, e := range events {
		id, err := projectID(e.Repository)
		if err != nil {
			return err
		}
		if e.Withdrawn { // it is in no group any more; Confirm sees whether that is so
			continue
		}
		in, err := f.inGroup(ctx, id, s.ID)
		if err != nil {
			return fmt.Errorf("is project %d in group %d: %w: %w", id, s.ID, builder.ErrUnavailable, err)
		}
		if !in {
			return fmt.Errorf("project %d is not in the group whose webhook this is: %w", id, forge.ErrSignature)
		}
	}
	return nil
}

type withoutProjects struct {
	Projects bool `url:"with_projects"`
}

// inGroup reports whether a project is in a group or one below it.
func (f *Forge) inGroup(ctx context.Context, project, group int) (bool, error) {
	pair := [2]int{project, group}
	if in, known := f.admits.get(pair, f.Now()); known {
		return in, nil
	}
	var g struct {
		Path string `json:"full_path"`
	}
	p, err := f.project(once(ctx), project)
	if err == nil {
		// https://docs.gitlab.com/api/groups/#retrieve-a-group
		_, err = f.get(once(ctx), "groups/"+strconv.Itoa(group), withoutProjects{}, &g)
		err = closedToUs(err)
	}
	in := err == nil && g.Path != "" && strings.HasPrefix(strings.ToLower(p.Path), strings.ToLower(g.Path)+"/")
	if err != nil && !errors.Is(err, builder.ErrNotFound) && !errors.Is(err, builder.ErrDenied) {
		return false, err
	}
	f.admits.put(pair, in, f.Now())
	return in, nil
}

// admits remembers which projects are in which groups.
type admits struct {
	mu    sync.Mutex
	known map[[2]int]admit
}

type admit struct {
	in    bool
	until time.Time
}

func (a *admits) get(pair [2]int, now time.Time) (in, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.known[pair]
	return k.in, ok && now.Before(k.until)
}

func (a *admits) put(pair [2]int, in bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= mostAdmits {
		a.known = map[[2]int]admit{}
	}
	k := admit{in, now.Add(refusedFor)}
	if in {
		k.until = now.Add(admittedFor)
	}
	a.known[pair] = k
}
