package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// TriggerRun is what one trigger of a build did.
type TriggerRun struct {
	Build           string     `json:"build"` // ID
	Repository      string     `json:"repository,omitempty"`
	Image           string     `json:"image,omitempty"`
	Trigger         string     `json:"trigger"`
	Condition       string     `json:"condition"` // as people wrote it
	Action          string     `json:"action"`
	Tags            []string   `json:"tags,omitempty"`
	State           string     `json:"state"` // waiting, running, succeeded, failed, skipped
	Attempts        int        `json:"attempts"`
	Answer          string     `json:"answer,omitempty"` // of the other side, redacted and cut
	Error           string     `json:"error,omitempty"`
	URL             string     `json:"url,omitempty"`     // what it made: a pull request, a commit
	AskedBy         string     `json:"askedBy,omitempty"` // who asked for it again
	FirstAt         *time.Time `json:"firstAt,omitempty"`
	StartedAt       time.Time  `json:"startedAt"` // of the last attempt
	NextAt          *time.Time `json:"nextAt,omitempty"`
	DurationSeconds float64    `json:"durationSeconds"` // of the last attempt
}

// TriggerRunList is what triggers did: of a build, or a page of all.
type TriggerRunList struct {
	Runs []TriggerRun `json:"runs"`
	Next string       `json:"next,omitempty"` // ?before= of the next page
}

func triggerRunOf(run builder.TriggerRun) TriggerRun {
	repository := ""
	if run.Repository.ID != "" {
		repository = run.Repository.FullName()
	}
	return TriggerRun{
		Build: run.BuildID, Repository: repository, Image: run.Image,
		Trigger: run.Trigger, Condition: run.Condition, Action: run.Action, Tags: run.Tags, State: string(run.State),
		Attempts: run.Attempts, Answer: run.Answer, Error: run.Error, URL: run.URL, AskedBy: run.AskedBy,
		FirstAt: timeOf(run.FirstAt), StartedAt: run.StartedAt, NextAt: timeOf(run.NextAt), DurationSeconds: run.Took.Seconds(),
	}
}

func (s *Server) triggerRuns(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	runs, err := s.Outcomes.TriggerRuns(r.Context(), rec.ID)
	if err != nil {
		return err
	}
	list := TriggerRunList{Runs: []TriggerRun{}}
	for _, run := range runs {
		list.Runs = append(list.Runs, triggerRunOf(run))
	}
	return writeJSON(w, http.StatusOK, list)
}

// retryTrigger fires a trigger again that is over, because a person wants it.
func (s *Server) retryTrigger(w http.ResponseWriter, r *http.Request, c Caller) error {
	rec, err := s.record(r, c)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	state, err := s.Outcomes.RetryTrigger(r.Context(), rec.Repository, rec.ID, name, c.Name())
	switch {
	case errors.Is(err, builder.ErrState):
		return refuse(http.StatusConflict, "trigger %s of build %s is %s; it can be retried when it is over", name, rec.ID, state)
	case errors.Is(err, builder.ErrNotFound):
		return refuse(http.StatusNotFound, "trigger %.100q of build %s has not run; `registry-build triggers %s` lists those that have", name, rec.ID, rec.ID)
	case err != nil:
		return err
	}
	runs, err := s.Outcomes.TriggerRuns(r.Context(), rec.ID)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if run.Trigger == name {
			return writeJSON(w, http.StatusAccepted, triggerRunOf(run))
		}
	}
	return writeJSON(w, http.StatusAccepted, TriggerRun{Build: rec.ID, Trigger: name, State: string(state)})
}

// listTriggers lists what triggers did of all builds that the caller may see.
func (s *Server) listTriggers(w http.ResponseWriter, r *http.Request, c Caller) error {
	f, err := s.runFilter(r, c)
	if err != nil {
		return err
	}
	page, next, err := s.Outcomes.Runs(r.Context(), f)
	if err != nil {
		return err
	}
	list := TriggerRunList{Runs: []TriggerRun{}, Next: next}
	for _, run := range page {
		if c.MayUseAPI(run.Repository.Qualified()) {
			list.Runs = append(list.Runs, triggerRunOf(run))
		}
	}
	return writeJSON(w, http.StatusOK, list)
}

var (
	runParameters = []string{"repository", "trigger", "state", "limit", "before"}
	runStates     = []string{
		string(builder.RunWaiting), string(builder.RunRunning), string(builder.RunSucceeded), string(builder.RunFailed), string(builder.RunSkipped),
	}
)

// runFilter reads the query, strictly as buildFilter does.
func (s *Server) runFilter(r *http.Request, c Caller) (f builder.RunFilter, err error) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains(runParameters, name) {
			return f, refuse(http.StatusBadRequest, "there is no parameter %q; there are %s", name, strings.Join(runParameters, ", "))
		}
	}
	f = builder.RunFilter{Trigger: q.Get("trigger"), State: builder.RunState(q.Get("state")), Before: q.Get("before"), Limit: listDefault}
	if f.State != "" && !slices.Contains(runStates, string(f.State)) {
		return f, refuse(http.StatusBadRequest, "state is %q; it must be one of %s", f.State, strings.Join(runStates, ", "))
	}
	if text := q.Get("limit"); text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > listMost {
			return f, refuse(http.StatusBadRequest, "limit is %q; it must be a number from 1 to %d", text, listMost)
		}
	}
	if name := q.Get("repository"); name != "" {
		repo, err := s.repository(r, c, name)
		if err != nil {
			return f, err
		}
		f.Repository = repo.Key()
	}
	return f, nil
}
