package github

import (
	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

type payloadPull struct {
	State  string      `json:"state"`
	Merged bool        `json:"merged"`
	User   payloadUser `json:"user"`
	Head   payloadSide `json:"head"`
	Base   payloadSide `json:"base"`
}

// side is where a pull request comes from, or goes to.
type payloadSide struct {
	Ref  string             `json:"ref"` // a branch's name
	SHA  string             `json:"sha"`
	User payloadUser        `json:"user"` // null where the account is gone
	Repo *payloadRepository `json:"repo"` // null where the fork is gone
}

// readPull reads what moves the head or the base of a pull request, or closes
// it.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request
func readPull(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		Number  int         `json:"number"`
		Before  string      `json:"before"` // of synchronize
		Pull    payloadPull `json:"pull_request"`
		Changes struct {
			Base *struct{} `json:"base"`
		} `json:"changes"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	kind := builder.PullChanged
	switch p.Action {
	case "opened", "reopened", "synchronize":
	case "edited":
		if p.Changes.Base == nil {
			return nil, d.ignore(p.Action, "the base is the same")
		}
	case "closed":
		kind = builder.PullClosed
	default:
		return nil, d.ignore(p.Action, "no commit has moved")
	}
	repo, err := p.of()
	if err != nil {
		return nil, err
	}
	pull, err := p.Pull.read(p.Number, p.Repository.ID)
	if err != nil {
		return nil, err
	}
	ref := builder.PullRef(p.Number)
	e := builder.Event{
		ID: d.eventID(ref), Kind: kind, Repository: repo, Ref: ref, Commit: pull.Head, Actor: p.Sender.Login, Pull: &pull,
	}
	if p.Action == "synchronize" && p.Before != "" {
		if e.Before, err = forge.ReadCommit(p.Before); err != nil {
			return nil, err
		}
	}
	return []builder.Event{e}, nil
}

// read leaves out the would-be merge commit: GitHub makes it after it has
// told us, and what the payload has is of the head before.
func (p payloadPull) read(number int, repository int64) (builder.Pull, error) {
	if number <= 0 || p.Base.Ref == "" {
		return builder.Pull{}, forge.BrokenPayload("the pull request has no number or base")
	}
	head, err := forge.ExistingCommit(p.Head.SHA)
	if err != nil {
		return builder.Pull{}, err
	}
	base, err := forge.ReadCommit(p.Base.SHA)
	if err != nil {
		return builder.Pull{}, err
	}
	pull := builder.Pull{
		Number: number, Author: p.User.Login, HeadBranch: p.Head.Ref, Head: head, BaseBranch: p.Base.Ref, Base: base,
		Fork:      p.Head.Repo == nil || p.Head.Repo.ID != repository,
		HeadOwner: p.Head.User.Login, Open: p.State == "open", Merged: p.Merged,
	}
	if p.Head.Repo != nil && p.Head.Repo.Owner.Login != "" {
		pull.HeadOwner = p.Head.Repo.Owner.Login
	}
	return pull, nil
}

// readMergeGroup reads that a merge queue waits for its would-be merge.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#merge_group
func readMergeGroup(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		Group struct {
			HeadSHA string `json:"head_sha"`
			HeadRef string `json:"head_ref"` // whole: refs/heads/gh-readonly-queue/…
			BaseSHA string `json:"base_sha"`
		} `json:"merge_group"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	if p.Action != "checks_requested" {
		return nil, d.ignore(p.Action, "")
	}
	repo, err := p.of()
	if err != nil {
		return nil, err
	}
	head, err := forge.ExistingCommit(p.Group.HeadSHA)
	if err != nil {
		return nil, err
	}
	base, err := forge.ReadCommit(p.Group.BaseSHA)
	if err != nil {
		return nil, err
	}
	if len(p.Group.HeadRef) <= len("refs/heads/") || p.Group.HeadRef[:len("refs/heads/")] != "refs/heads/" {
		return nil, forge.BrokenPayload("merge_group: %.100q is no branch", p.Group.HeadRef)
	}
	return []builder.Event{{
		ID: d.eventID(p.Group.HeadRef), Kind: builder.MergeQueued, Repository: repo, Ref: p.Group.HeadRef,
		Before: base, Commit: head, Actor: p.Sender.Login,
	}}, nil
}
