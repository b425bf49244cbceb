package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"
)

// loading begins the names of BuildKit's own steps that bring a context into
// the daemon: from a session, and from git.
var loading = []string{"[internal] load build context", "[internal] load git source"}

// steps keeps of a status stream when each step began and ended, by the
// daemon's clock. Statuses repeat a step; the last one counts.
type steps map[string]*client.Vertex

func (s steps) update(status *client.SolveStatus) {
	for _, v := range status.Vertexes {
		s[v.Digest.String()] = v
	}
}

// contextReady is when the first COPY began: the daemon had the files, and had
// hashed them to know what is cached. That is the same point on every side.
// The end of the loading step is not: a context from a session is hashed while
// it arrives, one from git afterwards.
func (s steps) contextReady() (time.Time, error) {
	var ready time.Time
	for _, v := range s {
		if strings.Contains(v.Name, "] COPY ") && v.Started != nil && (ready.IsZero() || v.Started.Before(ready)) {
			ready = *v.Started
		}
	}
	if ready.IsZero() {
		return ready, errors.New("BuildKit reported no COPY step")
	}
	return ready, nil
}

// contextLoaded is when the step that brings the context ended.
func (s steps) contextLoaded() (time.Time, error) {
	var loaded time.Time
	for _, v := range s {
		for _, name := range loading {
			if strings.HasPrefix(v.Name, name) && v.Completed != nil && v.Completed.After(loaded) {
				loaded = *v.Completed
			}
		}
	}
	if loaded.IsZero() {
		return loaded, errors.New("BuildKit reported no step that loads the context")
	}
	return loaded, nil
}

// context is how long after start the context was loaded and ready.
func (s steps) context(start time.Time) (contextTimes, error) {
	loaded, err := s.contextLoaded()
	if err != nil {
		return contextTimes{}, err
	}
	ready, err := s.contextReady()
	return contextTimes{loaded: loaded.Sub(start), ready: ready.Sub(start)}, err
}

type contextTimes struct{ loaded, ready time.Duration }

// show prints when each step began and ended, in milliseconds after the start.
func (in *installation) show(side string, start, end time.Time, s steps) {
	if !in.showSteps {
		return
	}
	fmt.Printf("    %s: %s ms in all\n", side, milliseconds(end.Sub(start)))
	byStart := slices.SortedFunc(maps.Values(s), func(a, b *client.Vertex) int {
		return cmp.Or(startOf(a).Compare(startOf(b)), strings.Compare(a.Name, b.Name))
	})
	for _, v := range byStart {
		if v.Started != nil && v.Completed != nil {
			fmt.Printf("      %6s %6s  %s\n", milliseconds(v.Started.Sub(start)), milliseconds(v.Completed.Sub(start)), v.Name)
		}
	}
}

func startOf(v *client.Vertex) time.Time {
	if v.Started == nil {
		return time.Time{}
	}
	return *v.Started
}

// buildctlRun is one `buildctl build` that has ended well.
type buildctlRun struct {
	interval
	steps steps
}

// runBuildctl runs `buildctl build` with the arguments in a folder, as a
// person or a pipeline types it; only the progress is in a form that programs
// read.
func (in *installation) runBuildctl(ctx context.Context, dir string, args ...string) (buildctlRun, error) {
	cmd := exec.CommandContext(ctx, in.buildctl, append([]string{"--addr", in.buildkit(), "build", "--progress", "rawjson", "--frontend", "dockerfile.v0"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+in.path("docker"), "GIT_AUTH_TOKEN="+in.Token)
	var progress bytes.Buffer
	cmd.Stderr = &progress
	r := buildctlRun{interval: interval{began: time.Now()}}
	err := cmd.Run()
	r.ended = time.Now()
	if err != nil {
		return r, fmt.Errorf("buildctl build %s: %w\n%s", strings.Join(args, " "), err, tail(progress.Bytes()))
	}
	if r.steps, err = readSteps(&progress); err == nil {
		in.show("buildctl", r.began, r.ended, r.steps)
	}
	return r, err
}

// buildPush is what people type to build and push a folder.
func (in *installation) buildPush(ctx context.Context, dir, name string) (buildctlRun, error) {
	return in.runBuildctl(ctx, dir, "--local", "context=.", "--local", "dockerfile=.", "--output", "type=image,name="+name+",push=true")
}

// readSteps reads what --progress rawjson writes: one JSON value for each
// status.
func readSteps(r io.Reader) (steps, error) {
	found := steps{}
	for dec := json.NewDecoder(r); ; {
		var status client.SolveStatus
		err := dec.Decode(&status)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read buildctl's progress: %w", err)
		}
		found.update(&status)
	}
}

// watch waits for the next solve of `up` and follows it to its end, beside
// whoever else does.
func (in *installation) watch(ctx context.Context) (steps, error) {
	var ref string
	select {
	case ref = <-in.solves:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	stream, err := in.daemon.ControlClient().Status(ctx, &controlapi.StatusRequest{Ref: ref})
	if err != nil {
		return nil, fmt.Errorf("watch solve %s: %w", ref, err)
	}
	found := steps{}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, fmt.Errorf("watch solve %s: %w", ref, err)
		}
		found.update(client.NewSolveStatus(resp))
	}
}

// tail is the end of what a program said.
func tail(text []byte) string {
	if over := len(text) - 4<<10; over > 0 {
		text = text[over:]
	}
	return string(text)
}
