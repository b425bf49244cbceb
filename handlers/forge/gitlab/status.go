package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Limits of statuses: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status
const (
	maxStatusText = 255 // characters of name, description and target_url, each
	maxJobs       = 5   // of one context that are remembered
)

// pipelineLag is how long after a push GitLab may make its own pipeline of it.
const pipelineLag = 20 * time.Second

// told is what a commit was told in one context.
type told struct {
	telling.Order
	Said   string `json:"said,omitempty"`   // phase and text of the newest report
	Trying string `json:"trying,omitempty"` // an end that was on its way when nothing more was heard
	Again  bool   `json:"again,omitempty"`  // it is looked once more whether there is another pipeline
	Jobs   []job  `json:"jobs,omitempty"`   // oldest first
}

// job is what GitLab makes of a status: a job of a pipeline, which once it has
// ended gives way to another.
type job struct {
	Project  int    `json:"project"`
	Pipeline int    `json:"pipeline"`        // 0: to be found, or made, by GitLab
	Ref      string `json:"ref,omitempty"`   // for GitLab to find it by
	State    string `json:"state,omitempty"` // in GitLab's words
	Said     string `json:"said,omitempty"`
}

// status posts the report where merge requests are gated by it. A job changes
// with its state only: GitLab refuses running → running and pending → pending,
// and leaves the description as it was, so how far a build is within a state
// is for the note. https://docs.gitlab.com/api/commits/#set-commit-pipeline-status
func (f *Forge) status(ctx context.Context, r builder.Report) error {
	key := f.ledger.Key("status/" + telling.Subject(r))
	var last told
	if _, err := f.ledger.Recall(ctx, key, &last); err != nil {
		return err
	}
	said := telling.Phase(r)
	if telling.Ended(r) {
		said += " " + r.Description
	}
	again := last.Said == said && last.Again
	if last.Outdates(r) || last.Said == said && !again {
		return nil
	}
	p := posting{forge: f, report: r, key: key, said: said, state: statusState(r), told: last}
	if err := p.aim(ctx); err != nil {
		return err
	}
	if err := p.postAll(ctx); err != nil {
		return err
	}
	p.told.Order, p.told.Said, p.told.Trying = telling.OrderOf(r), said, ""
	// A failure that was quicker than GitLab's own pipeline would not be in it,
	// and the merge request could be merged.
	p.told.Again = !again && p.state == jobFailed && r.Event != nil && f.Now().Sub(r.Event.AcceptedAt) < pipelineLag
	if err := f.ledger.Remember(ctx, key, p.told); err != nil || !p.told.Again {
		return err
	}
	return builder.Later{Wait: pipelineLag, Reason: "GitLab may make another pipeline of the push"}
}

// posting is one report on its way into the jobs of its context.
type posting struct {
	forge  *Forge
	report builder.Report
	key    string
	said   string
	state  string
	told   told
	head   int    // index of the job that counts
	tried  string // end that may have been posted before
}

// postAll brings all jobs to the state. A job that ended stays so; the newest
// pipeline gets a new one.
func (p *posting) postAll(ctx context.Context) error {
	p.tried = p.told.Trying
	for i := 0; i < len(p.told.Jobs); i++ {
		j := &p.told.Jobs[i]
		switch {
		case j.Said == p.said, ended(j.State) && i != p.head:
			continue
		case !leadsTo(j.State, p.state):
			j.Said = p.said
			continue
		}
		gone, err := p.post(ctx, j)
		if err != nil {
			return err
		}
		if gone {
			if i == p.head {
				*j = p.unbound(ctx)
			} else {
				p.told.Jobs = slices.Delete(p.told.Jobs, i, i+1)
				if i < p.head {
					p.head--
				}
			}
			i--
			continue
		}
		if err := p.forge.ledger.Remember(ctx, p.key, p.told); err != nil {
			return err
		}
	}
	return nil
}

// post sends the state to one pipeline. gone: it was deleted, takes no more
// jobs, or is a fork's that does not let us in.
func (p *posting) post(ctx context.Context, j *job) (gone bool, err error) {
	o := p.options(j)
	if !ended(p.state) {
		ctx = repeatable(ctx) // the second is refused
	} else {
		if p.tried == p.said {
			there, err := p.isThere(ctx, j, func(s *gitlab.CommitStatus) bool { return saysSo(s, o) })
			if err != nil || there {
				return false, err
			}
		}
		if p.told.Trying != p.said {
			p.told.Trying = p.said
			if err := p.forge.ledger.Remember(ctx, p.key, p.told); err != nil {
				return false, err
			}
		}
	}
	made, _, err := p.forge.api.Commits.SetCommitStatus(j.Project, p.report.Commit, o, with(ctx))
	switch code := answeredWith(err); {
	case err == nil:
		j.Pipeline, j.State, j.Said = made.PipelineId, p.state, p.said
		return false, nil
	case code == http.StatusBadRequest && strings.Contains(err.Error(), "Cannot transition status"):
		j.State, j.Said = p.state, p.said // it is there already, or further
		if j.Pipeline == 0 {
			_, err = p.isThere(ctx, j, func(s *gitlab.CommitStatus) bool { return !ended(s.Status) })
			return false, err
		}
		return false, nil
	case j.Pipeline != 0 && (code == http.StatusNotFound || code == http.StatusUnprocessableEntity):
		return true, nil
	case j.Project != p.project() && (code == http.StatusNotFound || code == http.StatusForbidden || code == http.StatusUnauthorized):
		return true, p.forge.shutOut(ctx, j.Project)
	}
	return false, fmt.Errorf("status %s of %s: %w", p.report.Context, p.report.Commit, err)
}

