package github

import (
	"context"
	"fmt"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/markdown"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// Limits of statuses: https://docs.github.com/rest/commits/statuses
const (
	maxDescription  = 140  // characters
	maxStatuses     = 1000 // of one commit and context
	statusesReserve = 100  // of them, for results
)

// posted is what the newest status of a commit and context says.
type posted struct {
	telling.Order
	Phase string `json:"phase"`
	Text  string `json:"text,omitempty"`
	Count int    `json:"count"` // of all that were posted
}

// status posts a commit status when the state has changed. How a build goes
// on within a state is for the check run: statuses are counted.
// https://docs.github.com/rest/commits/statuses#create-a-commit-status
func (a *App) status(ctx context.Context, r builder.Report) error {
	key := "github:status/" + telling.Subject(r)
	var last posted
	if _, err := a.ledger().Recall(ctx, key, &last); err != nil {
		return err
	}
	next := posted{Order: telling.OrderOf(r), Phase: telling.Phase(r), Count: last.Count + 1}
	if telling.Ended(r) {
		next.Text = r.Description
	}
	switch {
	case last.Outdates(r), last.Phase == next.Phase && last.Text == next.Text:
		return nil
	case next.Count > maxStatuses, next.Count > maxStatuses-statusesReserve && !telling.Ended(r):
		a.Log.Debug("status not posted: GitHub takes no more of them", "commit", r.Commit, "context", r.Context)
		return nil
	}
	client, err := a.client(ctx, r.Repository, need{"statuses": "write"})
	if err != nil {
		return err
	}
	status := &github.RepoStatus{
		State: github.String(statusState(r.State)), Context: github.String(r.Context),
		Description: github.String(markdown.Clip(markdown.OneLine(telling.Steady(r)), maxDescription)),
	}
	if r.BuildID != "" {
		status.TargetURL = github.String(a.BuildURL(r.BuildID))
	}
	if _, _, err := client.Repositories.CreateStatus(repeatable(ctx), r.Repository.Owner, r.Repository.Name, r.Commit, status); err != nil {
		return fmt.Errorf("status %s of %s: %w", r.Context, r.Commit, err)
	}
	return a.ledger().Remember(ctx, key, next)
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
