package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
)

// worktree is a repository on this machine.
type worktree struct {
	top, gitDir string
	commit, ref string // ref is "" when HEAD is detached
	origin      string
	dirty       []string
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", errors.New(strings.TrimPrefix(firstOf(strings.TrimSpace(stderr.String()), "git "+args[0]+": "+err.Error()), "fatal: "))
	}
	return strings.TrimRight(string(out), "\n"), nil
}

func openWorktree(ctx context.Context, path string) (*worktree, error) {
	git := func(args ...string) (string, error) { return git(ctx, path, args...) }
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	w := &worktree{top: top}
	if w.gitDir, err = git("rev-parse", "--absolute-git-dir"); err != nil {
		return nil, err
	}
	// None of these is there in every repository.
	w.commit, _ = git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	w.ref, _ = git("symbolic-ref", "--quiet", "HEAD")
	w.origin, _ = git("remote", "get-url", "origin")
	status, err := git("status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if status != "" {
		w.dirty = strings.Split(status, "\n")
	}
	return w, nil
}

// resolve returns the commit that a ref names, "" when there is none.
func (w *worktree) resolve(ctx context.Context, ref string) string {
	commit, _ := git(ctx, w.top, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	return commit
}

// Origin is for source: the repository is read where it is.
func (w *worktree) Origin(context.Context, builder.Repository) (builder.Origin, error) {
	return builder.Origin{Dir: w.gitDir}, nil
}

// repository is named as the server would name it: by the remote's last two
// elements, else by the folder.
func (w *worktree) repository() builder.Repository {
	parts := strings.FieldsFunc(strings.TrimSuffix(w.origin, ".git"), func(r rune) bool { return r == '/' || r == ':' })
	owner, name := "local", filepath.Base(w.top)
	if len(parts) >= 2 {
		owner, name = parts[len(parts)-2], parts[len(parts)-1]
	}
	return builder.Repository{Forge: "local", ID: w.top, Owner: owner, Name: name}
}

// event is HEAD, as if it were pushed now by hand.
func (w *worktree) event(image string) builder.Event {
	return builder.Event{
		ID: "local:" + w.commit, Kind: builder.Requested, Repository: w.repository(), Ref: w.ref, Commit: w.commit,
		Request: &builder.Request{Image: image}, AcceptedAt: time.Now(),
	}
}
