package main

import (
	"context"
	"fmt"
	"time"

	"github.com/registry-build/registry-build/handlers"
)

const (
	pushLimit  = 2 * time.Minute  // for one push with its build
	watchLimit = 10 * time.Second // for the end of a status stream, after its build's
)

// measurePush measures one changed source line: a push, until git push ends,
// against buildctl build with push in the folder. What each side changes is
// its own, so neither finds the other's layer in the cache.
func measurePush(ctx context.Context, in *installation, rounds int) ([]row, error) {
	fmt.Println("push: a base, a cached RUN, one changed line of source")
	p, err := in.openApp(ctx)
	if err != nil {
		return nil, err
	}
	r := row{name: "push_vs_buildctl", least: 0.8, note: "from git push to its end, digest and tags told"}
	for round := range rounds + 1 {
		var pushed pushed
		var run buildctlRun
		err := takeTurns(round,
			func() (err error) { pushed, err = p.pushLine(ctx, round); return err },
			func() (err error) { run, err = p.buildctlLine(ctx, round); return err })
		if err != nil {
			return nil, err
		}
		fmt.Printf("  round %d: ours %s  buildctl %s%s\n", round, milliseconds(pushed.took()), milliseconds(run.took()), warmUp(round))
		if round > 0 {
			r.add(pushed.build.AcceptedAt.Sub(pushed.began), pushed.took(), run.took())
		}
	}
	return []row{r}, nil
}

func (p *project) pushLine(ctx context.Context, round int) (pushed, error) {
	commit, err := p.change(ctx, "ours", round)
	if err != nil {
		return pushed{}, err
	}
	got, err := p.pushAndWatch(ctx, commit)
	if err == nil {
		p.in.show("ours", got.began, got.ended, got.steps)
	}
	return got, err
}

func (p *project) buildctlLine(ctx context.Context, round int) (buildctlRun, error) {
	if _, err := p.change(ctx, "buildctl", round); err != nil {
		return buildctlRun{}, err
	}
	return p.in.buildPush(ctx, p.dir, p.other+":latest")
}

// pushed is a push of main with the build that it started.
type pushed struct {
	interval
	build handlers.Build
	steps steps
}

// pushAndWatch pushes main, follows the solve that it starts, and returns when
// git push has ended; the build must have succeeded.
func (r *repository) pushAndWatch(ctx context.Context, commit string) (pushed, error) {
	r.in.forgetSolves()
	ctx, done := context.WithTimeout(ctx, pushLimit)
	defer done() // ends the watcher too
	type watched struct {
		steps steps
		err   error
	}
	watching := make(chan watched, 1)
	go func() {
		found, err := r.in.watch(ctx)
		watching <- watched{found, err}
	}()
	took, err := r.push(ctx, "main")
	if err != nil {
		return pushed{}, err
	}
	build, err := r.in.build(ctx, r.name, "refs/heads/main", commit, "succeeded")
	if err != nil {
		return pushed{}, err
	}
	select {
	case got := <-watching:
		if got.err != nil {
			return pushed{}, fmt.Errorf("build %s: %w", build.ID, got.err)
		}
		return pushed{took, build, got.steps}, nil
	case <-time.After(watchLimit):
		return pushed{}, fmt.Errorf("build %s has ended and its solve was not seen: the debug log of `up` names it as msg=solve ref=…", build.ID)
	}
}