func (p *posting) project() int {
	id, _ := projectID(p.report.Repository)
	return id
}

func (p *posting) options(j *job) *gitlab.SetCommitStatusOptions {
	r := p.report
	o := &gitlab.SetCommitStatusOptions{
		State: gitlab.BuildStateValue(p.state), Name: gitlab.Ptr(markdown.Clip(r.Context, maxStatusText)),
		Description: gitlab.Ptr(markdown.Clip(markdown.OneLine(telling.Steady(r)), maxStatusText)),
	}
	switch {
	case j.Pipeline != 0:
		o.PipelineID = gitlab.Ptr(j.Pipeline)
	case j.Ref != "":
		o.Ref = gitlab.Ptr(j.Ref)
	}
	if r.BuildID != "" {
		// GitLab refuses the whole status for an address that is too long.
		if url := p.forge.BuildURL(r.BuildID); len(url) <= maxStatusText {
			o.TargetURL = gitlab.Ptr(url)
		}
	}
	return o
}

// isThere finds out whether what may have been posted has arrived: a second end
// would be a second job.
func (p *posting) isThere(ctx context.Context, j *job, same func(*gitlab.CommitStatus) bool) (bool, error) {
	name := markdown.Clip(p.report.Context, maxStatusText)
	all, _, err := p.forge.api.Commits.GetCommitStatuses(j.Project, p.report.Commit, &gitlab.GetCommitStatusesOptions{
		ListOptions: gitlab.ListOptions{PerPage: 100}, Name: &name,
	}, with(ctx))
	if err != nil {
		if code := answeredWith(err); code == http.StatusNotFound || code == http.StatusForbidden {
			return false, nil
		}
		return false, fmt.Errorf("statuses of %s: %w", p.report.Commit, err)
	}
	for _, s := range all {
		if s.Name == name && same(s) && (j.Pipeline == 0 && (j.Ref == "" || j.Ref == s.Ref) || j.Pipeline == s.PipelineId) {
			j.Pipeline, j.State, j.Said = s.PipelineId, p.state, p.said
			return true, nil
		}
	}
	return false, nil
}

// saysSo reports whether the status is what the options ask for.
func saysSo(s *gitlab.CommitStatus, o *gitlab.SetCommitStatusOptions) bool {
	return s.Status == string(o.State) && s.Description == *o.Description && (o.TargetURL == nil || s.TargetURL == *o.TargetURL)
}

// The states of a job that we use. What was left out or skipped is a success:
// a skipped pipeline does not let anybody merge.
const (
	jobPending  = string(gitlab.Pending)
	jobRunning  = string(gitlab.Running)
	jobSuccess  = string(gitlab.Success)
	jobFailed   = string(gitlab.Failed)
	jobCanceled = string(gitlab.Canceled)
)

func ended(state string) bool {
	return state == jobSuccess || state == jobFailed || state == jobCanceled
}

// leadsTo reports whether GitLab takes a job from a state to the next: never
// back, never to where it is. After its end there is a new one.
func leadsTo(state, next string) bool {
	return state == "" || ended(state) || ended(next) || state == jobPending && next == jobRunning
}

// statusState puts a report in GitLab's words.
func statusState(r builder.Report) string {
	if b := r.Record; b != nil {
		switch {
		case b.State == builder.Queued:
			return jobPending
		case !b.State.Terminal():
			return jobRunning
		case b.State.Good():
			return jobSuccess
		case b.State == builder.Failed:
			return jobFailed
		}
		return jobCanceled
	}
	switch r.State {
	case builder.StatusPending:
		if r.Run != nil && r.Run.State == builder.RunRunning {
			return jobRunning
		}
		return jobPending
	case builder.StatusWaiting:
		return jobPending
	case builder.StatusSuccess:
		return jobSuccess
	case builder.StatusError:
		if r.Run == nil && !toMend(r.Decision) {
			return jobCanceled
		}
	}
	return jobFailed
}

// toMend reports whether an error is somebody's to mend, rather than of
// builds that were cancelled or superseded.
func toMend(d *builder.Decision) bool {
	if d == nil {
		return false
	}
	for _, r := range d.Reasons {
		if r.Error {
			return true
		}
	}
	return len(d.Invalid) > 0 || d.Failure != nil
}
