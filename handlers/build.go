package handlers

import (
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Build is a build as the API shows it: a promise, apart from the domain and
// from the stored record, so that those can change.
type Build struct {
	ID         string   `json:"id"`
	State      string   `json:"state"`  // queued, running, pushing, succeeded, promoted, failed, cancelled, superseded, skipped, pushed
	Status     string   `json:"status"` // one line for a person
	Source     string   `json:"source"` // push, tag, pullRequest, mergeQueue, command, api, upload, imagePush
	Repository string   `json:"repository,omitempty"`
	Forge      string   `json:"forge,omitempty"`
	Image      string   `json:"image"`
	Ref        string   `json:"ref,omitempty"`
	Commit     string   `json:"commit,omitempty"`
	Actor      string   `json:"actor,omitempty"`
	Event      string   `json:"event"`
	Rule       string   `json:"rule,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`

	Destination  string   `json:"destination"`
	Tags         []Tag    `json:"tags,omitempty"`
	Digest       string   `json:"digest,omitempty"`
	Reference    string   `json:"reference,omitempty"` // for docker pull
	PromotedFrom string   `json:"promotedFrom,omitempty"`
	Notes        []Note   `json:"notes,omitempty"`
	Failure      *Failure `json:"failure,omitempty"`
	Reason       string   `json:"reason,omitempty"`

	Place           int        `json:"place,omitempty"` // in the queue, from 1
	Attempt         int        `json:"attempt"`
	AcceptedAt      time.Time  `json:"acceptedAt"`
	StartedAt       *time.Time `json:"startedAt,omitempty"`
	FinishedAt      *time.Time `json:"finishedAt,omitempty"`
	DurationSeconds float64    `json:"durationSeconds,omitempty"` // from start to end
	URL             string     `json:"url,omitempty"`             // page for people
}

// Tag is one tag that a build asked for.
type Tag struct {
	Name   string `json:"name"`
	Put    bool   `json:"put"`              // it names the build's digest
	HeldBy string `json:"heldBy,omitempty"` // commit that it was left on
}

// Note is a remark of the Dockerfile's linter, or the like.
type Note struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	EndLine int    `json:"endLine,omitempty"`
	Message string `json:"message"`
	URL     string `json:"url,omitempty"` // what the remark is about
}

// Failure is why a build failed, for the person who pushed.
type Failure struct {
	Stage   string `json:"stage"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	EndLine int    `json:"endLine,omitempty"`
	Excerpt string `json:"excerpt,omitempty"`
	Output  string `json:"output,omitempty"`
}

// BuildOf is the API's view of a record. registry is the embedded registry's
// host, url the address of the pages.
func BuildOf(r builder.Record, registry, url string) Build {
	b := Build{
		ID: r.ID, State: string(r.State), Status: builder.Describe(r), Source: sourceOf(r.Build),
		Repository: r.Repository.FullName(), Forge: r.Repository.Forge,
		Image: r.Image, Ref: r.Ref, Commit: r.Commit, Actor: r.Actor, Event: r.EventID, Rule: r.Rule, Warnings: r.Warnings,
		Destination: builder.FullDestination(registry, r.Destination), Digest: r.Digest, PromotedFrom: r.From,
		Reason: r.Reason, Place: r.Place, Attempt: r.Attempt, AcceptedAt: r.AcceptedAt,
		StartedAt: timeOf(r.StartedAt), FinishedAt: timeOf(r.FinishedAt), URL: url + "/builds/" + r.ID,
	}
	if b.StartedAt != nil && b.FinishedAt != nil {
		b.DurationSeconds = b.FinishedAt.Sub(*b.StartedAt).Seconds()
	}
	for _, n := range r.Notes {
		b.Notes = append(b.Notes, Note(n))
	}
	if r.Digest != "" {
		b.Reference = b.Destination + "@" + r.Digest
	}
	if f := r.Failure; f != nil {
		b.Failure = &Failure{string(f.Stage), f.Message, f.File, f.Line, f.EndLine, f.Excerpt, f.Output}
	}
	b.Tags = tagsOf(r)
	return b
}

// tagsOf is what was asked for until it is known what became of it. Of a build
// that failed no tag counts as put: those that were are put back.
func tagsOf(r builder.Record) []Tag {
	var all []Tag
	for _, t := range r.Tagged {
		all = append(all, Tag{Name: t.Tag, Put: r.State.Good() && !t.Held(), HeldBy: t.HeldBy})
	}
	if len(all) > 0 {
		return all
	}
	for _, name := range r.Tags {
		all = append(all, Tag{Name: name})
	}
	return all
}

func sourceOf(b builder.Build) string {
	switch {
	case b.EventKind == builder.ImagePushed:
		return "imagePush"
	case b.Spec.Inline != "":
		return "upload"
	case b.EventKind == builder.Requested && strings.HasPrefix(b.EventID, "api:"):
		return "api"
	case b.Priority == builder.PriorityCommand:
		return "command"
	case b.Pull != nil:
		return "pullRequest"
	case b.EventKind == builder.MergeQueued:
		return "mergeQueue"
	case strings.HasPrefix(b.Ref, "refs/tags/"):
		return "tag"
	}
	return "push"
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
