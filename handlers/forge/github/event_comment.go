package github

import (
	"fmt"
	"strconv"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

type payloadComment struct {
	ID       int64  `json:"id"`
	Body     string `json:"body"`
	CommitID string `json:"commit_id"` // of a commit's comment
}

// readIssueComment reads what people write below a pull request. GitHub calls
// each pull request an issue.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#issue_comment
func readIssueComment(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		Comment payloadComment `json:"comment"`
		Issue   struct {
			Number      int       `json:"number"`
			PullRequest *struct{} `json:"pull_request"`
		} `json:"issue"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	if why := d.app.unheard(p.payload, p.Comment); why != "" {
		return nil, d.ignore(p.Action, why)
	}
	if p.Issue.PullRequest == nil {
		return nil, d.ignore(p.Action, "on an issue")
	}
	if p.Issue.Number <= 0 {
		return nil, forge.BrokenPayload("issue_comment: the pull request has no number")
	}
	return d.commanded(p.payload, p.Comment, p.Issue.Number, "")
}

// readCommitComment reads what people write below a commit, or a line of it.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#commit_comment
func readCommitComment(d delivery) ([]builder.Event, error) {
	var p struct {
		payload
		Comment payloadComment `json:"comment"`
	}
	if err := d.read(&p); err != nil {
		return nil, err
	}
	if why := d.app.unheard(p.payload, p.Comment); why != "" {
		return nil, d.ignore(p.Action, why)
	}
	at, err := forge.ExistingCommit(p.Comment.CommitID)
	if err != nil {
		return nil, err
	}
	return d.commanded(p.payload, p.Comment, 0, at)
}

// unheard says why a comment cannot be a command, "" when it may be one. An
// edited comment is none: what was agreed to must not change afterwards.
func (a *App) unheard(p payload, c payloadComment) string {
	switch {
	case p.Action != "created":
		return "only new comments are commands"
	case a.isBot(p.Sender):
		return "written by a bot"
	case !forge.Slashed(c.Body):
		return "no command"
	}
	return ""
}

func (d delivery) commanded(p payload, c payloadComment, pull int, commit string) ([]builder.Event, error) {
	repo, err := p.of()
	if err != nil {
		return nil, err
	}
	if c.ID <= 0 || p.Sender.Login == "" {
		return nil, forge.BrokenPayload("%s: the comment has no id or author", d.event)
	}
	return []builder.Event{{
		ID: commentID(d.event, c.ID), Kind: builder.Commanded, Repository: repo, Commit: commit, Actor: p.Sender.Login,
		Command: &builder.Command{Source: builder.FromComment, Pull: pull, Comment: strconv.FormatInt(c.ID, 10), Body: c.Body},
	}}, nil
}

// commentID names the event of a comment. A comment is carried out once,
// however it is delivered: what names a delivery is not signed, so whoever
// holds an old one could send it again as another.
func commentID(event string, id int64) string {
	return fmt.Sprintf("%s:%s-%d", Instance, event, id)
}
