package gitlab

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/registry-build/registry-build/builder"
)

// about is where a report belongs in GitLab's words.
type about struct {
	project int
	ref     string        // branch or tag; "" where there is none in the project, or it is not known
	branch  bool          // the ref is a branch of the project
	pull    *builder.Pull // the merge request; nil: none that the report knows of
}

// about finds out where a report belongs. The commit of a merge request is at
// its source branch, for GitLab as for people: a branch that is built by
// itself and its merge request share their statuses.
func (f *Forge) about(ctx context.Context, r builder.Report) (about, error) {
	project, err := projectID(r.Repository)
	if err != nil {
		return about{}, err
	}
	a := about{project: project}
	number, known := pullOf(r)
	if a.pull = known; known == nil && number > 0 {
		pull, err := f.Pull(ctx, r.Repository, number)
		switch {
		case errors.Is(err, builder.ErrNotFound): // it was deleted
		case err != nil:
			return about{}, fmt.Errorf("merge request %d: %w", number, err)
		default:
			a.pull = &pull
		}
	}
	switch {
	case a.pull != nil && a.pull.Fork:
	case a.pull != nil:
		a.ref, a.branch = a.pull.HeadBranch, a.pull.HeadBranch != ""
	default:
		if a.ref, a.branch = strings.CutPrefix(r.Ref, "refs/heads/"); !a.branch {
			if tag, ok := strings.CutPrefix(r.Ref, "refs/tags/"); ok {
				a.ref = tag
			} else {
				a.ref = ""
			}
		}
	}
	return a, nil
}

// pullOf is the merge request that a report is about, 0 for none. What is
// known of it is what the event, or the build, found.
func pullOf(r builder.Report) (number int, known *builder.Pull) {
	if b := r.Record; b != nil {
		if b.Pull != nil {
			return b.Pull.Number, b.Pull
		}
		number, _ = builder.ParsePullRef(b.Ref)
		return number, nil
	}
	if r.Event != nil && r.Event.Pull != nil {
		return r.Event.Pull.Number, r.Event.Pull
	}
	if d := r.Decision; d != nil {
		for _, b := range d.Builds {
			if b.Pull != nil && b.StatusCommit() == r.Commit {
				return b.Pull.Number, b.Pull
			}
		}
	}
	number, _ = builder.ParsePullRef(r.Ref)
	return number, nil
}

// source names the branch that a report is about, for as long as it is there:
// of the project, or of a fork, whose merge request stands for it. "" for
// what is no branch.
func (a about) source() string {
	switch {
	case a.pull != nil && a.pull.Fork:
		return builder.PullRef(a.pull.Number)
	case a.branch:
		return "refs/heads/" + a.ref
	}
	return ""
}
