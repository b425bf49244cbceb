package main

import (
	"context"
	"fmt"
	"time"
)

// measurePromotion measures a new tag on what is built already: a git tag is
// pushed, against a fully cached buildctl build that pushes under a new tag.
// buildctl looks at every file of the context to find out that nothing is to
// be done, so there is a row for a small repository and one for a large one.
func measurePromotion(ctx context.Context, in *installation, rounds int) ([]row, error) {
	big, err := in.openBig(ctx)
	if err != nil {
		return nil, err
	}
	app, err := in.openApp(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Printf("promotion: a new tag on a built commit of %d files\n", bigFiles)
	large, err := big.measurePromotion(ctx, rounds)
	if err != nil {
		return nil, err
	}
	large.name, large.least = "promotion_vs_cached_build", 3
	fmt.Printf("promotion: the same with %d files\n", appFiles)
	small, err := app.measurePromotion(ctx, rounds)
	small.name = "promotion_vs_cached_build_small"
	return []row{large, small}, err
}

func (p *project) measurePromotion(ctx context.Context, rounds int) (row, error) {
	// The commit at HEAD is built by both sides before anything is measured.
	if _, err := p.pushLine(ctx, rounds+1); err != nil {
		return row{}, err
	}
	if _, err := p.in.buildPush(ctx, p.dir, p.other+":latest"); err != nil {
		return row{}, err
	}
	r := row{note: "from git push to the tag in the registry"}
	for round := range rounds + 1 {
		tag := fmt.Sprintf("v1.%d", round)
		var ours promotion
		var run buildctlRun
		err := takeTurns(round,
			func() (err error) { ours, err = p.promote(ctx, tag); return err },
			func() (err error) { run, err = p.in.buildPush(ctx, p.dir, p.other+":"+tag); return err })
		if err != nil {
			return row{}, err
		}
		fmt.Printf("  round %d: ours %s  buildctl %s%s\n", round, milliseconds(ours.took), milliseconds(run.took()), warmUp(round))
		if round > 0 {
			r.add(ours.push, ours.took, run.took())
		}
	}
	return r, nil
}

// promotion is how long a tag took: from the start of git push until the tag
// was put, and of that until the server had accepted it.
type promotion struct{ took, push time.Duration }

func (p *project) promote(ctx context.Context, tag string) (promotion, error) {
	if _, err := p.git(ctx, "tag", tag); err != nil {
		return promotion{}, err
	}
	commit, err := p.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return promotion{}, err
	}
	took, err := p.push(ctx, tag)
	if err != nil {
		return promotion{}, err
	}
	b, err := p.in.build(ctx, p.name, "refs/tags/"+tag, commit, "promoted")
	if err != nil {
		return promotion{}, err
	}
	if p.in.showSteps {
		fmt.Printf("    ours: accepted %s, started %s, finished %s, push ended %s\n", milliseconds(b.AcceptedAt.Sub(took.began)),
			milliseconds(b.StartedAt.Sub(took.began)), milliseconds(b.FinishedAt.Sub(took.began)), milliseconds(took.took()))
	}
	return promotion{took: b.FinishedAt.Sub(took.began), push: b.AcceptedAt.Sub(took.began)}, nil
}
