package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// git runs git on one clone and its remote.
type git struct {
	dir    string // "" is none
	remote Remote
	author Author
}

// origin names the remote; its address is in the environment only.
const origin = "origin"

// settings hold for every git that runs here. They travel in the environment.
var settings = [...][2]string{
	{"safe.directory", "*"},
	{"core.hooksPath", "/dev/null"},
	{"core.fsmonitor", "false"},
	{"credential.helper", ""},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"fetch.unpackLimit", "1"},
	{"protocol.version", "2"},
	{"http.followRedirects", "false"}, // a header must not go where a server sends us
	{"http.lowSpeedLimit", "1"},
	{"http.lowSpeedTime", "30"},
	{"core.bigFileThreshold", "8m"},
	{"remote." + origin + ".promisor", "true"},
	{"remote." + origin + ".partialclonefilter", "blob:none"},
	{"push.negotiate", "false"},
}

// environment is git's: none of our GIT_* variables but those for certificates,
// no configuration of the user or the system, no prompts. The header that
// opens the remote is here, where no other user of the machine sees it.
func (g git) environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); {
		case strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "GIT_SSL_"):
		case name == "HOME", name == "XDG_CONFIG_HOME", name == "SSH_ASKPASS":
		case name == "LANG", name == "LANGUAGE", strings.HasPrefix(name, "LC_"), name == "TZ":
		default:
			env = append(env, kv)
		}
	}
	scheme, _, _ := strings.Cut(g.remote.URL, ":")
	env = append(env,
		"LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "GIT_NO_REPLACE_OBJECTS=1", "GIT_LITERAL_PATHSPECS=1",
		"GIT_ALLOW_PROTOCOL="+scheme, // which target made sure of
		"GIT_AUTHOR_NAME="+g.author.Name, "GIT_AUTHOR_EMAIL="+g.author.Email,
		"GIT_COMMITTER_NAME="+g.author.Name, "GIT_COMMITTER_EMAIL="+g.author.Email,
	)
	config := append(settings[:len(settings):len(settings)], [2]string{"remote." + origin + ".url", g.remote.URL})
	if g.remote.Header != "" {
		config = append(config, [2]string{"http." + g.remote.URL + ".extraHeader", g.remote.Header})
	}
	if g.remote.Proxy != "" {
		config = append(config, [2]string{"http." + g.remote.URL + ".proxy", g.remote.Proxy})
	}
	if g.remote.CA != "" {
		env = append(env, "GIT_SSL_CAINFO="+g.remote.CA)
	}
	for i, kv := range config {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+kv[0], "GIT_CONFIG_VALUE_"+n+"="+kv[1])
	}
	return append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(config)))
}

// stopWait is how long a git that was told to end may clean up after itself.
const stopWait = 3 * time.Second

// run runs git in a process group of its own, so that its helpers end with
// it, and returns its output. The error is ctx's when that ended, else a
// *gitError or why git could not be started.
func (g git) run(ctx context.Context, stdin string, args ...string) (string, error) {
	subcommand := args[0]
	if g.dir != "" {
		args = append([]string{"--git-dir=" + g.dir}, args...)
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = "/", g.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	stdout, stderr := &limited{max: maxOutput}, &limited{max: 16 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), stdout, stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what outlived the polite signal
		}
		return "", fmt.Errorf("git %s: %w", subcommand, context.Cause(ctx))
	case errors.As(err, &exit):
		return stdout.String(), &gitError{subcommand, exit.ExitCode(), g.redact(stdout.String()), g.redact(stderr.String())}
	case err != nil:
		return "", fmt.Errorf("git %s: %w", subcommand, err)
	case stdout.over:
		return "", fmt.Errorf("git %s: the answer is larger than %d MiB", subcommand, maxOutput>>20)
	}
	return stdout.String(), nil
}

// line is run for an answer of one line.
func (g git) line(ctx context.Context, stdin string, args ...string) (string, error) {
	out, err := g.run(ctx, stdin, args...)
	return strings.TrimSuffix(out, "\n"), err
}

// redact takes the right out of what git or a server says.
func (g git) redact(text string) string {
	if g.remote.Header == "" {
		return text
	}
	text = strings.ReplaceAll(text, g.remote.Header, "***")
	if _, login, ok := strings.Cut(g.remote.Header, "Basic "); ok {
		text = strings.ReplaceAll(text, login, "***")
	}
	return text
}

// gitError is a git that ran and answered no.
type gitError struct {
	subcommand     string
	code           int
	stdout, stderr string
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: exit status %d: %s", e.subcommand, e.code, oneLine(strings.ToValidUTF8(e.stderr, "")))
}

// said reports whether git, or the server through it, said one of the texts.
func said(err error, texts ...string) bool {
	var answer *gitError
	if !errors.As(err, &answer) {
		return false
	}
	all := strings.ToLower(answer.stdout + "\n" + answer.stderr)
	for _, t := range texts {
		if strings.Contains(all, t) {
			return true
		}
	}
	return false
}

// told is what the server's side said, for people: git's "remote:" lines.
func told(err error) string {
	var answer *gitError
	if !errors.As(err, &answer) {
		return ""
	}
	var lines []string
	for line := range strings.Lines(answer.stderr) {
		if text, ok := strings.CutPrefix(line, "remote: "); ok && strings.TrimSpace(text) != "" {
			lines = append(lines, oneLine(text))
		}
	}
	text := strings.ToValidUTF8(strings.Join(lines, "; "), "")
	return text[:min(len(text), 500)]
}

// maxOutput bounds what one git may print: directories and files are small.
const maxOutput = 16 << 20

// limited keeps the beginning of what is written to it.
type limited struct {
	bytes.Buffer
	max  int
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := max(l.max-l.Len(), 0)
	l.over = l.over || room < len(p)
	l.Buffer.Write(p[:min(room, len(p))])
	return len(p), nil
}
