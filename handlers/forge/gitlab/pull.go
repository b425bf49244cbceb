package gitlab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const (
	diffWait = 3 * time.Second // GitLab reads a new merge request's commits behind the scenes
	diffSoon = 5 * time.Minute // and is done with it by then
)

// mergeRequest is what we need to know of a merge request, as both the one and
// the list have it.
type mergeRequest struct {
	IID             int       `json:"iid"`
	State           string    `json:"state"` // opened, closed, merged; locked while it is being merged
	SHA             string    `json:"sha"`   // of the head; "" while it is not known yet
	SourceBranch    string    `json:"source_branch"`
	TargetBranch    string    `json:"target_branch"`
	SourceProjectID int       `json:"source_project_id"` // 0: the fork was deleted
	TargetProjectID int       `json:"target_project_id"`
	CreatedAt       time.Time `json:"created_at"`
	Author          struct {
		Username string `json:"username"`
	} `json:"author"`
	DiffRefs struct {
		Base string `json:"base_sha"`
	} `json:"diff_refs"` // not in lists
}

// Pull implements builder.Forge: a merge request by its iid. It has no Merge:
// GitLab makes no commit of the would-be merge that everybody may fetch.
// https://docs.gitlab.com/api/merge_requests/#get-single-mr
func (f *Forge) Pull(ctx context.Context, repo builder.Repository, number int) (builder.Pull, error) {
	id, err := projectID(repo)
	if err != nil {
		return builder.Pull{}, err
	}
	if number <= 0 {
		return builder.Pull{}, fmt.Errorf("merge request %s!%d: %w", repo.FullName(), number, builder.ErrNotFound)
	}
	var mr mergeRequest
	if _, err := f.get(ctx, fmt.Sprintf("projects/%d/merge_requests/%d", id, number), nil, &mr); err != nil {
		return builder.Pull{}, closedToUs(fmt.Errorf("merge request %s!%d: %w", repo.FullName(), number, err))
	}
	if mr.open() && mr.SHA == "" {
		if f.Now().Sub(mr.CreatedAt) < diffSoon {
			return builder.Pull{}, fmt.Errorf("merge request %s!%d: %w", repo.FullName(), number,
				builder.Later{Wait: diffWait, Reason: "GitLab has not read its commits yet"})
		}
		return builder.Pull{}, fmt.Errorf("merge request %s!%d has no commits: %w", repo.FullName(), number, builder.ErrNotFound)
	}
	return f.pullOf(ctx, repo, mr, map[int]string{})
}

func (mr mergeRequest) open() bool { return mr.State == "opened" || mr.State == "locked" }

// fork reports whether the head is in another project.
func (mr mergeRequest) fork() bool { return mr.SourceProjectID != mr.TargetProjectID }

// pullOf is the merge request in our words. owners are of the forks that were
// asked for already.
func (f *Forge) pullOf(ctx context.Context, repo builder.Repository, mr mergeRequest, owners map[int]string) (builder.Pull, error) {
	p := builder.Pull{
		Number: mr.IID, Author: mr.Author.Username,
		HeadBranch: mr.SourceBranch, Head: mr.SHA, BaseBranch: mr.TargetBranch, Base: mr.DiffRefs.Base,
		Fork: mr.fork(), HeadOwner: repo.Owner,
		Open: mr.open(), Merged: mr.State == "merged",
	}
	if !p.Fork {
		return p, nil
	}
	owner, known := owners[mr.SourceProjectID]
	if !known {
		var err error
		if owner, err = f.ownerOf(ctx, mr.SourceProjectID); err != nil {
			return builder.Pull{}, fmt.Errorf("fork of merge request %s!%d: %w", repo.FullName(), mr.IID, err)
		}
		owners[mr.SourceProjectID] = owner
	}
	// Builds of forks are kept apart by their owners, so there is always one.
	if p.HeadOwner = owner; owner == "" {
		p.HeadOwner = p.Author
	}
	return p, nil
}

// ownerOf returns the namespace of a fork, "" of one that is gone or private.
func (f *Forge) ownerOf(ctx context.Context, id int) (string, error) {
	if id <= 0 {
		return "", nil
	}
	path, err := f.pathOf(once(ctx), id, "")
	if errors.Is(err, builder.ErrNotFound) || errors.Is(err, builder.ErrDenied) {
		return "", nil
	}
	namespace, _ := splitPath(path)
	return namespace, err
}
