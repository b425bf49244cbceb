package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// repository is a work tree with a remote at the installation.
type repository struct {
	in   *installation
	name string // owner/name
	dir  string
}

// create makes a work tree from files, with one commit.
func (in *installation) create(ctx context.Context, name string, write func(dir string) error) (*repository, error) {
	r := &repository{in: in, name: name, dir: in.path("work", name)}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, err
	}
	if err := write(r.dir); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"config", "user.name", "Bench"},
		{"config", "user.email", "bench@example.com"},
		{"config", "credential.helper", in.CredentialHelper()},
		{"config", "gc.auto", "0"},
		{"remote", "add", "origin", in.Remote(name)},
		{"add", "-A"},
		{"commit", "-q", "-m", "first"},
	} {
		if _, err := r.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// git runs git in the work tree and returns what it said.
func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Env = gitEnv()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, tail(out.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

func gitEnv() []string {
	return append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
}

// commit changes one file and commits it; it returns the commit.
func (r *repository) commit(ctx context.Context, file, content string) (string, error) {
	if err := os.WriteFile(filepath.Join(r.dir, file), []byte(content), 0o644); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "commit", "-q", "-m", "change "+file, "--", file); err != nil {
		return "", err
	}
	return r.git(ctx, "rev-parse", "HEAD")
}

// push is one `git push`, until it has shown how the builds ended.
func (r *repository) push(ctx context.Context, args ...string) (interval, error) {
	i := interval{began: time.Now()}
	_, err := r.git(ctx, append([]string{"push", "-q", "origin"}, args...)...)
	i.ended = time.Now()
	return i, err
}

// prose writes about size bytes of lines that compress and differ as source
// code does, the same for the same seed.
func prose(seed uint64, size int) []byte {
	words := strings.Fields("func return if err nil range struct type map string int error context package import const var for switch case default select go defer interface")
	r := rand.New(rand.NewPCG(seed, 20))
	var b bytes.Buffer
	for b.Len() < size {
		for range 4 + r.IntN(8) {
			if r.IntN(3) == 0 {
				fmt.Fprintf(&b, "%s%x ", words[r.IntN(len(words))], r.Uint32())
			} else {
				b.WriteString(words[r.IntN(len(words))] + " ")
			}
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// writeFiles writes files by path.
func writeFiles(dir string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
