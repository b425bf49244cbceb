package builder

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// reportRun tells the commit how far a trigger is, under a context of its own,
// and shows the deployment that it may be.
func (c *Courier) reportRun(ctx context.Context, id, trigger string) error {
	at := time.Now().UTC() // before anything is read, so that of two reports the one that read later wins
	r, err := c.Records.Build(ctx, id)
	if err != nil {
		return err
	}
	run, err := c.Records.TriggerRun(ctx, id, trigger)
	if err != nil || r.StatusCommit() == "" {
		return err
	}
	err = c.report(ctx, Report{
		Repository: r.Repository, Ref: r.Ref, Commit: r.StatusCommit(), BuildID: r.ID, EventID: r.EventID, Seq: r.Seq,
		Context: r.TriggerContext(trigger), Trigger: trigger, State: c.stateOf(r, run), Description: DescribeRun(run), UpdatedAt: at, Run: &run,
	})
	if err != nil && !errors.As(err, new(Later)) {
		return err
	}
	if to, d := c.deployment(r, trigger); to != nil {
		err = errors.Join(err, to.Deploy(ctx, d.deployed(run)))
	}
	return err
}

// stateOf puts a run's state in the words that forges share. A message that
// did not arrive is an error of it, a rollout that did not happen a failure.
func (c *Courier) stateOf(r Record, run TriggerRun) ReportState {
	switch run.State {
	case RunSucceeded, RunSkipped:
		return StatusSuccess
	case RunFailed:
		if c.watched(r, run.Trigger) {
			return StatusFailure
		}
		return StatusError
	}
	return StatusPending
}

var httpStatus = regexp.MustCompile(`^[1-5]\d\d( |$)`)

// DescribeRun tells in one line of at most 140 characters what came of a
// trigger, for a commit status.
func DescribeRun(run TriggerRun) string {
	answer := firstLine(run.Answer)
	if httpStatus.MatchString(answer) {
		answer = run.Action + " answered " + answer
	}
	switch run.State {
	case RunSucceeded:
		return withTail(orText(answer, run.Action), tookTail(answer, run))
	case RunSkipped:
		return oneLine("skipped", answer)
	case RunRunning:
		return clip(orText(answer, run.Action), maxDescription)
	case RunFailed:
		tail := ""
		if run.Attempts > 1 {
			tail = "; given up after " + count(run.Attempts, "attempt")
		}
		return withTail(orText(firstLine(run.Error), "failed"), tail)
	}
	if run.Error == "" {
		return "waiting"
	}
	tail := ""
	if run.Attempts > 0 {
		tail = "; " + ordinal(run.Attempts) + " attempt"
	}
	if run.Retry = run.NextAt.Sub(run.StartedAt.Add(run.Took)); !run.NextAt.IsZero() && run.Retry >= time.Second {
		tail += ", again in " + wait(run.Retry)
	}
	return withTail(firstLine(run.Error), tail)
}

// wait is a time to come, roughly.
func wait(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	}
	return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
}

// tookTail is how long it took, where the answer does not say that itself.
func tookTail(answer string, run TriggerRun) string {
	if run.Took <= 0 || strings.Contains(answer, " in ") {
		return ""
	}
	return " in " + duration(run.Took)
}

// withTail cuts the text, never the tail.
func withTail(text, tail string) string {
	return clip(text, maxDescription-utf8.RuneCountInString(tail)) + tail
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.Join(strings.Fields(line), " ")
}
