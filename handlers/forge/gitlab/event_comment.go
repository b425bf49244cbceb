package gitlab

import (
	"fmt"
	"strconv"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// readNote reads what people write on a merge request or a commit, or on a line
// of them.
// https://docs.gitlab.com/user/project/integrations/webhook_events/#comment-events
func readNote(d delivery) ([]builder.Event, error) {
	on := text(d.Object.Get("noteable_type"))
	if on != "MergeRequest" && on != "Commit" {
		return nil, d.ignore("neither on a merge request nor on a commit")
	}
	body := text(d.Object.Get("note"))
	if why := d.unheard(body); why != "" {
		return nil, d.ignore(why)
	}
	repo, err := d.repository()
	if err != nil {
		return nil, err
	}
	id := number(d.Object.Get("id"))
	if id <= 0 || d.User.Username == "" {
		return nil, forge.BrokenPayload("the note has no id or author")
	}
	e := builder.Event{
		ID: commentID(repo, id), Kind: builder.Commanded, Repository: repo, Actor: d.User.Username,
		Command: &builder.Command{Source: builder.FromComment, Comment: strconv.FormatInt(id, 10), Body: body},
	}
	if on == "Commit" {
		if e.Commit, err = forge.ExistingCommit(text(d.Object.Get("commit_id"))); err != nil {
			return nil, err
		}
		return []builder.Event{e}, nil
	}
	m := scanMerge(d.MergeRequest)
	if m.IID <= 0 || m.IID > 1<<31 || m.TargetProject != d.Project.ID {
		return nil, forge.BrokenPayload("the note's merge request has no number, or is another project's")
	}
	e.Command.Pull = int(m.IID)
	return []builder.Event{e}, nil
}

// unheard says why a note cannot be a command, "" when it may be one. An edited
// note is none: what was agreed to must not change afterwards. Servers before
// 16.11 tell of new ones only, and do not say so.
func (d delivery) unheard(body string) string {
	switch {
	case d.Action != "" && d.Action != "create":
		return "only new notes are commands"
	case d.Object.Get("system").Bool():
		return "written by GitLab"
	case d.event == "confidential_note" || d.Object.Get("internal").Bool() || d.Object.Get("confidential").Bool():
		return "an internal note; what we answer is for everybody"
	case d.forge.isBot(d.User.Username):
		return "written by a bot"
	case !forge.Slashed(body):
		return "no command"
	}
	return ""
}

// commentID names the event of a note. A note is carried out once, however it
// is delivered, and also when it is found by looking for it. Ids of notes are the
// server's, for merge requests and commits alike, and count upwards: without
// the project's, another project's webhook could use up those to come.
func commentID(repo builder.Repository, note int64) string {
	return fmt.Sprintf("%s:note-%s-%d", repo.Forge, repo.ID, note)
}
