package plaingit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	preReceive  = "pre-receive"
	postReceive = "post-receive"

	envSocket = "REGISTRY_BUILD_HOOK_SOCKET"
	envToken  = "REGISTRY_BUILD_HOOK_TOKEN"
)

// request is what a hook tells the server: one JSON value.
type request struct {
	Token   string   `json:"token"`
	Hook    string   `json:"hook"`
	Updates []update `json:"updates"`
	Options []string `json:"options,omitempty"` // git push -o
}

// update is one ref that is about to move or has moved. Only the hook can see
// new objects before they are accepted, so it looks up the commits.
type update struct {
	Ref    string `json:"ref"`
	Old    string `json:"old"`
	New    string `json:"new"`
	Before string `json:"before,omitempty"` // commit of Old
	Commit string `json:"commit,omitempty"` // commit of New
}

func (u update) deletes() bool { return zero(u.New) }

// zero reports git's way of saying that there is no object.
func zero(object string) bool { return strings.Trim(object, "0") == "" }

// reply is what the server answers: lines for the pusher, then the hook's exit
// status.
type reply struct {
	Line string `json:"line,omitempty"`
	Exit *int   `json:"exit,omitempty"`
}

// IsHook reports whether a program that was started under this name is one of
// git's hooks and has to call RunHook.
func IsHook(name string) bool { return name == preReceive || name == postReceive }

// RunHook is what our binary does when git starts it under the name
// pre-receive or post-receive. It writes for the pusher to stderr and returns
// the exit status; pre-receive's decides whether refs move.
func RunHook(name string, stdin io.Reader, _, stderr io.Writer, env []string) int {
	status, err := runHook(name, stdin, stderr, env)
	switch {
	case err == nil:
		return status
	case name == postReceive:
		fmt.Fprintf(stderr, "registry-build: pushed; the server does not tell more (%v), the build starts by itself\n", err)
		return 0
	}
	fmt.Fprintf(stderr, "registry-build: the server does not answer (%v); nothing was pushed, try again in a minute\n", err)
	return 1
}

func runHook(name string, stdin io.Reader, stderr io.Writer, env []string) (int, error) {
	if !IsHook(name) {
		return 0, fmt.Errorf("%q is no hook of ours", name)
	}
	updates, err := readUpdates(stdin)
	if err != nil {
		return 0, err
	}
	for _, u := range updates {
		// JSON cannot carry the names that this refuses.
		if err := checkRef(u.Ref); err != nil && name == preReceive {
			fmt.Fprintf(stderr, "registry-build: %v; nothing was pushed\n", err)
			return 1, nil
		}
	}
	if err := lookUp(updates, env); err != nil {
		return 0, err
	}
	conn, err := net.DialTimeout("unix", lookEnv(env, envSocket), 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	req := request{Token: lookEnv(env, envToken), Hook: name, Updates: updates, Options: options(env)}
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return 0, err
	}
	for answers := json.NewDecoder(bufio.NewReader(conn)); ; {
		var r reply
		if err := answers.Decode(&r); err != nil {
			return 0, err
		}
		if r.Exit != nil {
			return *r.Exit, nil
		}
		// A line is one write: the pusher sees it whole and at once.
		if _, err := io.WriteString(stderr, r.Line+"\n"); err != nil {
			return 0, err
		}
	}
}

// readUpdates reads "<old> <new> <ref>" lines.
func readUpdates(stdin io.Reader) ([]update, error) {
	var updates []update
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), " ", 3)
		if len(parts) != 3 {
			return nil, errors.New("git's list of refs cannot be read")
		}
		updates = append(updates, update{Old: parts[0], New: parts[1], Ref: parts[2]})
	}
	return updates, lines.Err()
}

// lookUp finds the commits of branches and tags. It runs where the hook runs:
// git has set the environment so that objects which are not accepted yet can
// be read.
func lookUp(updates []update, env []string) error {
	var objects []string
	for _, u := range updates {
		for _, o := range []string{u.Old, u.New} {
			if !zero(o) {
				objects = append(objects, o)
			}
		}
	}
	if len(objects) == 0 {
		return nil
	}
	slices.Sort(objects)
	objects = slices.Compact(objects)
	cmd := exec.Command("git", peelArgs[:]...)
	cmd.Env = env
	cmd.Stdin = strings.NewReader(peelInput(objects))
	out, err := run(cmd)
	if err != nil {
		return err
	}
	commits := peelOutput(objects, out)
	for i, u := range updates {
		updates[i].Before, updates[i].Commit = commits[u.Old], commits[u.New]
	}
	return nil
}

func options(env []string) []string {
	n, err := strconv.Atoi(lookEnv(env, "GIT_PUSH_OPTION_COUNT"))
	if err != nil {
		return nil
	}
	var found []string
	for i := range min(n, 100) {
		found = append(found, lookEnv(env, "GIT_PUSH_OPTION_"+strconv.Itoa(i)))
	}
	return found
}

// lookEnv finds a variable; the last one counts, as for a process.
func lookEnv(env []string, key string) string {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}
