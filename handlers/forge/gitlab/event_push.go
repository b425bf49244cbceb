package gitlab

import (
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// readPush reads the move of one branch or tag. GitLab makes one delivery for
// each, and none at all for a push of more than three (push_event_hooks_limit).
// https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events
// https://docs.gitlab.com/user/project/integrations/webhook_events/#tag-events
func readPush(d delivery) ([]builder.Event, error) {
	repo, err := d.repository()
	if err != nil {
		return nil, err
	}
	before, err := forge.ReadCommit(d.Before)
	if err != nil {
		return nil, err
	}
	after, err := forge.ReadCommit(d.After)
	if err != nil {
		return nil, err
	}
	e := builder.Event{ID: d.eventID(d.Ref), Repository: repo, Ref: d.Ref, Actor: d.User.Username}
	name, isBranch := strings.CutPrefix(d.Ref, "refs/heads/")
	if !isBranch {
		var isTag bool
		if name, isTag = strings.CutPrefix(d.Ref, "refs/tags/"); !isTag {
			return nil, d.ignore("neither a branch nor a tag")
		}
	}
	switch {
	case name == "" || before == "" && after == "":
		return nil, forge.BrokenPayload("ref %.100q went from nothing to nothing", d.Ref)
	case isBranch && after == "":
		e.Kind, e.Before = builder.BranchDeleted, before
	case isBranch:
		e.Kind, e.Before, e.Commit = builder.BranchPushed, before, after
	// Before and after of an annotated tag are tag objects; the commit is what
	// GitLab checks out. Where the tag stood before is not told, then.
	case after == "":
		e.Kind = builder.TagDeleted
	case d.Checkout == "":
		return nil, d.ignore("the tag names no commit, or is gone again")
	default:
		e.Kind = builder.TagPushed
		if e.Commit, err = forge.ExistingCommit(d.Checkout); err != nil {
			return nil, err
		}
	}
	return []builder.Event{e}, nil
}

// readDestroyed reads that a project is gone, which system hooks and groups'
// webhooks tell. New names come with the next event: nothing binds to the old.
// https://docs.gitlab.com/administration/system_hooks/#project-destroyed
func readDestroyed(d delivery) ([]builder.Event, error) {
	repo, err := d.repository()
	if err != nil {
		return nil, err
	}
	return []builder.Event{{
		ID: d.eventID("") + "-" + repo.ID, Kind: builder.Installation, Repository: repo, Withdrawn: true,
	}}, nil
}
