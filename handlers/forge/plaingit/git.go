package plaingit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// protocol is a Git-Protocol header that is handed to git: keys and values of
// letters and digits, joined by colons. Anything else is dropped.
var protocol = regexp.MustCompile(`^[A-Za-z0-9]+(=[A-Za-z0-9.]+)?(:[A-Za-z0-9]+(=[A-Za-z0-9.]+)?){0,9}$`)

// command is a git process of its own group with an environment that holds
// nothing of ours, so that neither the machine's git configuration nor the
// server's secrets reach it. Ending ctx ends the whole group.
func (f *Forge) command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, f.git, args...)
	cmd.Env = append(f.environ(dir), env...)
	cmd.Dir = f.opts.Root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (f *Forge) environ(dir string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + f.opts.RunDir,
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0",
		// A pushed refs/replace would let a hash stand for another object.
		"GIT_NO_REPLACE_OBJECTS=1",
	}
	config := [...][2]string{
		{"core.hooksPath", f.hooks},
		{"safe.directory", dir},
		// What was accepted survives a power cut: git's default leaves refs
		// and loose objects to the page cache.
		{"core.fsync", "committed,reference"},
		{"gc.auto", "0"},
		{"receive.autogc", "false"},
		{"receive.fsckObjects", "true"},
		// Larger files are streamed. Below git's default of 512 MB each is held in
		// memory, and 400 KB of a push can be 400 MB of zeros: measured 404 and 13 MB.
		{"core.bigFileThreshold", "8m"},
		{"receive.advertisePushOptions", "true"},
		{"uploadpack.allowAnySHA1InWant", "false"},
		{"uploadpack.allowFilter", "true"},
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(config)))
	for i, kv := range config {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+kv[0], "GIT_CONFIG_VALUE_"+n+"="+kv[1])
	}
	return env
}

// output runs a short command in the repository.
func (f *Forge) output(ctx context.Context, r repository, args ...string) (string, error) {
	return f.feed(ctx, r, "", args...)
}

func (f *Forge) feed(ctx context.Context, r repository, stdin string, args ...string) (string, error) {
	cmd := f.command(ctx, r.dir, []string{"GIT_DIR=" + r.dir}, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return run(cmd)
}

func (f *Forge) initBare(ctx context.Context, dir string) error {
	_, err := run(f.command(ctx, dir, nil,
		"init", "--quiet", "--bare", "--template=", "--initial-branch="+defaultBranch, "--", dir))
	return err
}

// run returns what the command wrote, and in the error what it complained of.
func run(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", cmd.Args[1], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// peelInput asks cat-file --batch-check (with peelArgs) for the commits that
// objects lead to; peelOutput reads its answers.
func peelInput(objects []string) string {
	var in strings.Builder
	for _, o := range objects {
		in.WriteString(o + "^{commit}\n")
	}
	return in.String()
}

var peelArgs = [...]string{"cat-file", "--batch-check=%(objectname) %(objecttype)"}

// peelOutput maps each object to its commit. An object that leads to none (a
// tag of a tree, an object that is gone) is absent.
func peelOutput(objects []string, out string) map[string]string {
	peeled := make(map[string]string, len(objects))
	for i, line := range strings.Split(strings.TrimRight(out, "\n"), "\n") {
		commit, kind, _ := strings.Cut(line, " ")
		if i < len(objects) && kind == "commit" {
			peeled[objects[i]] = commit
		}
	}
	return peeled
}

// refs returns where branches and tags stand, annotated tags peeled to their
// commit. Tags of something else are absent: they start nothing.
func (f *Forge) refs(ctx context.Context, r repository) (map[string]string, error) {
	out, err := f.output(ctx, r, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	var names, objects []string
	for line := range strings.Lines(out) {
		object, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if checkRef(ref) == nil {
			names, objects = append(names, ref), append(objects, object)
		}
	}
	if len(names) == 0 {
		return map[string]string{}, nil
	}
	out, err = f.feed(ctx, r, peelInput(objects), peelArgs[:]...)
	if err != nil {
		return nil, err
	}
	peeled := peelOutput(objects, out)
	refs := make(map[string]string, len(names))
	for i, ref := range names {
		if commit := peeled[objects[i]]; commit != "" {
			refs[ref] = commit
		}
	}
	return refs, nil
}
