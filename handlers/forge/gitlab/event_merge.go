package gitlab

import (
	"cmp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// payloadMerge is a merge request.
type payloadMerge struct {
	IID                          int64
	State                        string // opened, closed, locked, merged
	OldRev                       string // where its branch stood before a push
	SourceBranch, TargetBranch   string
	SourceProject, TargetProject int64
	SourcePath                   string // of the project; "" where the fork is gone
	LastCommit                   string // "" where the branch is gone, or has none of its own
	Author                       int64
}

func scanMerge(value gjson.Result) payloadMerge {
	var m payloadMerge
	value.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "iid":
			m.IID = number(value)
		case "state":
			m.State = text(value)
		case "oldrev":
			m.OldRev = text(value)
		case "source_branch":
			m.SourceBranch = text(value)
		case "target_branch":
			m.TargetBranch = text(value)
		case "source_project_id":
			m.SourceProject = number(value)
		case "target_project_id":
			m.TargetProject = number(value)
		case "source":
			m.SourcePath = text(value.Get("path_with_namespace"))
		case "last_commit":
			m.LastCommit = text(value.Get("id"))
		case "author_id":
			m.Author = number(value)
		}
		return true
	})
	return m
}

// readMergeRequest reads what moves the head or the target of a merge request,
// or ends it. Approvals, labels, drafts and the like change neither.
// https://docs.gitlab.com/user/project/integrations/webhook_events/#merge-request-events
func readMergeRequest(d delivery) ([]builder.Event, error) {
	m := scanMerge(d.Object)
	kind := builder.PullChanged
	switch d.Action {
	case "open", "reopen":
	case "update":
		if m.OldRev == "" && !d.Changes.Get("target_branch").Exists() {
			return nil, d.ignore("no commit has moved")
		}
	case "close", "merge":
		kind = builder.PullClosed
	case "":
		return nil, d.ignore("it does not say what was done")
	default:
		return nil, d.ignore("no commit has moved")
	}
	repo, err := d.repository()
	if err != nil {
		return nil, err
	}
	pull, err := d.pull(m)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == builder.PullClosed:
	case pull.Head == "":
		return nil, d.ignore("it has no commit")
	case !pull.Open:
		return nil, d.ignore("it is closed")
	}
	ref := builder.PullRef(pull.Number)
	e := builder.Event{
		ID: d.eventID(ref), Kind: kind, Repository: repo, Ref: ref, Commit: pull.Head, Actor: d.User.Username, Pull: &pull,
	}
	if d.Action == "update" && m.OldRev != "" {
		if e.Before, err = forge.ReadCommit(m.OldRev); err != nil {
			return nil, err
		}
	}
	return []builder.Event{e}, nil
}

// pull reads a merge request. The payload names its author by number only, so
// that is known when it is who did it. Old servers do not tell their numbers.
func (d delivery) pull(m payloadMerge) (builder.Pull, error) {
	if m.IID <= 0 || m.IID > 1<<31 || m.TargetBranch == "" || m.SourceBranch == "" || m.TargetProject <= 0 {
		return builder.Pull{}, forge.BrokenPayload("the merge request has no number, source or target")
	}
	if m.TargetProject != d.Project.ID {
		return builder.Pull{}, forge.BrokenPayload("the merge request is project %d's, not project %d's", m.TargetProject, d.Project.ID)
	}
	p := builder.Pull{
		Number: int(m.IID), HeadBranch: m.SourceBranch, BaseBranch: m.TargetBranch,
		Fork: m.SourceProject != m.TargetProject, Open: m.State == "opened" || m.State == "locked", Merged: m.State == "merged",
	}
	if d.User.ID != 0 && d.User.ID == m.Author {
		p.Author = d.User.Username
	}
	if slash := strings.LastIndexByte(m.SourcePath, '/'); slash > 0 && validPath(m.SourcePath) {
		p.HeadOwner = m.SourcePath[:slash]
	}
	p.HeadOwner = cmp.Or(p.HeadOwner, p.Author)
	if m.LastCommit != "" {
		var err error
		if p.Head, err = forge.ReadCommit(m.LastCommit); err != nil {
			return builder.Pull{}, err
		}
	}
	return p, nil
}
