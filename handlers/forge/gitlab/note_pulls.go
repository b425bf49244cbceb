package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

const (
	// pullsKept is how long it is taken for granted which merge requests a
	// branch has: a build is reported many times.
	pullsKept  = time.Minute
	noPullKept = 5 * time.Second
	// maxPulls is how many merge requests of one commit are told of it.
	maxPulls = 5
)

// shownOn is a merge request that a report is about. head says that the
// report's commit is its newest, for sure.
type shownOn struct {
	pull int
	head bool
}

// shownOn returns the merge requests that a report is about: the one that was
// built, and the open ones from a branch whose head is the commit.
func (f *Forge) shownOn(ctx context.Context, r builder.Report) ([]shownOn, error) {
	var all []shownOn
	branch, _ := strings.CutPrefix(r.Ref, "refs/heads/")
	if branch == r.Ref {
		branch = ""
	}
	number, known := pullOf(r)
	if e := r.Event; number == 0 && e != nil && e.Command != nil {
		number = e.Command.Pull
	}
	if number > 0 {
		e := r.Event
		head := e != nil && e.Kind == builder.PullChanged && e.Pull != nil && e.Pull.Number == number && e.Pull.Head == r.Commit
		all = append(all, shownOn{number, head})
	}
	if known != nil && !known.Fork && known.HeadBranch != "" {
		branch = known.HeadBranch
	}
	if branch == "" {
		return all, nil
	}
	pulls, err := f.pullsFrom(ctx, r, branch)
	for _, p := range pulls {
		if i := slices.IndexFunc(all, func(s shownOn) bool { return s.pull == p }); i >= 0 {
			all[i].head = true
		} else {
			all = append(all, shownOn{p, true})
		}
	}
	return all, err
}

// pullsFrom remembers for a while what branchPulls says.
func (f *Forge) pullsFrom(ctx context.Context, r builder.Report, branch string) ([]int, error) {
	key := f.ledger.Key("merges/" + r.Repository.Key() + "@" + r.Commit + "/" + branch)
	var pulls []int
	known, err := f.ledger.Recall(ctx, key, &pulls)
	if err != nil || known && (len(pulls) > 0 || !telling.Ended(r)) {
		return pulls, err
	}
	if pulls, err = f.branchPulls(ctx, r, branch); err != nil {
		return nil, err
	}
	keep := pullsKept
	if len(pulls) == 0 {
		keep = noPullKept
	}
	text, err := json.Marshal(pulls)
	if err != nil {
		return nil, err
	}
	return pulls, f.Memory.Remember(ctx, key, string(text), keep)
}

// branchPulls asks for the open merge requests of a branch whose head is the
// report's commit.
// https://docs.gitlab.com/api/merge_requests/#list-project-merge-requests
func (f *Forge) branchPulls(ctx context.Context, r builder.Report, branch string) ([]int, error) {
	project, err := projectID(r.Repository)
	if err != nil {
		return nil, nil // it belongs to nobody
	}
	list, _, err := f.api.MergeRequests.ListProjectMergeRequests(project, &gitlab.ListProjectMergeRequestsOptions{
		ListOptions: gitlab.ListOptions{PerPage: notesAtOnce}, State: gitlab.Ptr("opened"), SourceBranch: &branch,
	}, with(ctx))
	switch answeredWith(err) {
	case http.StatusForbidden, http.StatusNotFound:
		return nil, nil // the project has them switched off, or is gone
	}
	if err != nil {
		return nil, fmt.Errorf("merge requests of branch %s: %w", branch, err)
	}
	var pulls []int
	for _, m := range list {
		// A merge request hears of a push a moment after we do.
		late := r.Event != nil && r.Event.Kind == builder.BranchPushed && r.Event.Before != "" && m.SHA == r.Event.Before
		if m.SourceProjectID == project && (m.SHA == r.Commit || late) && len(pulls) < maxPulls {
			pulls = append(pulls, m.IID)
		}
	}
	return pulls, nil
}
