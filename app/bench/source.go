package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// sourceRound is what one round measured: git push until acceptance, and the
// context of each side.
type sourceRound struct {
	push                    time.Duration
	ours, gitContext, clone contextTimes
}

// measureSource measures, for a commit that changes one file of a large
// repository, how long it takes until BuildKit can use the commit's files: see
// contextReady for the moment that this means.
func measureSource(ctx context.Context, in *installation, rounds int) ([]row, error) {
	fmt.Printf("source: one changed file of %d\n", bigFiles)
	p, err := in.openBig(ctx)
	if err != nil {
		return nil, err
	}
	const note = "from acceptance to the first COPY"
	git := row{name: "source_vs_git_context", least: 4, note: note}
	clone := row{name: "source_vs_clone", least: 10, note: note}
	loaded := row{name: "source_vs_git_context_loaded", note: "the same, to the end of loading"}
	for round := range rounds + 1 {
		var got sourceRound
		err := takeTurns(round,
			func() error { return sourceOurs(ctx, p, round, &got) },
			func() error { return sourceGitContext(ctx, p, round, &got) },
			func() error { return sourceClone(ctx, p, round, &got) })
		if err != nil {
			return nil, err
		}
		fmt.Printf("  round %d: push %s  ours %s  git context %s  clone %s%s\n", round, milliseconds(got.push),
			milliseconds(got.ours.ready), milliseconds(got.gitContext.ready), milliseconds(got.clone.ready), warmUp(round))
		if round > 0 {
			git.add(got.push, got.ours.ready, got.gitContext.ready)
			clone.add(got.push, got.ours.ready, got.clone.ready)
			loaded.add(got.push, got.ours.loaded, got.gitContext.loaded)
		}
	}
	return []row{git, clone, loaded}, nil
}

// sourceOurs pushes main and takes the time from the event's acceptance, as
// the store wrote it down, to the context in BuildKit.
func sourceOurs(ctx context.Context, p *project, round int, s *sourceRound) error {
	commit, err := p.change(ctx, "ours", round)
	if err != nil {
		return err
	}
	settle()
	got, err := p.pushAndWatch(ctx, commit)
	if err != nil {
		return err
	}
	accepted := got.build.AcceptedAt
	p.in.show("ours", accepted, got.ended, got.steps)
	s.push = accepted.Sub(got.began)
	s.ours, err = got.steps.context(accepted)
	return err
}

// sourceGitContext lets BuildKit fetch the commit by itself. The push of it
// goes before and is not counted.
func sourceGitContext(ctx context.Context, p *project, round int, s *sourceRound) error {
	const branch = "git-context"
	if err := p.pushAside(ctx, branch, round); err != nil {
		return err
	}
	settle()
	run, err := p.in.runBuildctl(ctx, p.dir, "--opt", "context="+p.in.Remote(p.name)+"#"+branch, "--secret", "id=GIT_AUTH_TOKEN,env=GIT_AUTH_TOKEN")
	if err != nil {
		return err
	}
	s.gitContext, err = run.steps.context(run.began)
	return err
}

// sourceClone clones the commit and sends the folder. Removing the clone of
// the round before is not counted.
func sourceClone(ctx context.Context, p *project, round int, s *sourceRound) error {
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
	cmd := exec.CommandContext(ctx, "git", "-c", "credential.helper="+p.in.CredentialHelper(),
		"clone", "-q", "--depth", "1", "--branch", branch, p.in.Remote(p.name), dir)
	cmd.Dir, cmd.Env = filepath.Dir(dir), gitEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git clone: %w\n%s", err, tail(out))
	}
	run, err := p.in.runBuildctl(ctx, dir, "--local", "context=.", "--local", "dockerfile=.")
	if err != nil {
		return err
	}
	s.clone, err = run.steps.context(began)
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
