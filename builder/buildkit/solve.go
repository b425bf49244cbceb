package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/util/progress/progressui"

	"github.com/registry-build/registry-build/builder"
)

const (
	// logStall is how long a log may take nothing before lines are dropped.
	logStall = 10 * time.Second
	// grace is how long a cancelled solve may take to wind up.
	grace = 500 * time.Millisecond
	// noSession is what a daemon says that did not find the session of a solve
	// within five seconds, which a loaded machine can cause.
	noSession = "no active session"
)

// Solve implements builder.Solver. A cancelled solve returns within a second;
// by then the daemon has been told to kill the running steps. The steps come
// with an error, too. r.Progress is not called any more when Solve has
// returned.
func (s *Solver) Solve(ctx context.Context, r builder.SolveRequest, log io.Writer) (builder.Solution, error) {
	if err := ctx.Err(); err != nil {
		return builder.Solution{}, err
	}
	r = s.laned(r)
	readable, broken := context.WithCancelCause(ctx)
	defer broken(nil)
	if r.Files != nil {
		r.Files = watchedFiles{r.Files, broken}
	}
	opt, err := s.solveOpt(r)
	if err != nil {
		return builder.Solution{}, err
	}
	out := newOutlet(log, logStall)
	watch := newSteps(r.Dockerfile)
	last := watch.tell(r.Progress)
	solution, err := s.tries(readable, r, opt, out, watch)
	solution.Steps = watch.end(err == nil)
	last(solution.Steps)
	limit := logStall
	if readable.Err() != nil {
		limit = grace
	}
	out.Close(limit)
	if err != nil && ctx.Err() == nil && readable.Err() != nil {
		err = context.Cause(readable)
	}
	return solution, err
}

// tries solves until the image is pushed, or trying again cannot help.
func (s *Solver) tries(ctx context.Context, r builder.SolveRequest, opt client.SolveOpt, out *outlet, watch *steps) (builder.Solution, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.Multiplier = s.retry.first, 2
	var reconnected bool
	var waiting string
	solution, err := backoff.Retry(ctx, func() (builder.Solution, error) {
		for {
			watch.begin()
			solution, p, err := s.once(ctx, r, opt, out, watch)
			switch {
			case err == nil:
				return solution, nil
			case ctx.Err() != nil:
				return builder.Solution{}, backoff.Permanent(ctx.Err())
			case strings.Contains(err.Error(), noSession) && !reconnected:
				reconnected = true
				continue
			}
			failure := explain(err, r, p)
			if refused, ok := pushRefused(err, p); ok && refused.temporary() {
				waiting = refused.short()
				return builder.Solution{}, failure
			}
			return builder.Solution{}, backoff.Permanent(failure)
		}
	},
		backoff.WithBackOff(wait),
		backoff.WithMaxTries(s.retry.tries),
		backoff.WithMaxElapsedTime(s.retry.limit),
		backoff.WithNotify(func(_ error, d time.Duration) {
			fmt.Fprintf(out, "\nthe registry did not take the push (%s): trying again in %s\n\n", waiting, d.Round(100*time.Millisecond))
		}),
	)
	if ctx.Err() != nil && err != nil {
		return builder.Solution{}, ctx.Err()
	}
	return solution, err
}

// once is one solve. The progress is nil when ctx ended before the solve did.
func (s *Solver) once(ctx context.Context, r builder.SolveRequest, opt client.SolveOpt, out io.Writer, watch *steps) (builder.Solution, *progress, error) {
	show := s.display
	if show == nil {
		text, err := progressui.NewDisplay(out, progressui.PlainMode)
		if err != nil {
			return builder.Solution{}, nil, err
		}
		show = text.UpdateFrom
	}
	opt.Ref = identity.NewID() // names one job of the daemon, so never the same twice
	s.log.DebugContext(ctx, "solve", "attempt", r.ID, "ref", opt.Ref)

	type result struct {
		response *client.SolveResponse
		err      error
	}
	statuses := make(chan *client.SolveStatus)
	p := newProgress()
	p.watch, p.veil = watch, newVeil(r.Hide)
	followed := make(chan error, 1)
	done := make(chan result, 1)
	go func() { followed <- p.follow(ctx, statuses, show) }()
	go func() {
		response, err := s.client.Solve(ctx, nil, opt, statuses)
		if shown := <-followed; shown != nil {
			s.log.WarnContext(ctx, "progress display", "attempt", r.ID, "err", shown)
		}
		done <- result{response, err}
	}()

	var res result
	select {
	case res = <-done:
	case <-ctx.Done():
		// The client waits for the daemon's last status for seconds.
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case res = <-done:
		case <-t.C:
			return builder.Solution{}, nil, ctx.Err()
		}
	}
	if res.err != nil {
		return builder.Solution{}, p, res.err
	}
	solution := builder.Solution{
		Digest: res.response.ExporterResponse[exptypes.ExporterImageDigestKey],
		Notes:  p.notes(),
	}
	if solution.Digest == "" && len(opt.Exports) > 0 {
		return builder.Solution{}, p, errors.New("the daemon named no digest")
	}
	return solution, p, nil
}
