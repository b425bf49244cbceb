package builder

import (
	"context"

	"github.com/registry-build/registry-build/config"
)

// Registration is what the default branch's file of one source repository
// says about one image repository: what a push that no build of ours made
// sets off.
type Registration struct {
	Destination string           `json:"destination"` // image repository
	Repository  Repository       `json:"repository"`
	Names       []string         `json:"names"` // Build.Names
	Image       string           `json:"image"` // name in the file
	Ref         string           `json:"ref"`
	Commit      string           `json:"commit"`
	Triggers    []config.Trigger `json:"triggers,omitempty"`
}

// Registrations are kept by the Inbox's decisions.
type Registrations interface {
	// Registrations returns what is registered for the image repository, the
	// source repository whose images it holds first.
	Registrations(ctx context.Context, destination string) ([]Registration, error)
	// Pushed returns the digest that the tag was last known to name, by a
	// build of ours or by a push that was decided; "" when none is known.
	Pushed(ctx context.Context, destination, tag string) (digest string, err error)
}

// KnownTag is what a tag names from a decision on. Was is what it was known to
// name when the decision was made: where that has changed, by a build that put
// the tag meanwhile, the event is decided again.
type KnownTag struct {
	ImagePush
	Was string `json:"was,omitempty"`
}

// Push is the record of somebody's own push: a build that nothing was built
// in. It is kept and shown like one, in the state Pushed.
type Push struct {
	Record Record   `json:"record"`
	Fire   []string `json:"fire"` // names of the triggers that are due
}
