package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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

// pullsOf returns the merge requests that a report is about: the one that was
// built, or the open ones whose head is a branch's commit. sure says that the
// commit is their head.
func (f *Forge) pullsOf(ctx context.Context, r builder.Report) (pulls []int, sure bool, err error) {
	if e := r.Event; e != nil && e.Pull != nil && e.Pull.Number > 0 {
		return []int{e.Pull.Number}, e.Kind == builder.PullChanged && e.Pull.Head == r.Commit, nil
	}
	if e := r.Event; e != nil && e.Command != nil && e.Command.Pull > 0 {
		return []int{e.Command.Pull}, false, nil
	}
	if b := r.Record; b != nil && b.Pull != nil && b.Pull.Number > 0 {
		return []int{b.Pull.Number}, false, nil
	}
	if number, ok := builder.ParsePullRef(r.Ref); ok {
		return []int{number}, false, nil
	}
	branch, ok := strings.CutPrefix(r.Ref, "refs/heads/")
	if !ok {
		return nil, false, nil
	}
	key := f.ledger.Key("merges/" + r.Repository.Key() + "@" + r.Commit + "/" + branch)
	known, err := f.ledger.Recall(ctx, key, &pulls)
	if err != nil || known && (len(pulls) > 0 || !telling.Ended(r)) {
		return pulls, true, err
	}
	if pulls, err = f.branchPulls(ctx, r, branch); err != nil {
		return nil, false, err
	}
	keep := pullsKept
	if len(pulls) == 0 {
		keep = noPullKept
	}
	text, err := json.Marshal(pulls)
	if err != nil {
		return nil, false, err
	}
	return pulls, true, f.Memory.Remember(ctx, key, string(text), keep)
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
