package builder

import (
	"context"
	"fmt"
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

// Hider is a Redactor that hides more than it knows by itself. One that cannot
// is not trusted with builds that use credentials.
type Hider interface {
	Redactor
	// Hide returns one that hides these values, too, in every form.
	Hide(values ...string) Hider
}

// hide keeps a credential that this attempt opened out of its log and its
// result. The store's own redactor knows the values that the store holds; this
// one may be replaced there while its build goes on.
func (a *attempt) hide(ctx context.Context, c Credential) error {
	var fresh []string
	for field, value := range c.Fields {
		switch field {
		case FieldUsername, FieldRegistry, FieldService, FieldServer, FieldFrom: // names, no secrets
		default:
			if value != "" && !slices.Contains(a.hidden, value) {
				fresh = append(fresh, value)
			}
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	hider, ok := a.Redactor.(Hider)
	if !ok {
		return fmt.Errorf("credential %s is not used: the log's redactor cannot hide it", c.Name)
	}
	a.hidden = append(a.hidden, fresh...)
	w := *a.Worker
	w.Redactor = hider.Hide(fresh...)
	a.Worker = &w
	out := w.Redactor.Writer(context.WithoutCancel(ctx), a.out)
	a.closers = append(a.closers, out)
	a.out = out
	return nil
}

// closeLog writes out what the redactors of this attempt still hold.
func (a *attempt) closeLog() {
	for _, c := range slices.Backward(a.closers) {
		c.Close()
	}
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
// arguments: all at once, because each look goes through every form of every
// secret.
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
