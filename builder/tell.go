package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// reportEvent tells everybody what an event came to: its commit, the commits
// of what a command built, and the thread of the pull request.
func (c *Courier) reportEvent(ctx context.Context, id string) error {
	e, err := c.Records.Event(ctx, id)
	if err != nil {
		return err
	}
	d, err := c.Records.Decision(ctx, id)
	if err != nil {
		return err
	}
	commits := []string{}
	if e.Commit != "" && (e.Command == nil || len(d.Builds) > 0) && !quiet(e, d) {
		commits = append(commits, e.Commit)
	}
	if d.Approve != nil { // what it waits for has come, also where nothing builds
		commits = append(commits, d.Approve.Commit)
	}
	for _, b := range d.Builds {
		if commit := b.StatusCommit(); commit != "" && !slices.Contains(commits, commit) {
			commits = append(commits, commit)
		}
	}
	var later error // a check that can wait holds up no answer to a person
	for _, commit := range commits {
		err := errors.Join(c.reportUnchanged(ctx, e, d, commit), c.reportAggregate(ctx, e, d, commit))
		if err != nil && !errors.As(err, new(Later)) {
			return err
		}
		later = errors.Join(later, err)
	}
	return errors.Join(later, c.talk(ctx, e, d))
}

// quiet reports whether the event's own commit has nothing to be told: the
// repository does not use us, or nothing was pushed.
func quiet(e Event, d Decision) bool {
	return d.Hint != "" && d.Suggestion == nil || e.Kind == PullClosed || e.Kind == Installation
}

// reportUnchanged gives the images that `paths` left out their success.
func (c *Courier) reportUnchanged(ctx context.Context, e Event, d Decision, commit string) error {
	for _, r := range d.Reasons {
		if !r.Unchanged {
			continue
		}
		err := c.report(ctx, Report{
			Repository: e.Repository, Ref: e.Ref, Commit: commit, EventID: e.ID, Seq: e.Seq,
			Context: AggregateContext + "/" + r.Image, State: StatusSuccess, Description: oneLine("unchanged", r.Message),
			Decision: &d, Event: &e,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reportAggregate tells how all images of a commit fare together.
func (c *Courier) reportAggregate(ctx context.Context, e Event, d Decision, commit string) error {
	at := time.Now().UTC() // before anything is read, so that of two reports the one that read later wins
	state, text, seq, err := c.aggregate(ctx, e, d, commit)
	if err != nil {
		return err
	}
	return c.report(ctx, Report{
		Repository: e.Repository, Ref: e.Ref, Commit: commit, EventID: e.ID, Seq: seq,
		Context: AggregateContext, State: state, Description: text, UpdatedAt: at, Decision: &d, Event: &e,
	})
}

// reportBuild tells the commit how one image fares, and then all of them.
func (c *Courier) reportBuild(ctx context.Context, id string) error {
	at := time.Now().UTC()
	r, err := c.Records.Build(ctx, id)
	if err != nil {
		return err
	}
	if r.StatusCommit() == "" {
		return nil
	}
	e, err := c.Records.Event(ctx, r.EventID)
	if err != nil {
		return err
	}
	d, err := c.Records.Decision(ctx, r.EventID)
	if err != nil {
		return err
	}
	err = c.report(ctx, Report{
		Repository: r.Repository, Ref: r.Ref, Commit: r.StatusCommit(), BuildID: r.ID, EventID: r.EventID, Seq: r.Seq,
		Context: r.StatusContext(), State: statusOf(r.State), Description: Describe(r), UpdatedAt: at, Record: &r, Event: &e,
	})
	var later Later
	if err != nil && !errors.As(err, &later) {
		return err
	}
	return errors.Join(err, c.reportAggregate(ctx, e, d, r.StatusCommit()))
}

// report keeps a report and hands it to its forge, if that has anybody to tell.
func (c *Courier) report(ctx context.Context, r Report) error {
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = time.Now().UTC()
	}
	newest, err := c.Told.PutStatus(ctx, r)
	if err != nil {
		return err
	}
	r.Newest = newest
	reporter, ok := c.Reporters[r.Repository.Forge]
	if !ok || !newest && r.Record == nil {
		return nil
	}
	return reporter.Report(ctx, r)
}

// talk answers commands, and says on a pull request what a status has no room
// for.
func (c *Courier) talk(ctx context.Context, e Event, d Decision) error {
	commenter, ok := c.Reporters[e.Repository.Forge].(Commenter)
	if !ok {
		return nil
	}
	thread := Thread{Repository: e.Repository}
	var remarks []Remark
	switch {
	case e.Command != nil && d.Answer != nil:
		thread.Pull, thread.Commit = e.Command.Pull, e.Commit
		if e.Command.Source == FromComment {
			remarks = append(remarks, Remark{Topic: e.ID, Command: e.Command.Text, By: e.Actor, Text: d.Answer.Text, Seq: e.Seq, At: e.AcceptedAt})
		}
		if d.Approve != nil {
			remarks = append(remarks, Remark{Topic: TopicFork, Seq: e.Seq, At: e.AcceptedAt})
		}
	case e.Kind == PullChanged && e.Pull != nil:
		thread.Pull = e.Pull.Number
		remarks = append(remarks,
			Remark{Topic: TopicFork, Text: forkText(e, d), Seq: e.Seq, At: e.AcceptedAt},
			Remark{Topic: TopicChanges, Text: changesText(d.Changes), Seq: e.Seq, At: e.AcceptedAt})
	}
	if len(remarks) == 0 {
		return nil
	}
	if err := c.say(ctx, commenter, thread, remarks...); err != nil {
		return err
	}
	if e.Command != nil && e.Command.Comment != "" {
		return commenter.React(ctx, e.Repository, *e.Command, d.Answer.Refused)
	}
	return nil
}

// say adds remarks to a thread and shows it. A thread without any has no
// comment yet, and gets none for nothing.
func (c *Courier) say(ctx context.Context, to Commenter, t Thread, remarks ...Remark) error {
	if t.Pull > 0 {
		t.Commit = ""
	}
	shown, err := c.Told.Remark(ctx, t, remarks...)
	if err != nil {
		return err
	}
	nothing := true
	for _, r := range remarks {
		nothing = nothing && r.Text == ""
	}
	if nothing && len(shown.Remarks) == 0 && !shown.Shown {
		return nil
	}
	return to.Show(ctx, shown)
}

func forkText(e Event, d Decision) string {
	if d.Unapproved == "" {
		return ""
	}
	return fmt.Sprintf("This comes from a fork, so nothing is built until somebody who can write to %s has read the changes and writes:\n\n```\n/%s %s\n```\n\nThat holds for this one commit. It is built without secrets and without a network, and nothing is pushed.",
		e.Repository.FullName(), CommandOkToBuild, d.Unapproved)
}

func changesText(changes []Change) string {
	if len(changes) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Merging this changes what `%s` builds:\n", buildFileName)
	for _, ch := range changes {
		// Whoever opened the pull request chose these texts.
		fmt.Fprintf(&b, "\n- %s %s: %s", quote(ch.Image), ch.Kind, quote(ch.Text))
	}
	return b.String()
}
