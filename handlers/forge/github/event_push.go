package github

import (
	"cmp"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// Branches that a merge queue makes; merge_group tells of them.
const mergeQueue = "refs/heads/gh-readonly-queue/"

// readPush reads the move of one branch or tag.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
func readPush(d delivery) ([]builder.Event, error) {
	p, err := scanPush(d.body)
	if err != nil {
		return nil, err
	}
	repo, err := p.of()
	if err != nil {
		return nil, err
	}
	before, err := forge.ReadCommit(p.Before)
	if err != nil {
		return nil, err
	}
	after, err := forge.ReadCommit(p.After)
	if err != nil {
		return nil, err
	}
	e := builder.Event{ID: d.eventID(p.Ref), Repository: repo, Ref: p.Ref, Actor: cmp.Or(p.Sender.Login, p.Pusher)}
	name, isBranch := strings.CutPrefix(p.Ref, "refs/heads/")
	if !isBranch {
		var isTag bool
		if name, isTag = strings.CutPrefix(p.Ref, "refs/tags/"); !isTag {
			return nil, d.ignore("", "neither a branch nor a tag")
		}
	}
	switch {
	case name == "" || before == "" && after == "":
		return nil, forge.BrokenPayload("push: ref %.100q went from nothing to nothing", p.Ref)
	case strings.HasPrefix(p.Ref, mergeQueue):
		return nil, d.ignore("", "merge_group tells of the merge queue")
	case isBranch && after == "":
		e.Kind, e.Before = builder.BranchDeleted, before
	case isBranch:
		e.Kind, e.Before, e.Commit = builder.BranchPushed, before, after
	// Before and after of an annotated tag are tag objects; the commit is the
	// head commit's. Where the tag stood before is not told, then.
	case after == "":
		e.Kind = builder.TagDeleted
	case p.HeadCommit == "":
		return nil, d.ignore("", "the tag names no commit")
	default:
		e.Kind = builder.TagPushed
		if e.Commit, err = forge.ExistingCommit(p.HeadCommit); err != nil {
			return nil, err
		}
	}
	return []builder.Event{e}, nil
}
