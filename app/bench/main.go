// Command bench measures what a push costs here against what people do
// without registry-build: `buildctl build` from a git context, from a fresh
// shallow clone, and from a folder that is checked out. It starts one
// `registry-build up` with real parts; all sides use its git remote, its
// BuildKit daemon and its registry, in turn, in one run. README.md says what
// is measured between which moments, and why that is fair.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == bareFlag {
		fmt.Fprintf(os.Stderr, "bench: %v\n", serveBare(os.Args[2]))
		os.Exit(1)
	}
	var o options
	flag.StringVar(&o.program, "program", "bin/registry-build", "the program to measure")
	flag.StringVar(&o.tools, "tools", "bin", "the folder of buildctl and buildkitd")
	flag.IntVar(&o.rounds, "rounds", 7, "measurements of each side, at least 5")
	flag.StringVar(&o.only, "only", "", "measure only this: source, push, promotion, intake, queued, rollout or triggers")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder with logs and repositories")
	flag.BoolVar(&o.steps, "steps", false, "show BuildKit's steps of every measurement, to find where time goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "\nbench: %v\n", err)
		os.Exit(1)
	}
}

type options struct {
	program, tools string
	rounds         int
	only           string
	keep, steps    bool
}

// scene prepares what it needs and measures some rows.
type scene struct {
	name string
	run  func(context.Context, *installation, int) ([]row, error)
}

func bench(ctx context.Context, o options) (err error) {
	if o.rounds < 5 {
		return errors.New("-rounds must be 5 or more: a median of less says little")
	}
	began := time.Now()
	in, err := start(ctx, o.program, o.tools)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close(o.keep)) }()
	in.showSteps = o.steps
	var rows []row
	for _, s := range []scene{{"source", measureSource}, {"push", measurePush}, {"promotion", measurePromotion}, {"intake", measureIntake}, {"queued", measureQueued}, {"rollout", measureRollout}, {"triggers", measureBurst}} {
		if o.only != "" && o.only != s.name {
			continue
		}
		got, err := s.run(ctx, in, o.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, got...)
	}
	if len(rows) == 0 {
		return fmt.Errorf("-only %q: there is source, push, promotion, intake, queued, rollout and triggers", o.only)
	}
	fmt.Println()
	printTable(os.Stdout, rows)
	fmt.Printf("\n%d rounds of each, in turn; all of it in %s\n", o.rounds, time.Since(began).Round(time.Second))
	if name := os.Getenv("BENCH_OUT"); name != "" {
		return writeRows(name, rows)
	}
	return nil
}
