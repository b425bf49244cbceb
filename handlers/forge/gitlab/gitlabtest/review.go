package gitlabtest

import (
	"maps"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// ReviewOptions are the options of statuses, notes, merge requests and limits.
type ReviewOptions struct {
	// RateLimit is how many requests a minute each token has; 0: no limit and
	// no headers of one. gitlab.com has 2,000.
	RateLimit int
	// NotesPerMinute is how many notes somebody may write; default 60, as on
	// gitlab.com; negative: no limit.
	NotesPerMinute int
	// MergeLag is how many reads of a new merge request come before its diff
	// is there: they answer without diff_refs.
	MergeLag int
}

// serverReview is what this side keeps of the server, projectReview of each
// project.
type (
	serverReview struct {
		limit *limiter
	}
	projectReview struct {
		merges         []*Merge
		pipelines      []*pipeline
		statuses       []*status
		notes          []*note
		lastMerge      int
		lastPipeline   int
		pipelinesFirst bool            // only_allow_merge_if_pipeline_succeeds
		held           map[string]bool // SHA: another update is in progress
	}
)

func (s *Server) startReview() {
	s.review.limit = newLimiter(s.opts.RateLimit, s.opts.NotesPerMinute, s.opts.Now)
}

// routesReview are the operations of merge requests, notes and statuses.
func routesReview() map[string]route {
	all := map[string]route{}
	for _, table := range []map[string]route{statusRoutes, mergeRoutes, noteRoutes, discussionRoutes, awardRoutes} {
		maps.Copy(all, table)
	}
	return all
}

// moved is told of each ref that a push moved, after the push's own webhook.
func (p *Project) moved(u *user, m gitserver.Move) error {
	if m.Branch() == "" {
		return nil
	}
	return p.moveMerges(u, m)
}
