package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/xanzy/go-gitlab"
)

// shutOutFor is how long a fork that did not let us in is left alone.
const shutOutFor = 24 * time.Hour

// aim finds the pipeline that counts. A merge request is gated by one: of the
// pipelines for its head, the newest of those made for merge requests, else
// the newest of its source branch. That may be one of the project's own
// .gitlab-ci.yml, which GitLab makes some seconds after the push, so it is
// looked for again at each state; a job in another one is still brought to its
// end there. Where there is none, GitLab makes one for commit and branch, once
// for all our statuses: it locks the commit meanwhile.
//
// A merge request from a fork shows pipelines of the fork. Statuses go there
// where the token's user may write there, else to our project's commit under
// refs/merge-requests/N/head, where the merge request does not show them: its
// note does.
// https://docs.gitlab.com/ci/pipelines/merge_request_pipelines/
func (p *posting) aim(ctx context.Context) error {
	f, r := p.forge, p.report
	a, err := f.about(ctx, r)
	if err != nil {
		return err
	}
	head, err := f.headPipeline(ctx, a, r.Commit, len(p.told.Jobs) > 0)
	if err != nil {
		return err
	}
	if head != nil {
		for i, j := range p.told.Jobs {
			if j.Project == head.Project && (j.Pipeline == head.Pipeline || j.Pipeline == 0) {
				p.told.Jobs[i].Pipeline, p.head = head.Pipeline, i
				return nil
			}
		}
		p.add(*head)
		return nil
	}
	if len(p.told.Jobs) > 0 {
		p.head = len(p.told.Jobs) - 1
		return nil
	}
	first, err := f.firstJob(ctx, a)
	if err != nil {
		return err
	}
	p.add(first)
	return nil
}

func (p *posting) add(j job) {
	p.told.Jobs = append(p.told.Jobs, j)
	if extra := len(p.told.Jobs) - maxJobs; extra > 0 {
		p.told.Jobs = p.told.Jobs[extra:]
	}
	p.head = len(p.told.Jobs) - 1
}

// unbound is a job for which GitLab finds the pipeline, after the one that was
// known is gone.
func (p *posting) unbound(ctx context.Context) job {
	project := p.project()
	a, err := p.forge.about(ctx, p.report)
	if err != nil {
		return job{Project: project}
	}
	return a.job()
}

// job is one of our project for which GitLab finds the pipeline.
func (a about) job() job {
	if a.pull != nil && a.pull.Fork {
		return job{Project: a.project, Ref: fmt.Sprintf("refs/merge-requests/%d/head", a.pull.Number)}
	}
	return job{Project: a.project, Ref: a.ref}
}

// headPipeline is the pipeline of the commit that counts, nil when there is
// none. GitLab finds that of a ref by itself; only a newer one must be looked
// for.
func (f *Forge) headPipeline(ctx context.Context, a about, commit string, begun bool) (*job, error) {
	var all []*gitlab.PipelineInfo
	var err error
	switch {
	case a.pull != nil:
		all, _, err = f.api.MergeRequests.ListMergeRequestPipelines(a.project, a.pull.Number, with(ctx))
	case begun && a.ref != "":
		all, _, err = f.api.Pipelines.ListProjectPipelines(a.project, &gitlab.ListProjectPipelinesOptions{
			ListOptions: gitlab.ListOptions{PerPage: 1}, SHA: gitlab.Ptr(commit), Ref: gitlab.Ptr(a.ref),
		}, with(ctx))
	}
	switch answeredWith(err) {
	case http.StatusForbidden, http.StatusNotFound:
		return nil, nil // the status itself tells what we may not
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines of %s: %w", commit, err)
	}
	for _, p := range all { // the one that counts first
		if p.SHA != commit {
			continue
		}
		j := job{Project: p.ProjectID, Pipeline: p.ID}
		if j.Project == 0 { // servers before 13.12 do not tell
			j.Project = a.project
		}
		if j.Project != a.project && f.isShutOut(ctx, j.Project) {
			continue
		}
		return &j, nil
	}
	return nil, nil
}

// firstJob is where a commit is told first.
func (f *Forge) firstJob(ctx context.Context, a about) (job, error) {
	if a.pull == nil || !a.pull.Fork {
		return a.job(), nil
	}
	mr, _, err := f.api.MergeRequests.GetMergeRequest(a.project, a.pull.Number, nil, with(ctx))
	switch {
	case answeredWith(err) == http.StatusNotFound:
		return a.job(), nil
	case err != nil:
		return job{}, fmt.Errorf("merge request %d: %w", a.pull.Number, err)
	case mr.SourceProjectID <= 0 || mr.SourceProjectID == a.project || mr.SourceBranch == "" || f.isShutOut(ctx, mr.SourceProjectID):
		return a.job(), nil
	}
	return job{Project: mr.SourceProjectID, Ref: mr.SourceBranch}, nil
}

// shutOut remembers that a fork does not let us tell it anything.
func (f *Forge) shutOut(ctx context.Context, project int) error {
	return f.Memory.Remember(ctx, f.shutOutKey(project), f.Now().UTC().Format(time.RFC3339), shutOutFor)
}

func (f *Forge) isShutOut(ctx context.Context, project int) bool {
	since, err := f.Memory.Recall(ctx, f.shutOutKey(project))
	return err == nil && since != ""
}

func (f *Forge) shutOutKey(project int) string {
	return f.ledger.Key("shutout/" + strconv.Itoa(project))
}
