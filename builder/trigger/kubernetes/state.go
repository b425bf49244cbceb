package kubernetes

import (
	"encoding/json"
	"time"

	"github.com/registry-build/registry-build/builder"
)

const (
	// domain begins everything that we read and write on a workload.
	domain = "registry-build.dev/"
	// repositoryAnnotation is people's: the repositories that may update the
	// workload, separated by commas.
	repositoryAnnotation = domain + "repository"
	// holdAnnotation stops all updates while it is there, whoever set it. Its
	// value says why.
	holdAnnotation = domain + "hold"
	// stateAnnotation, followed by the container's name, is ours: a state.
	// The container's name is part of the key, since two triggers may update
	// two containers of one workload.
	stateAnnotation = "state." + domain
	// buildLabel, followed by the container's name, repeats state.Build.
	// `kubectl rollout undo` brings back the annotations of the revision that
	// it goes to and leaves the labels alone: the two differ from then on.
	buildLabel = "build." + domain
	// changeCause is what `kubectl rollout history` shows.
	changeCause = "kubernetes.io/change-cause"
)

// state is what we note about one container.
type state struct {
	Build    string    `json:"build,omitempty"`
	Accepted time.Time `json:"accepted,omitzero"` // when that build's event was
	Image    string    `json:"image,omitempty"`   // what was set
	// Before is what stood there before, for going back. Of an image that was
	// not ours only Image is known.
	Before *state `json:"before,omitempty"`
	// Held is the image that was set by hand when the workload was last held.
	// It does not hold it again.
	Held string `json:"heldImage,omitempty"`
}

// readState reads a container's state; none is the zero one.
func (w *workload) readState(container string) (s state, err error) {
	if text, ok := w.Annotations[stateAnnotation+container]; ok {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// next is the state after setting the image of the build.
func (s state) next(r builder.Record, image, current string) state {
	before := s
	before.Before, before.Held = nil, ""
	if !sameBytes(s.Image, current) {
		before = state{}
	}
	before.Image = current
	return state{Build: r.ID, Accepted: r.AcceptedAt.UTC(), Image: image, Before: &before}
}

// newer reports whether the state is of a build that was accepted later. Of
// two of one event it is the one of the greater ID, so that all agree.
func (s state) newer(r builder.Record) bool {
	if s.Build == "" || s.Build == r.ID {
		return false
	}
	if s.Accepted.Equal(r.AcceptedAt) {
		return s.Build > r.ID
	}
	return s.Accepted.After(r.AcceptedAt)
}

func (s state) String() string {
	text, _ := json.Marshal(s) // strings and times of four-digit years always can
	return string(text)
}

// memo is what the next call has to know of a rollout that has begun.
type memo struct {
	Image   string    `json:"image"`
	Before  string    `json:"before"`
	Patched time.Time `json:"patched"`
	Overdue string    `json:"overdue,omitempty"` // overdueSince, when it was patched
	Trouble *trouble  `json:"trouble,omitempty"`
	Failed  string    `json:"failed,omitempty"` // why; going back is not over
}

// trouble is a new pod that does not come up.
type trouble struct {
	Pod   string    `json:"pod"`
	Text  string    `json:"text"`
	Since time.Time `json:"since"` // when any was first seen without a break
}

// readMemo takes what it cannot read for none: beginning again is harmless.
func readMemo(text string) (m memo) {
	if json.Unmarshal([]byte(text), &m) != nil {
		return memo{}
	}
	return m
}

func (m memo) String() string {
	text, _ := json.Marshal(m)
	return string(text)
}
