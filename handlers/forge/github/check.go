package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
)

// updateEvery is how often a check run is changed while its state stays.
const updateEvery = 5 * time.Second

// Statuses of a check run; a report's state says the conclusion.
const (
	checkQueued     = "queued"
	checkInProgress = "in_progress"
	checkCompleted  = "completed"
)

// checkRun is the body of "create" and "update a check run":
// https://docs.github.com/rest/checks/runs. It is our own because go-github's
// update knows no started_at.
type checkRun struct {
	Name        string                  `json:"name"`
	HeadSHA     string                  `json:"head_sha,omitempty"` // of create
	ExternalID  string                  `json:"external_id,omitempty"`
	DetailsURL  string                  `json:"details_url,omitempty"`
	Status      string                  `json:"status"`
	Conclusion  string                  `json:"conclusion,omitempty"`
	StartedAt   *time.Time              `json:"started_at,omitempty"`
	CompletedAt *time.Time              `json:"completed_at,omitempty"`
	Output      checkOutput             `json:"output"`
	Actions     []github.CheckRunAction `json:"actions,omitempty"`
}

type checkOutput struct {
	Title       string                       `json:"title"`
	Summary     string                       `json:"summary"`
	Text        string                       `json:"text,omitempty"`
	Annotations []*github.CheckRunAnnotation `json:"annotations,omitempty"`
}

// print tells two check runs apart by what people see. Times are left out:
// they change with every report.
func (c checkRun) print() string {
	c.StartedAt, c.CompletedAt, c.Output.Annotations = nil, nil, nil
	text, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// check makes or changes the check run of a report.
func (a *App) check(ctx context.Context, r builder.Report) error {
	s, err := a.sending(ctx, r)
	if err != nil {
		return err
	}
	switch {
	case s.mark.Outdates(r):
		return nil
	case s.mark.ID == 0 && !s.known && !r.Newest:
		return nil // a newer build shows its check run already; ours would come after it
	case s.mark.Status == checkCompleted && r.Record != nil:
		if len(s.notes) == 0 {
			return nil // a build ends once
		}
	}
	run := a.checkRun(ctx, r)
	if s.mark.ID != 0 && s.mark.Print == run.print() && len(s.notes) == 0 {
		return nil
	}
	if s.mark.ID != 0 && run.Status == s.mark.Status && run.Status != checkCompleted {
		if wait := s.mark.Sent.Add(updateEvery).Sub(a.Now()); wait > 0 {
			return builder.Later{Wait: wait, Reason: "a running check run is changed every 5 s"}
		}
	}
	return s.send(ctx, run)
}

// checkRun is what a report looks like, without annotations.
func (a *App) checkRun(ctx context.Context, r builder.Report) checkRun {
	run := checkRun{Name: r.Context, ExternalID: externalID(r)}
	p := a.page(ctx, r)
	run.Output = checkOutput{Title: p.Title, Summary: p.Summary, Text: p.Text}
	run.Status, run.Conclusion = conclude(r)
	if run.Status == checkCompleted {
		run.CompletedAt = &r.UpdatedAt
	}
	if t := r.Run; t != nil {
		run.DetailsURL = a.BuildURL(r.BuildID)
		if !t.StartedAt.IsZero() {
			run.StartedAt = &t.StartedAt
		}
	}
	if b := r.Record; b != nil {
		run.DetailsURL = a.BuildURL(b.ID)
		run.Actions = buttons(*b)
		if !b.StartedAt.IsZero() && b.State != builder.Queued {
			run.StartedAt = &b.StartedAt
		}
		if b.State.Terminal() && !b.FinishedAt.IsZero() {
			run.CompletedAt = &b.FinishedAt
		}
	}
	return run
}

// externalID is what a check run says of whose it is: a build's, or that of a
// trigger of a build.
func externalID(r builder.Report) string {
	if r.Trigger != "" {
		return r.BuildID + "/" + r.Trigger
	}
	return r.BuildID
}

// conclude puts a report in the words of check runs.
func conclude(r builder.Report) (status, conclusion string) {
	if b := r.Record; b != nil {
		switch {
		case b.State == builder.Queued:
			return checkQueued, ""
		case !b.State.Terminal():
			return checkInProgress, ""
		case b.State.Good():
			return checkCompleted, "success"
		case b.State == builder.Failed:
			return checkCompleted, "failure"
		}
		return checkCompleted, "cancelled"
	}
	if t := r.Run; t != nil && t.State == builder.RunSkipped {
		return checkCompleted, "skipped"
	}
	switch r.State {
	case builder.StatusPending:
		return checkInProgress, ""
	case builder.StatusSuccess:
		return checkCompleted, "success"
	case builder.StatusWaiting:
		return checkCompleted, "action_required"
	case builder.StatusNeutral:
		return checkCompleted, "neutral"
	case builder.StatusError:
		if r.Run == nil && !refused(r.Decision) {
			return checkCompleted, "cancelled"
		}
	}
	return checkCompleted, "failure"
}

// refused reports whether an error is somebody's to mend, rather than of
// builds that were cancelled or superseded.
func refused(d *builder.Decision) bool {
	if d == nil {
		return false
	}
	for _, r := range d.Reasons {
		if r.Error {
			return true
		}
	}
	return len(d.Invalid) > 0 || d.Failure != nil
}

// buttons of a check run. Labels and identifiers have at most 20 characters,
// descriptions 40. The identifiers come back in requested_action deliveries.
func buttons(r builder.Record) []github.CheckRunAction {
	if !r.State.Terminal() {
		return []github.CheckRunAction{{Label: "Cancel", Description: "Stop this build", Identifier: "cancel"}}
	}
	return []github.CheckRunAction{
		{Label: "Rebuild", Description: "Build this commit again", Identifier: "rebuild"},
		{Label: "No cache", Description: "Build again, every step anew", Identifier: "no-cache"},
	}
}

// page renders what the check run shows.
func (a *App) page(ctx context.Context, r builder.Report) page {
	if r.Run != nil {
		return runPage{TriggerRun: *r.Run, Title: r.Description, URL: a.BuildURL(r.BuildID)}.render()
	}
	if r.Record == nil {
		p := commitPage{Title: r.Description, Website: a.website(r.Repository), FullName: r.Repository.FullName(), Commit: r.Commit, BuildURL: a.BuildURL}
		if r.Decision != nil && r.Context == builder.AggregateContext {
			p.Decision = *r.Decision
			if s := p.Suggestion; s != nil {
				p.New = a.newFile(r.Repository, s.File)
			}
		}
		return p.render()
	}
	p := buildPage{Record: *r.Record, Title: r.Description, Website: a.website(r.Repository), URL: a.BuildURL(r.BuildID), Host: a.Host()}
	if r.Record.State.Terminal() {
		var err error
		p.Log, p.LogCut, err = a.Logs.LogTail(ctx, r.BuildID, maxText)
		if err != nil && !errors.Is(err, builder.ErrNotFound) {
			// The result matters more than the log, to which there is a link.
			a.Log.Warn("check run without its log", "build", r.BuildID, "err", err)
		}
	}
	return p.render()
}
