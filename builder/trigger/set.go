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
	Policy  Policy        // the zero one is DefaultPolicy
	Timeout time.Duration // of one attempt; 0: 10 s
	Log     *slog.Logger
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
	return &Set{o}, nil
}

// Due implements builder.Triggers; see the function of that name.
func (s *Set) Due(r builder.Record, last builder.State) []string { return Due(r, last) }

// Fire makes one attempt and records it. When ctx ends, because the server
// stops, the attempt is not the trigger's fault: the run waits, whatever its
// number.
func (s *Set) Fire(ctx context.Context, f builder.Firing) builder.TriggerRun {
	run := builder.TriggerRun{
		BuildID: f.Record.ID, Trigger: f.Trigger, Attempts: attempts(f.Before), StartedAt: time.Now().UTC(),
	}
	i := slices.IndexFunc(f.Record.Triggers, func(t config.Trigger) bool { return t.Name == f.Trigger })
	if i < 0 {
		return refused(run, fmt.Sprintf("build %s has no trigger %q", f.Record.ID, f.Trigger))
	}
	t := f.Record.Triggers[i]
	run.Condition = condition(t)
	kind := s.o.Kinds[KindOf(t)]
	if kind == nil {
		return refused(run, fmt.Sprintf("trigger %q is of a kind that this server does not offer", t.Name))
	}
	firing := firing(t, f.Record, run.Attempts)
	if f.Before != nil {
		firing.Memo = f.Before.Memo
	}
	run.Tags = firing.Tags

	attempt, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	answer, err := kind.Fire(attempt, firing)
	run.Took = time.Since(run.StartedAt)
	run.Action = s.show(ctx, kind.Action(t), maxError)
	run.Answer, run.URL, run.Memo = s.show(ctx, answer.Text, maxAnswer), answer.URL, answer.Memo
	s.settle(ctx, &run, answer, err)
	return run
}

// settle decides what the attempt's end means.
func (s *Set) settle(ctx context.Context, run *builder.TriggerRun, answer Answer, err error) {
	log := s.o.Log.With("build", run.BuildID, "trigger", run.Trigger, "attempt", run.Attempts, "took", run.Took)
	switch {
	case err != nil:
	case answer.Again > 0:
		run.State, run.Retry = builder.RunRunning, answer.Again
		return
	case answer.Skipped:
		run.State = builder.RunSkipped
		log.Info("trigger skipped", "answer", run.Answer)
		return
	default:
		run.State = builder.RunSucceeded
		log.Info("trigger fired")
		return
	}
	run.State, run.Error = builder.RunFailed, s.show(ctx, err.Error(), maxError)
	asked, again := IsTemporary(err)
	switch {
	case ctx.Err() != nil:
		run.Retry, run.Error = s.o.Policy.First, "the server stopped meanwhile"
	case again:
		run.Retry = s.o.Policy.Wait(run.Attempts, asked)
	}
	if run.Retry > 0 {
		run.State = builder.RunWaiting
	}
	log.Warn("trigger failed", "err", run.Error, "retry", run.Retry)
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
