package builder

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Local runs one build of a plan outside of any queue, for the command line:
// the same preparing, solving and tagging, with the source that the caller has
// open. Without push the image stays in the builder's cache.
func (w *Worker) Local(ctx context.Context, b Build, src Source, login Login, push bool, out io.Writer) (Result, error) {
	began := time.Now()
	a := &attempt{
		Worker: w, lease: &Lease{Build: b.At(began), Attempt: 1}, log: slog.New(slog.DiscardHandler),
		out: out, began: began,
		fence: func(context.Context) error { return nil }, // nobody else has this build
	}
	a.introduce()
	var err error
	if a.daemon, err = w.Solvers.Acquire(ctx, b); err != nil {
		return a.result, err
	}
	defer a.daemon.Release()
	defer a.closeLog()
	request, err := a.prepare(ctx, src, login)
	if err != nil {
		return a.result, err
	}
	if !push {
		request.Destination = ""
	}
	solution, err := a.daemon.Solver.Solve(ctx, request, a.out)
	if err != nil {
		return a.result, err
	}
	a.result.Digest, a.result.Notes = solution.Digest, solution.Notes
	if push {
		err = a.tag(ctx, src, login)
	}
	return a.result, err
}
