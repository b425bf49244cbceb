package telling

import (
	"strconv"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// Order puts reports of one subject in order.
type Order struct {
	Seq int64     `json:"seq,omitempty"` // of the report
	At  time.Time `json:"at,omitzero"`
}

// OrderOf is where the report stands.
func OrderOf(r builder.Report) Order { return Order{Seq: r.Seq, At: r.UpdatedAt} }

// Outdates reports whether what was told is newer than the report. A build
// ends once: its end is the newest, whatever the clocks of two machines say.
func (o Order) Outdates(r builder.Report) bool {
	if o.Seq != r.Seq {
		return o.Seq > r.Seq
	}
	return o.At.After(r.UpdatedAt) && (r.Record == nil || !Ended(r))
}

// Subject names what reports must not overtake each other about.
func Subject(r builder.Report) string {
	return r.Repository.Key() + "/" + r.Commit + "/" + r.Context
}

// Ended reports whether the report is a result, which people wait for.
func Ended(r builder.Report) bool {
	if r.Record != nil {
		return r.Record.State.Terminal()
	}
	return r.State != builder.StatusPending
}

// Phase is what a status changes with: not with how far a build is within its
// state.
func Phase(r builder.Report) string {
	if r.Run != nil { // another attempt in the same state is news; how far it is, is not
		return r.BuildID + "/" + string(r.State)
	}
	if r.Record == nil {
		return string(r.State)
	}
	return r.BuildID + "/" + strconv.Itoa(max(r.Record.Attempt, 1)) + "/" + string(r.Record.State)
}

// Steady is the description without what changes within a state: a step would
// stand there until the end.
func Steady(r builder.Report) string {
	if r.Record == nil || Ended(r) {
		return r.Description
	}
	b := *r.Record
	b.Steps = nil
	return builder.Describe(b)
}
