package github

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
)

// Limits of statuses: https://docs.github.com/rest/commits/statuses
const (
	maxDescription  = 140  // characters
	maxStatuses     = 1000 // of one commit and context
	statusesReserve = 100  // of them, for results
)

// posted is what the newest status of a commit and context says.
type posted struct {
	order
	Phase string `json:"phase"`
	Text  string `json:"text,omitempty"`
	Count int    `json:"count"` // of all that were posted
}

// order puts reports of one subject in order.
type order struct {
	Seq int64     `json:"seq,omitempty"` // of the report
	At  time.Time `json:"at,omitzero"`
}

// outdates reports whether what was told is newer than the report. A build
// ends once: its end is the newest, whatever the clocks of two machines say.
func (o order) outdates(r builder.Report) bool {
	if o.Seq != r.Seq {
		return o.Seq > r.Seq
	}
	return o.At.After(r.UpdatedAt) && (r.Record == nil || !ended(r))
}

// status posts a commit status when the state has changed. How a build goes
// on within a state is for the check run: statuses are counted.
// https://docs.github.com/rest/commits/statuses#create-a-commit-status
func (a *App) status(ctx context.Context, r builder.Report) error {
	key := "github:status/" + subjectOf(r)
	var last posted
	if _, err := a.recall(ctx, key, &last); err != nil {
		return err
	}
	next := posted{order: order{r.Seq, r.UpdatedAt}, Phase: phaseOf(r), Count: last.Count + 1}
	if ended(r) {
		next.Text = r.Description
	}
	switch {
	case last.outdates(r), last.Phase == next.Phase && last.Text == next.Text:
		return nil
	case next.Count > maxStatuses, next.Count > maxStatuses-statusesReserve && !ended(r):
		a.Log.Debug("status not posted: GitHub takes no more of them", "commit", r.Commit, "context", r.Context)
		return nil
	}
	client, err := a.client(ctx, r.Repository, need{"statuses": "write"})
	if err != nil {
		return err
	}
	status := &github.RepoStatus{
		State: github.String(statusState(r.State)), Context: github.String(r.Context),
		Description: github.String(clip(oneLine(steady(r)), maxDescription)),
	}
	if r.BuildID != "" {
		status.TargetURL = github.String(a.BuildURL(r.BuildID))
	}
	if _, _, err := client.Repositories.CreateStatus(repeatable(ctx), r.Repository.Owner, r.Repository.Name, r.Commit, status); err != nil {
		return fmt.Errorf("status %s of %s: %w", r.Context, r.Commit, err)
	}
	return a.remember(ctx, key, next)
}

// phaseOf is what a status changes with.
func phaseOf(r builder.Report) string {
	if r.Run != nil { // another attempt in the same state is news; how far it is, is not
		return r.BuildID + "/" + string(r.State)
	}
	if r.Record == nil {
		return string(r.State)
	}
	return r.BuildID + "/" + attemptOf(*r.Record) + "/" + string(r.Record.State)
}

// steady is the description without what changes within a state: a step would
// stand there until the end.
func steady(r builder.Report) string {
	if r.Record == nil || ended(r) {
		return r.Description
	}
	b := *r.Record
	b.Steps = nil
	return builder.Describe(b)
}

// statusState is the state in GitHub's words.
func statusState(s builder.ReportState) string {
	switch s {
	case builder.StatusWaiting:
		return "pending"
	case builder.StatusNeutral:
		return "success"
	}
	return string(s)
}
