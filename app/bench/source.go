package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// sourceSamples are the times of all sides of one comparison.
type sourceSamples struct{ push, ours, gitContext, clone samples }

// measureSource measures, for a commit that changes one file of a large
// repository, how long it takes until BuildKit holds the commit's tree: see
// loaded for the moment that this means.
func measureSource(ctx context.Context, in *installation, rounds int) ([]row, error) {
	fmt.Printf("source: one changed file of %d\n", bigFiles)
	p, err := in.openBig(ctx)
	if err != nil {
		return nil, err
	}
	var s sourceSamples
	for round := range rounds + 1 {
		var got sourceSamples
		err := takeTurns(round,
			func() error { return sourceOurs(ctx, p, round, &got) },
			func() error { return sourceGitContext(ctx, p, round, &got) },
			func() error { return sourceClone(ctx, p, round, &got) })
		if err != nil {
			return nil, err
		}
		fmt.Printf("  round %d: push %s  ours %s  git context %s  clone %s%s\n", round, milliseconds(got.push[0]),
			milliseconds(got.ours[0]), milliseconds(got.gitContext[0]), milliseconds(got.clone[0]), warmUp(round))
		if round > 0 {
			s.push, s.ours = append(s.push, got.push...), append(s.ours, got.ours...)
			s.gitContext, s.clone = append(s.gitContext, got.gitContext...), append(s.clone, got.clone...)
		}
	}
	note := "from acceptance to the tree in BuildKit"
	return []row{
		{name: "source_vs_git_context", ours: s.ours, other: s.gitContext, least: 4, push: s.push, note: note},
		{name: "source_vs_clone", ours: s.ours, other: s.clone, least: 10, push: s.push, note: note},
	}, nil
}

// sourceOurs pushes main and takes the time from the event's acceptance, as
// the store wrote it down, to the context in BuildKit.
func sourceOurs(ctx context.Context, p *project, round int, s *sourceSamples) error {
	commit, err := p.change(ctx, "ours", round)
	if err != nil {
		return err
	}
	settle()
	got, err := p.pushAndWatch(ctx, commit)
	if err != nil {
		return err
	}
	ready, err := got.steps.contextReady()
	if err != nil {
		return err
	}
	accepted := got.build.AcceptedAt
	p.in.show("ours", accepted, ready, got.steps)
	s.push = append(s.push, accepted.Sub(got.began))
	s.ours = append(s.ours, ready.Sub(accepted))
	return nil
}

// sourceGitContext lets BuildKit fetch the commit by itself. The push of it
// goes before and is not counted.
func sourceGitContext(ctx context.Context, p *project, round int, s *sourceSamples) error {
	const branch = "git-context"
	if err := p.pushAside(ctx, branch, round); err != nil {
		return err
	}
	settle()
	run, err := p.in.runBuildctl(ctx, p.dir, "--opt", "context="+p.in.remote(p.name)+"#"+branch, "--secret", "id=GIT_AUTH_TOKEN,env=GIT_AUTH_TOKEN")
	if err != nil {
		return err
	}
	ready, err := run.steps.contextReady()
	s.gitContext = append(s.gitContext, ready.Sub(run.began))
	return err
}

// sourceClone clones the commit and sends the folder. Removing the clone of
// the round before is not counted.
func sourceClone(ctx context.Context, p *project, round int, s *sourceSamples) error {
	const branch = "clone"
	if err := p.pushAside(ctx, branch, round); err != nil {
		return err
	}
	dir := p.in.path("clone")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	settle()
	began := time.Now()
	cmd := exec.CommandContext(ctx, "git", "-c", "credential.helper="+p.in.credentialHelper(),
		"clone", "-q", "--depth", "1", "--branch", branch, p.in.remote(p.name), dir)
	cmd.Dir, cmd.Env = filepath.Dir(dir), gitEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git clone: %w\n%s", err, tail(out))
	}
	run, err := p.in.runBuildctl(ctx, dir, "--local", "context=.", "--local", "dockerfile=.")
	if err != nil {
		return err
	}
	ready, err := run.steps.contextReady()
	s.clone = append(s.clone, ready.Sub(began))
	return err
}

// pushAside commits a change of the same file and pushes it to a branch that
// no rule builds, so that only the side that is measured works on it. It
// returns when the server has decided so.
func (p *project) pushAside(ctx context.Context, branch string, round int) error {
	if _, err := p.change(ctx, branch, round); err != nil {
		return err
	}
	_, err := p.push(ctx, "HEAD:refs/heads/"+branch)
	return err
}
