package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

const (
	maxAnswer = 4 << 10 // bytes of a record's answer
	maxError  = 1 << 10 // bytes of a record's error
)

// Options of a Set.
type Options struct {
	Kinds map[string]Kind // by the name that KindOf gives
	// Redact hides secrets; nothing is recorded that did not go through it.
	Redact  func(ctx context.Context, text string) string
	Tags    Tags          // nil: a kind that changes something is called whatever was pushed since
	Policy  Policy        // the zero one is DefaultPolicy
	Timeout time.Duration // of one attempt of a kind that has none of its own; 0: 10 s
	Watch   time.Duration // how long a trigger may be under way at most; 0: 2 h
	Log     *slog.Logger
}

// Tags knows where tags stand.
type Tags interface {
	// Pushed returns the digest that the tag was last known to name; "" when
	// none is known.
	Pushed(ctx context.Context, destination, tag string) (digest string, err error)
}

// Set fires triggers of every kind it was given.
type Set struct{ o Options }

var _ builder.Triggers = (*Set)(nil)

// NewSet takes the kinds that this server offers.
func NewSet(o Options) (*Set, error) {
	if o.Redact == nil || o.Log == nil {
		return nil, errors.New("triggers: a redactor and a logger are needed")
	}
	if o.Policy == (Policy{}) {
		o.Policy = DefaultPolicy()
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Watch == 0 {
		o.Watch = 2 * time.Hour
	}
	return &Set{o}, nil
}

// Due implements builder.Triggers; see the function of that name.
func (s *Set) Due(r builder.Record, last builder.State) []string { return Due(r, last) }

// Begin is the run of a firing before its first attempt.
func (s *Set) Begin(ctx context.Context, f builder.Firing) builder.TriggerRun {
	run := builder.TriggerRun{BuildID: f.Record.ID, Trigger: f.Trigger, State: builder.RunRunning, Attempts: attempts(f.Before), StartedAt: time.Now().UTC()}
	if t, kind, why := s.find(f); why == "" {
		run.Condition, run.Action = condition(t), s.show(ctx, kind.Action(t), maxError)
		run.Tags = firing(t, f.Record, run.Attempts).Tags
	}
	return run
}

// find returns the trigger and its kind, or a sentence about what is wrong.
func (s *Set) find(f builder.Firing) (t config.Trigger, kind Kind, why string) {
	i := slices.IndexFunc(f.Record.Triggers, func(t config.Trigger) bool { return t.Name == f.Trigger })
	if i < 0 {
		return t, nil, fmt.Sprintf("build %s has no trigger %q", f.Record.ID, f.Trigger)
	}
	t = f.Record.Triggers[i]
	switch kind = s.o.Kinds[KindOf(t)]; {
	case f.Record.Lane == builder.ForkLane:
		return t, kind, "the build comes from a fork, and those set off no triggers"
	case kind == nil:
		return t, nil, fmt.Sprintf("trigger %q is of a kind that this server does not offer", t.Name)
	}
	return t, kind, ""
}

// Fire makes one attempt, or looks how the one that is under way fares, and
// records it. When ctx ends, because the server stops, that is not the
// trigger's fault: the run goes on as if this call had not been.
func (s *Set) Fire(ctx context.Context, f builder.Firing) builder.TriggerRun {
	run := builder.TriggerRun{
		BuildID: f.Record.ID, Trigger: f.Trigger, Attempts: attempts(f.Before), StartedAt: time.Now().UTC(),
	}
	t, kind, why := s.find(f)
	if why != "" {
		return refused(run, why)
	}
	run.Condition, run.Action = condition(t), s.show(ctx, kind.Action(t), maxError)
	firing := firing(t, f.Record, run.Attempts)
	run.Tags = firing.Tags
	if f.Before != nil {
		firing.Memo = f.Before.Memo
		if f.Before.State == builder.RunRunning && !f.Before.StartedAt.IsZero() {
			run.StartedAt = f.Before.StartedAt
		}
	}
	if answer, err := s.outdated(ctx, firing); answer.Skipped || err != nil {
		return s.settle(ctx, f, run, answer, err)
	}
	attempt, cancel := context.WithTimeout(ctx, s.timeout(kind))
	defer cancel()
	answer, err := kind.Fire(attempt, firing)
	run.Action = s.show(ctx, kind.Action(t), maxError) // a chat's service is known once its credential was opened
	return s.settle(ctx, f, run, answer, err)
}

// outdated skips what would put an older image over a newer one: of the tags
// that the trigger is for none is where the build put it. What is under way
// already is its kind's to end.
func (s *Set) outdated(ctx context.Context, f Firing) (Answer, error) {
	if s.o.Tags == nil || f.Memo != "" || f.Trigger.Kubernetes == nil && f.Trigger.GitOps == nil || f.Record.Digest == "" || len(f.Tags) == 0 {
		return Answer{}, nil
	}
	for _, tag := range f.Tags {
		digest, err := s.o.Tags.Pushed(ctx, f.Record.Destination, tag)
		if err != nil {
			s.o.Log.Warn("where tags stand", "err", err)
			return Answer{}, Temporary(errors.New("where the tags stand now could not be read"), 0)
		}
		if digest == "" || digest == f.Record.Digest {
			return Answer{}, nil
		}
	}
	return Answer{Skipped: true, Text: strings.Join(f.Tags, ", ") + " was pushed again meanwhile, and the newer image goes first"}, nil
}

// timeout is how long one call of the kind may take.
func (s *Set) timeout(k Kind) time.Duration {
	if k, ok := k.(interface{ Timeout() time.Duration }); ok {
		return k.Timeout()
	}
	return s.o.Timeout
}

// settle decides what the call's end means.
func (s *Set) settle(ctx context.Context, f builder.Firing, run builder.TriggerRun, answer Answer, err error) builder.TriggerRun {
	run.Took = time.Since(run.StartedAt)
	run.Answer, run.URL, run.Memo = s.show(ctx, answer.Text, maxAnswer), s.show(ctx, answer.URL, maxError), answer.Memo
	log := s.o.Log.With("build", run.BuildID, "trigger", run.Trigger, "attempt", run.Attempts, "took", run.Took)
	switch {
	case err != nil:
		return s.failed(ctx, f, run, err, log)
	case answer.Again > 0 && run.Took > s.o.Watch:
		run.State, run.Error = builder.RunFailed, fmt.Sprintf("it was not over after %s, and nobody looks any more", s.o.Watch)
		log.Warn("trigger given up", "err", run.Error)
	case answer.Again > 0:
		run.State, run.Retry = builder.RunRunning, answer.Again
	case answer.Skipped:
		run.State = builder.RunSkipped
		log.Info("trigger skipped", "answer", run.Answer)
	default:
		run.State = builder.RunSucceeded
		log.Info("trigger fired")
	}
	return run
}

// failed decides whether another attempt follows.
func (s *Set) failed(ctx context.Context, f builder.Firing, run builder.TriggerRun, err error, log *slog.Logger) builder.TriggerRun {
	if ctx.Err() != nil {
		return s.cut(f, run)
	}
	run.State, run.Error = builder.RunFailed, s.show(ctx, err.Error(), maxError)
	if asked, again := IsTemporary(err); again {
		if run.Memo == "" && f.Before != nil {
			run.Memo = f.Before.Memo
		}
		run.Retry = s.o.Policy.Wait(run.Attempts, asked)
	}
	if run.Retry > 0 {
		run.State = builder.RunWaiting
	}
	log.Warn("trigger failed", "err", run.Error, "retry", run.Retry)
	return run
}

// cut is the run of a call that a stop cut off: as it was before.
func (s *Set) cut(f builder.Firing, run builder.TriggerRun) builder.TriggerRun {
	if f.Before != nil {
		run.State, run.Attempts, run.Memo = f.Before.State, f.Before.Attempts, f.Before.Memo
	} else {
		run.State, run.Attempts = builder.RunWaiting, 0
	}
	run.Retry, run.Error = s.o.Policy.First, "the server stopped meanwhile"
	return run
}

// attempts counts this call, unless the one before has not come to its end.
func attempts(before *builder.TriggerRun) int {
	switch {
	case before == nil:
		return 1
	case before.State == builder.RunRunning:
		return max(before.Attempts, 1)
	}
	return before.Attempts + 1
}

func refused(run builder.TriggerRun, why string) builder.TriggerRun {
	run.State, run.Error = builder.RunFailed, why
	return run
}

// show makes a foreign text fit for a record: without secrets, without what
// could steer a terminal, and not too long. Secrets go first: cutting before
// could leave the beginning of one.
func (s *Set) show(ctx context.Context, text string, limit int) string {
	if text == "" {
		return ""
	}
	text = s.o.Redact(ctx, text)
	text = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) <= limit {
		return text
	}
	const cut = "…"
	end := limit - len(cut)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cut
}
