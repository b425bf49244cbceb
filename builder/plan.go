package builder

import (
	"time"

	"github.com/registry-build/registry-build/config"
)

// Decision is what one event came to: builds, and a reason for everything
// that was not built. It is kept with the event, for the pusher, for /why and
// for the API.
type Decision struct {
	EventID string              `json:"eventId"`
	Builds  []Build             `json:"builds,omitempty"`
	Reasons []Reason            `json:"reasons,omitempty"`
	Invalid []config.Diagnostic `json:"invalid,omitempty"` // why the build file was refused
	Failure *Failure            `json:"failure,omitempty"` // the event could not be decided: source gone, …
	Hint    string              `json:"hint,omitempty"`    // no build file: what to write

	// What deciding the event changes beside the builds.
	Head      *Position         `json:"head,omitempty"`      // the ref stands here now
	CancelRef string            `json:"cancelRef,omitempty"` // the ref is gone: its queued builds end
	TagOwners map[string]string `json:"tagOwners,omitempty"` // image:tag -> ref that came out as it first
	DecidedAt time.Time         `json:"decidedAt,omitzero"`
}

// Reason says why an image, or one of its rules, does not build for an event.
type Reason struct {
	Image   string `json:"image"`
	Rule    string `json:"rule,omitempty"` // as people wrote it, "" for the whole image
	Line    int    `json:"line,omitempty"` // of the rule in the build file
	Message string `json:"message"`
}
