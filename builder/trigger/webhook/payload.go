package webhook

import (
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// Payload is the body of a delivery. It is a public promise, documented in
// README.md: fields are added, never renamed, retyped or removed.
type Payload struct {
	Event    string   `json:"event"`    // pushed, failed, recovered
	Delivery string   `json:"delivery"` // the same for every attempt
	Trigger  string   `json:"trigger"`  // its name in the build file
	Image    Image    `json:"image"`
	Build    Build    `json:"build"`
	Failure  *Failure `json:"failure,omitempty"` // event failed only
}

// Image is what was pushed, or would have been.
type Image struct {
	Repository string   `json:"repository"`          // with the registry's host
	Tags       []string `json:"tags"`                // those that the trigger selects and that this build moved
	Digest     string   `json:"digest,omitempty"`    // sha256:…
	Reference  string   `json:"reference,omitempty"` // repository@digest, which can be pulled as it is
}

// Build is where the image comes from. What an image that somebody pushed
// himself does not have (a commit, say) is left out.
type Build struct {
	ID         string    `json:"id"`
	Image      string    `json:"image,omitempty"`      // the image's name in the build file
	Repository string    `json:"repository,omitempty"` // owner/name at the forge
	Ref        string    `json:"ref,omitempty"`        // refs/heads/main
	Commit     string    `json:"commit,omitempty"`
	Actor      string    `json:"actor,omitempty"`    // who pushed or asked
	State      string    `json:"state"`              // succeeded, promoted, failed, pushed
	AcceptedAt time.Time `json:"acceptedAt"`         // RFC 3339, UTC
	StartedAt  time.Time `json:"startedAt,omitzero"` // of the last attempt
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	Duration   float64   `json:"duration"` // seconds from start to finish
	URL        string    `json:"url,omitempty"`
}

// Failure is the sentence that the pusher saw. The failing step's output is
// left out: it belongs to the log.
type Failure struct {
	Stage   string `json:"stage"` // config, source, build, push, tag, internal
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1
}

func (k *Kind) payload(f trigger.Firing) Payload {
	r := f.Record
	p := Payload{
		Event:    string(f.Event),
		Delivery: f.Delivery,
		Trigger:  f.Trigger.Name,
		Image:    Image{Repository: trigger.Image(k.o.Registry, r), Tags: f.Tags, Digest: r.Digest},
		Build: Build{
			ID: r.ID, Image: r.Image, Ref: r.Ref, Commit: r.Commit, Actor: r.Actor, State: string(r.State),
			AcceptedAt: r.AcceptedAt.UTC(), StartedAt: utc(r.StartedAt), FinishedAt: utc(r.FinishedAt),
		},
	}
	if p.Image.Tags == nil {
		p.Image.Tags = []string{} // a list is never null
	}
	if r.Digest != "" {
		p.Image.Reference = p.Image.Repository + "@" + r.Digest
	}
	if r.Repository.Owner != "" { // an uploaded Dockerfile has no repository
		p.Build.Repository = r.Repository.FullName()
	}
	if !r.StartedAt.IsZero() && r.FinishedAt.After(r.StartedAt) {
		p.Build.Duration = r.FinishedAt.Sub(r.StartedAt).Round(time.Millisecond).Seconds()
	}
	if k.o.BuildURL != nil {
		p.Build.URL = k.o.BuildURL(r.ID)
	}
	if f.Event == config.OnFailed {
		p.Failure = failure(r.Failure)
	}
	return p
}

func failure(f *builder.Failure) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{Stage: string(f.Stage), Message: f.Message, File: f.File, Line: f.Line}
}

// utc keeps a zero time zero, so that omitzero leaves it out.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}
