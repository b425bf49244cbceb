// Command demo shows the main job for real, on this machine: it starts
// `registry-build up` in a temporary folder, pushes a sample repository to it
// and looks at what came of it. It fails when anything is not as it tells.
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
	keep := flag.Bool("keep", false, "keep it on and print the addresses")
	program := flag.String("program", "bin/registry-build", "the program to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, *keep); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string, keep bool) (err error) {
	began := time.Now()
	d, err := open(ctx, program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for i, step := range []struct {
		title string
		do    func(*demo) error
	}{
		{"A push becomes an image", (*demo).push},
		{"The image comes back from the registry", (*demo).pull},
		{"A tag on the same commit: no build, the digest gets the tag", (*demo).release},
		{"A broken Dockerfile: the failing line", (*demo).fail},
		{"The webhook trigger has fired", (*demo).trigger},
		{"Somebody pushes an image by hand: its triggers fire, too", (*demo).pushByHand},
	} {
		fmt.Printf("\n\033[1m%d. %s\033[0m\n", i+1, step.title)
		if err := step.do(d); err != nil {
			return fmt.Errorf("%d. %s: %w", i+1, step.title, err)
		}
	}
	fmt.Printf("\n\033[1mSummary\033[0m\n")
	for _, line := range d.summary {
		fmt.Println("  " + line)
	}
	fmt.Printf("  all of it in %s\n", time.Since(began).Round(100*time.Millisecond))
	if keep {
		d.invite()
		<-ctx.Done()
	}
	return nil
}
