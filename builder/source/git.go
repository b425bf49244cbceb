package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// git runs git on one repository.
type git struct {
	dir string // the git directory, absolute; "" is none
	env []string
}

// settings hold for every git that runs here. They travel in the environment,
// the only place from which git accepts safe.directory beside the files of
// the user and the system, and those are not read.
var settings = [...][2]string{
	{"safe.directory", "*"}, // mirrors and origins may belong to another user
	{"core.hooksPath", "/dev/null"},
	{"core.fsmonitor", "false"},
	{"credential.helper", ""},
	// Collecting garbage takes objects from under a reader.
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	// A fetch becomes visible whole, as a pack, or not at all; loose objects
	// would appear one by one.
	{"fetch.unpackLimit", "1"},
	{"protocol.version", "2"},
	// A server that says nothing for a minute is gone.
	{"http.lowSpeedLimit", "1"},
	{"http.lowSpeedTime", "60"},
	// Above this git streams a blob; below it holds the blob in memory.
	{"core.bigFileThreshold", "8m"},
}

// environment makes git's environment from ours: none of our GIT_* variables,
// no configuration of the user or the system, no prompts, English messages.
func environment(ours []string, extra ...[2]string) []string {
	var env []string
	for _, kv := range ours {
		switch name, _, _ := strings.Cut(kv, "="); {
		case strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "GIT_SSL_"):
		case name == "HOME", name == "XDG_CONFIG_HOME": // .netrc too
		case name == "LANG", name == "LANGUAGE", strings.HasPrefix(name, "LC_"):
		default:
			env = append(env, kv)
		}
	}
	env = append(env,
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_NO_LAZY_FETCH=1",
		// refs/replace would show other bytes than the hash stands for.
		"GIT_NO_REPLACE_OBJECTS=1",
		// No ext::, whose URLs are commands.
		"GIT_ALLOW_PROTOCOL=file:git:http:https:ssh",
	)
	config := append(settings[:], extra...)
	for i, kv := range config {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+kv[0], "GIT_CONFIG_VALUE_"+n+"="+kv[1])
	}
	return append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(config)))
}

// stopWait is how long a git that was told to end may clean up after itself.
const stopWait = 3 * time.Second

// command prepares git with a process group of its own, so that its helpers
// (git-remote-https, index-pack) end with it.
func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	if g.dir != "" {
		args = append([]string{"--git-dir=" + g.dir}, args...)
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = "/" // no repository, whatever folder we were started in
	cmd.Env = g.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	return cmd
}

// run runs git to its end and returns its output. Its error is ctx's when ctx
// ended, else a *gitError or why git could not be started.
func (g git) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	var stdout bytes.Buffer
	err := g.runInto(ctx, &stdout, stdin, args...)
	return stdout.Bytes(), err
}

// runInto is run for an output that stdout may refuse to take: git ends then.
func (g git) runInto(ctx context.Context, stdout io.Writer, stdin string, args ...string) error {
	cmd := g.command(ctx, args...)
	stderr := &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), stdout, stderr
	err := cmd.Run()
	if cmd.Process != nil && ctx.Err() != nil {
		// What outlived the polite signal.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return explain(ctx, err, args[0], stderr)
}

// explain gives the error of a git command its text.
func explain(ctx context.Context, err error, subcommand string, stderr *tail) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("git %s: %w", subcommand, ctx.Err())
	case errors.As(err, &exit):
		return &gitError{subcommand: subcommand, code: exit.ExitCode(), stderr: stderr.String()}
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("git is not installed (apt-get install -y git): %w", err)
	}
	return fmt.Errorf("git %s: %w", subcommand, err)
}

// gitError is a git that ran and answered no.
type gitError struct {
	subcommand string
	code       int
	stderr     string
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: exit status %d: %s", e.subcommand, e.code, e.stderr)
}

// tail keeps the end of what is written to it: git says last why it fails.
type tail struct{ buf []byte }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	return strings.ToValidUTF8(strings.TrimSpace(string(t.buf)), "�")
}
