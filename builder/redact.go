package builder

import (
	"context"
	"io"
	"slices"
	"strings"
)

// Redactor hides secrets wherever a build's text leaves.
type Redactor interface {
	// Writer stands in front of a log. Close flushes, and leaves w open.
	Writer(ctx context.Context, w io.Writer) io.WriteCloser
	Redact(ctx context.Context, text string) string
}

// redact hides secrets in what is stored and reported beside the log.
func (w *Worker) redact(ctx context.Context, r *Result) {
	for i := range r.Notes {
		r.Notes[i].Message = w.Redactor.Redact(ctx, r.Notes[i].Message)
	}
	r.Steps = redactSteps(ctx, w.Redactor, r.Steps)
	if r.Failure != nil {
		f := *r.Failure // whoever made it may keep it
		for _, text := range []*string{&f.Message, &f.Excerpt, &f.Output} {
			*text = w.Redactor.Redact(ctx, *text)
		}
		r.Failure = &f
	}
}

// redactSteps hides secrets in the steps' names, which hold expanded build
// arguments: all at once, because asking the redactor costs a file.
func redactSteps(ctx context.Context, r Redactor, steps []Step) []Step {
	if len(steps) == 0 {
		return steps
	}
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.Name
	}
	redacted := strings.Split(r.Redact(ctx, strings.Join(names, "\x00")), "\x00")
	out := slices.Clone(steps)
	for i := range out {
		if out[i].Name = "(hidden)"; len(redacted) == len(out) {
			out[i].Name = redacted[i]
		}
	}
	return out
}
