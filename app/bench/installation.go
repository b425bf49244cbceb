package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/client"

	"github.com/registry-build/registry-build/app/instance"
	"github.com/registry-build/registry-build/handlers"
)

// maxRun is how many bytes the sockets' folder may have; above it `up` chooses
// another one.
const maxRun = 80

// installation is a running `registry-build up` in a temporary folder. Every
// side of every comparison goes through its git remote, its daemon and its
// registry.
type installation struct {
	*instance.Instance
	dir      string
	program  string
	env      []string // of `up`
	buildctl string
	log      *io.PipeWriter
	solves   chan string // refs of the solves that `up` starts, from its log
	daemon   *client.Client

	projects  map[string]*project // by name, made by the first row that needs them
	showSteps bool
}

// start runs `up` from the program, with buildctl and buildkitd from the
// folder of tools.
func start(ctx context.Context, program, tools string) (_ *installation, err error) {
	in := &installation{solves: make(chan string, 64), projects: map[string]*project{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.close(false))
		}
	}()
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	if tools, err = filepath.Abs(tools); err != nil {
		return nil, err
	}
	in.buildctl, in.program = filepath.Join(tools, "buildctl"), program
	in.env = []string{"PATH=" + tools + string(filepath.ListSeparator) + os.Getenv("PATH")}
	for _, needed := range []string{program, in.buildctl, filepath.Join(tools, "buildkitd"), "busybox", "git"} {
		if _, err := exec.LookPath(needed); err != nil {
			return nil, fmt.Errorf("%w; run `make deps tools build`", err)
		}
	}
	if in.dir, err = os.MkdirTemp("", "rb-bench-"); err != nil {
		return nil, err
	}
	if path := in.path("data", "run"); len(path) > maxRun {
		return nil, fmt.Errorf("%s is too long for unix sockets: set TMPDIR to a shorter folder", path)
	}
	lines, log := io.Pipe()
	in.log = log
	go in.follow(lines)
	in.Instance, err = instance.Start(ctx, instance.Options{
		Program: program, Dir: in.dir, Args: []string{"--debug"}, Log: log, Env: in.env,
	})
	if err != nil {
		return nil, err
	}
	if err := in.login(); err != nil {
		return nil, err
	}
	in.daemon, err = client.New(ctx, in.buildkit())
	return in, err
}

func (in *installation) path(elem ...string) string {
	return filepath.Join(append([]string{in.dir}, elem...)...)
}

func (in *installation) buildkit() string {
	return "unix://" + in.path("data", "run", "buildkitd.sock")
}

// follow reads the log of `up` for the names of its solves. BuildKit tells
// anybody who knows the name how a solve fares, by its own clock.
func (in *installation) follow(log io.Reader) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if ref, ok := solveRef(lines.Text()); ok {
			select {
			case in.solves <- ref:
			default: // nobody measures now
			}
		}
	}
	io.Copy(io.Discard, log)
}

// forgetSolves drops the names of solves that nobody asked for.
func (in *installation) forgetSolves() {
	for {
		select {
		case <-in.solves:
		default:
			return
		}
	}
}

// solveRef reads a line such as `level=DEBUG msg=solve attempt=A-1 ref=R`.
func solveRef(line string) (string, bool) {
	if !strings.Contains(line, " msg=solve ") {
		return "", false
	}
	_, ref, ok := strings.Cut(line, " ref=")
	ref, _, _ = strings.Cut(ref, " ")
	return ref, ok && ref != ""
}

// login lets buildctl into the registry as `docker login` would.
func (in *installation) login() error {
	auth := base64.StdEncoding.EncodeToString([]byte("owner:" + in.Token))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{in.Host(): map[string]string{"auth": auth}}})
	if err != nil {
		return err
	}
	if err := os.Mkdir(in.path("docker"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(in.path("docker", "config.json"), config, 0o600)
}

// get asks the API.
func (in *installation) get(ctx context.Context, path string, into any) error {
	return get(ctx, in.Instance, path, into)
}

func get(ctx context.Context, in *instance.Instance, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, in.URL+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+in.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// build finds the build that a push of the ref started, and fails unless it
// ended in the state.
func (in *installation) build(ctx context.Context, repository, ref, commit, state string) (handlers.Build, error) {
	q := url.Values{"repository": {repository}, "ref": {ref}, "commit": {commit}}
	var list handlers.BuildList
	if err := in.get(ctx, "/api/v1/builds?"+q.Encode(), &list); err != nil {
		return handlers.Build{}, err
	}
	if len(list.Builds) != 1 {
		return handlers.Build{}, fmt.Errorf("%s at %s has %d builds, not 1", ref, commit, len(list.Builds))
	}
	b := list.Builds[0]
	if b.State != state || b.StartedAt == nil || b.FinishedAt == nil {
		return b, fmt.Errorf("build %s of %s is %s, not %s: %s", b.ID, ref, b.State, state, b.Status)
	}
	return b, nil
}

// close stops everything and removes the folder.
func (in *installation) close(keep bool) error {
	if in.daemon != nil {
		in.daemon.Close()
	}
	if in.Instance != nil {
		if err := in.Stop(); err != nil {
			return err
		}
	}
	if in.log != nil {
		in.log.Close()
	}
	if in.dir == "" {
		return nil
	}
	if keep {
		fmt.Println("kept:", in.dir)
		return nil
	}
	return os.RemoveAll(in.dir)
}
