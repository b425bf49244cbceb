package trigger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// Kind fires triggers of one kind. Its methods may be called concurrently. One
// that needs other than Options.Timeout for a call has a method
//
//	Timeout() time.Duration
//
// beside, which is asked before each call.
type Kind interface {
	// Action is one line that says what the trigger does: "webhook https://…".
	// It never shows a secret.
	Action(t config.Trigger) string
	// Fire makes one attempt and returns the other side's answer, if there
	// was one, with an error too. It ends when ctx ends. An error made by
	// Temporary is worth another attempt, any other is final; both are
	// sentences for the person who wrote the trigger. Fire may be called again
	// for the same delivery, and the other side must be able to tell so.
	Fire(ctx context.Context, f Firing) (Answer, error)
}

// Answer is what came of one call.
type Answer struct {
	Text string // the other side's answer, or how far it is
	URL  string // what it made: a pull request, a commit. People see it: no secret
	Memo string // Firing.Memo of the next call; it is stored as it is: no secret
	// Again > 0: it has begun and is not over; Fire is called again after
	// this, which is no new attempt.
	Again time.Duration
	// Skipped: nothing was done, because a newer image was rolled out first.
	Skipped bool
}

// Firing is what a kind has to tell.
type Firing struct {
	Trigger  config.Trigger
	Event    config.Outcome
	Record   builder.Record
	Tags     []string // put now and selected; for a build that failed: that it would have put
	Delivery string   // the same for every attempt, another for every build and trigger
	Attempt  int      // from 1
	Memo     string   // Answer.Memo of the call before, "" at first
}

// Image is the record's image repository as people pull it. Those of the
// embedded registry are stored without its host; registry "" leaves them so.
func Image(registry string, r builder.Record) string {
	if registry == "" {
		return r.Destination
	}
	return builder.FullDestination(registry, r.Destination)
}

// Use is who opens a credential for this firing.
func (f Firing) Use() builder.Use {
	return builder.Use{
		Names: f.Record.Names, Operator: f.Trigger.Operator, Lane: f.Record.Lane,
		For: "trigger " + f.Trigger.Name + " of " + f.Record.Destination,
	}
}

// temporary is an error that another attempt may mend.
type temporary struct {
	error
	after time.Duration
}

func (t *temporary) Unwrap() error { return t.error }

// Temporary says that another attempt may help, not before after; 0 leaves
// the time to the policy.
func Temporary(err error, after time.Duration) error { return &temporary{err, after} }

// IsTemporary reports whether Temporary made the error, and how long the
// other side asked to wait.
func IsTemporary(err error) (after time.Duration, ok bool) {
	var t *temporary
	if !errors.As(err, &t) {
		return 0, false
	}
	return t.after, true
}

// KindOf names the kind of a trigger: the key that people wrote. "" is none
// that this version knows.
func KindOf(t config.Trigger) string {
	switch {
	case t.Webhook != nil:
		return "webhook"
	case t.Kubernetes != nil:
		return "kubernetes"
	case t.GitOps != nil:
		return "gitops"
	case t.Chat != nil:
		return "chat"
	}
	return ""
}

// delivery identifies what one trigger tells of one build. Both parts have
// letters, digits, - and _ only, and the names of operators' triggers a dot.
func delivery(r builder.Record, t config.Trigger) string {
	return fmt.Sprintf("%s-%s", r.ID, t.Name)
}
