package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/telling"
)

// mark is what is known of a check run: what was made, and what was said in
// it. It is there before the check run is, so that after a crash nobody makes
// a second one without having looked for the first.
type mark struct {
	telling.Order
	ID     int64     `json:"id,omitempty"` // 0: it was being made
	Status string    `json:"status,omitempty"`
	Print  string    `json:"print,omitempty"`
	Sent   time.Time `json:"sent,omitzero"`
	Noted  []string  `json:"noted,omitempty"`  // annotations that are in
	Flying []string  `json:"flying,omitempty"` // annotations of a request whose answer never came
}

// sending is one check run on its way.
type sending struct {
	app    *App
	report builder.Report
	client *github.Client // nil until it is needed
	key    string
	mark   mark
	known  bool                         // there was a mark
	notes  []*github.CheckRunAnnotation // still to be told
}

func (a *App) sending(ctx context.Context, r builder.Report) (*sending, error) {
	s := &sending{app: a, report: r, key: "github:check/" + r.Repository.Key() + "/" + r.Commit}
	switch {
	case r.BuildID != "":
		s.key = "github:check/" + externalID(r)
	case r.Context != builder.AggregateContext:
		s.key += "/" + r.Context
	}
	var err error
	if s.known, err = a.ledger().Recall(ctx, s.key, &s.mark); err != nil {
		return nil, err
	}
	var all []*github.CheckRunAnnotation
	switch {
	case r.Record != nil:
		all = buildAnnotations(*r.Record)
	case r.Decision != nil && r.Context == builder.AggregateContext && (r.Event == nil || r.Event.Commit == r.Commit):
		all = decisionAnnotations(*r.Decision)
	}
	for _, n := range all {
		if !slices.Contains(s.mark.Noted, noteID(n)) {
			s.notes = append(s.notes, n)
		}
	}
	return s, nil
}

func noteID(n *github.CheckRunAnnotation) string {
	text, err := json.Marshal(n)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// send makes the check run or changes it, with the first annotations, and
// adds the others, 50 at a time.
func (s *sending) send(ctx context.Context, run checkRun) error {
	var err error
	if s.client, err = s.app.client(ctx, s.report.Repository, need{"checks": "write"}); err != nil {
		return err
	}
	if err := s.find(ctx); err != nil {
		return err
	}
	for first := true; first || len(s.notes) > 0; first = false {
		batch := s.notes[:min(len(s.notes), annotationsAtOnce)]
		if err := s.sendBatch(ctx, run, batch); err != nil {
			return err
		}
		s.notes = s.notes[len(batch):]
	}
	return nil
}

// find learns what became of requests that nobody saw answered.
func (s *sending) find(ctx context.Context) error {
	if s.mark.ID == 0 {
		claimed, err := s.app.Memory.Claim(ctx, s.key, "{}", telling.Keep)
		if err != nil || claimed {
			return err
		}
		found, err := s.look(ctx)
		if err != nil || found == nil {
			s.mark.Flying = nil
			return err
		}
		s.mark.ID = found.GetID()
		s.landed(found)
		return nil
	}
	if len(s.mark.Flying) == 0 {
		return nil
	}
	repo := s.report.Repository
	found, _, err := s.client.Checks.GetCheckRun(ctx, repo.Owner, repo.Name, s.mark.ID)
	if err != nil {
		return fmt.Errorf("check run %d: %w", s.mark.ID, err)
	}
	s.landed(found)
	return nil
}

// landed counts the annotations that are in.
func (s *sending) landed(found *github.CheckRun) {
	if found.GetOutput().GetAnnotationsCount() >= len(s.mark.Noted)+len(s.mark.Flying) {
		s.mark.Noted = append(s.mark.Noted, s.mark.Flying...)
		s.notes = slices.DeleteFunc(s.notes, func(n *github.CheckRunAnnotation) bool { return slices.Contains(s.mark.Flying, noteID(n)) })
	}
	s.mark.Flying = nil
}

// look finds the check run at the commit; nil when it was never made.
func (s *sending) look(ctx context.Context) (*github.CheckRun, error) {
	id, err := s.app.Identities.Identity(ctx)
	if err != nil {
		return nil, err
	}
	r := s.report
	opts := &github.ListCheckRunsOptions{
		CheckName: github.String(r.Context), Filter: github.String("all"), AppID: github.Int64(id.ID),
		ListOptions: github.ListOptions{PerPage: 100},
	}
	for {
		page, resp, err := s.client.Checks.ListCheckRunsForRef(ctx, r.Repository.Owner, r.Repository.Name, r.Commit, opts)
		if err != nil {
			return nil, fmt.Errorf("check runs of %s: %w", r.Commit, err)
		}
		for _, c := range page.CheckRuns {
			if c.GetName() == r.Context && c.GetExternalID() == externalID(r) {
				return c, nil
			}
		}
		if resp.NextPage == 0 {
			return nil, nil
		}
		opts.Page = resp.NextPage
	}
}

// sendBatch sends the check run with some annotations. They are remembered
// before and after, because GitHub adds them once more when they come again.
func (s *sending) sendBatch(ctx context.Context, run checkRun, batch []*github.CheckRunAnnotation) error {
	print := run.print()
	run.Output.Annotations = batch
	s.mark.Flying = nil
	for _, n := range batch {
		s.mark.Flying = append(s.mark.Flying, noteID(n))
	}
	if len(batch) > 0 {
		if err := s.app.ledger().Remember(ctx, s.key, s.mark); err != nil {
			return err
		}
	}
	repo := s.report.Repository
	method, path := http.MethodPost, fmt.Sprintf("repos/%s/%s/check-runs", repo.Owner, repo.Name)
	if s.mark.ID != 0 {
		method, path = http.MethodPatch, fmt.Sprintf("%s/%d", path, s.mark.ID)
	} else {
		run.HeadSHA = s.report.Commit
	}
	if s.mark.ID != 0 && len(batch) == 0 {
		ctx = repeatable(ctx)
	}
	req, err := s.client.NewRequest(method, path, run)
	if err != nil {
		return err
	}
	var made github.CheckRun
	if _, err := s.client.Do(ctx, req, &made); err != nil {
		return fmt.Errorf("check run %s of %s: %w", run.Name, s.report.Commit, err)
	}
	if s.mark.ID == 0 {
		s.mark.ID = made.GetID()
	}
	s.mark.Order = telling.OrderOf(s.report)
	s.mark.Status, s.mark.Print, s.mark.Sent = run.Status, print, s.app.Now()
	s.mark.Noted = append(s.mark.Noted, s.mark.Flying...)
	s.mark.Flying = nil
	return s.app.ledger().Remember(ctx, s.key, s.mark)
}
