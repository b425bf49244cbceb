// Package gitserver is what the doubles of forges share: bare repositories on
// disk and git's smart protocol over HTTP. Who may do what, and what a push
// causes, is for the double to say.
package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
)

// ZeroSHA stands for no object, before a ref is made and after it is deleted.
const ZeroSHA = "0000000000000000000000000000000000000000"

// Repo is the folder of a bare repository.
type Repo string

// Command runs git away from the machine's own configuration.
func (b Repo) Command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = string(b)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C",
		"GIT_TERMINAL_PROMPT=0", "GIT_DIR=" + string(b),
	}, env...)
	return cmd
}

// Input runs git with a standard input and more environment, and returns what
// it says. Its error tells what git complained of.
func (b Repo) Input(env []string, stdin string, args ...string) (string, error) {
	cmd := b.Command(context.Background(), env, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// Run is Input without standard input, and without the last line feed.
func (b Repo) Run(args ...string) (string, error) {
	out, err := b.Input(nil, "", args...)
	return strings.TrimSuffix(out, "\n"), err
}

// Init makes the repository with the settings of a forge. Pushes cannot move
// the refs below hidden, which are the forge's own ("refs/pull").
func (b Repo) Init(branch, hidden string) error {
	if err := os.MkdirAll(string(b), 0o755); err != nil {
		return err
	}
	_, all := b.Run("init", "-q", "--bare", "--initial-branch="+branch, string(b))
	for _, kv := range [][2]string{
		{"uploadpack.allowAnySHA1InWant", "true"}, {"uploadpack.allowFilter", "true"}, {"receive.hideRefs", hidden},
		{"gc.auto", "0"}, {"receive.autogc", "false"}, {"core.logAllRefUpdates", "false"}, {"http.receivepack", "true"},
	} {
		_, err := b.Run("config", kv[0], kv[1])
		all = errors.Join(all, err)
	}
	return all
}

// Refs maps each full name to its object.
func (b Repo) Refs(patterns ...string) (map[string]string, error) {
	out, err := b.Run(append([]string{"for-each-ref", "--format=%(objectname) %(refname)"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		sha, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[name] = sha
	}
	return refs, nil
}

// Resolve finds the commit of a SHA, branch, tag or full ref; "" if there is
// none.
func (b Repo) Resolve(name string) string {
	if name == "" || strings.HasPrefix(name, "-") {
		return ""
	}
	candidates := []string{"refs/heads/" + name, "refs/tags/" + name, "refs/" + name, name}
	if len(name) == 40 || strings.HasPrefix(name, "refs/") {
		candidates = candidates[3:]
	}
	for _, candidate := range candidates {
		if sha, err := b.Run("rev-parse", "--verify", "--quiet", "--end-of-options", candidate+"^{commit}"); err == nil {
			return sha
		}
	}
	return ""
}

// Who is the environment by which git records a person, and the time in
// seconds since 1970.
func Who(name, email string, at int64) []string {
	return []string{
		"GIT_AUTHOR_NAME=" + name, "GIT_AUTHOR_EMAIL=" + email, fmt.Sprintf("GIT_AUTHOR_DATE=@%d +0000", at),
		"GIT_COMMITTER_NAME=" + name, "GIT_COMMITTER_EMAIL=" + email, fmt.Sprintf("GIT_COMMITTER_DATE=@%d +0000", at),
	}
}

// Commit writes a commit of files over a parent's tree. A file of no content
// that is marked with a nil value in files is removed.
func (b Repo) Commit(parent, message string, files map[string]*string, env []string) (string, error) {
	index, err := os.CreateTemp("", "gitserver-index-")
	if err != nil {
		return "", err
	}
	_ = index.Close()
	_ = os.Remove(index.Name()) // git takes an empty file for a broken index
	defer func() { _ = os.Remove(index.Name()) }()
	env = append([]string{"GIT_INDEX_FILE=" + index.Name()}, env...)
	if parent != "" {
		if _, err := b.Input(env, "", "read-tree", parent); err != nil {
			return "", err
		}
	}
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	var entries strings.Builder
	for _, path := range paths {
		if files[path] == nil {
			fmt.Fprintf(&entries, "0 %s\t%s\n", ZeroSHA, path)
			continue
		}
		blob, err := b.Input(nil, *files[path], "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&entries, "100644 %s\t%s\n", strings.TrimSpace(blob), path)
	}
	if _, err := b.Input(env, entries.String(), "update-index", "--index-info"); err != nil {
		return "", err
	}
	tree, err := b.Input(env, "", "write-tree")
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", strings.TrimSpace(tree), "-m", message}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	sha, err := b.Input(env, "", args...)
	return strings.TrimSpace(sha), err
}

// Merge writes the merge of two commits; "" if they are in conflict.
func (b Repo) Merge(base, head, message string, env []string) (string, error) {
	tree, err := b.Run("merge-tree", "--write-tree", base, head)
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 1 {
			return "", nil
		}
		return "", err
	}
	sha, err := b.Input(env, "", "commit-tree", tree, "-p", base, "-p", head, "-m", message)
	return strings.TrimSpace(sha), err
}
