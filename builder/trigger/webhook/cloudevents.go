package webhook

import (
	"net/url"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// cloudEventType is the content type of the structured mode of the HTTP
// binding: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#32-structured-content-mode
const cloudEventType = "application/cloudevents+json; charset=utf-8"

// CloudEvent is one event of CloudEvents 1.0 in its JSON format:
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
type CloudEvent struct {
	SpecVersion     string    `json:"specversion"` // 1.0
	ID              string    `json:"id"`          // the delivery: the same for every attempt
	Source          string    `json:"source"`      // whose builds: a URI reference
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"` // repository:tag, repository@digest
	Time            time.Time `json:"time,omitzero"`     // RFC 3339: when the build ended
	DataContentType string    `json:"datacontenttype"`
	Data            Payload   `json:"data"`
}

func (k *Kind) cloudEvent(f trigger.Firing) CloudEvent {
	p := k.payload(f)
	return CloudEvent{
		SpecVersion: "1.0", ID: f.Delivery, Source: k.source(p), Type: eventType(f.Event), Subject: subject(p),
		Time: p.Build.FinishedAt, DataContentType: "application/json", Data: p,
	}
}

func eventType(e config.Outcome) string {
	switch e {
	case config.OnFailed:
		return "dev.registry-build.build.failed"
	case config.OnRecovered:
		return "dev.registry-build.build.recovered"
	}
	return "dev.registry-build.image.pushed"
}

// source is the address of the server's builds, and the image repository's
// name where the server does not know its own address. The specification asks
// that source and id together are unique, so neither may depend on the
// attempt.
func (k *Kind) source(p Payload) string {
	if k.o.BuildURL != nil {
		if s := strings.TrimSuffix(strings.TrimSuffix(p.Build.URL, p.Build.ID), "/"); s != "" {
			return s
		}
	}
	return (&url.URL{Path: "/" + p.Image.Repository}).String()
}

func subject(p Payload) string {
	switch {
	case len(p.Image.Tags) == 1:
		return p.Image.Repository + ":" + p.Image.Tags[0]
	case p.Image.Reference != "":
		return p.Image.Reference
	}
	return p.Image.Repository
}
