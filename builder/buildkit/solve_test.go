package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/client"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
)

// pull reads an image back.
func pull(t *testing.T, repository, digest string) v1.Image {
	t.Helper()
	ref, err := name.NewDigest(repository + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestSolvePushesByDigest(t *testing.T) {
	s := newSolver(t)
	r := request("# syntax=docker/dockerfile:1\n"+shell+"ARG GREETING=none\nRUN echo $GREETING > /greeting\nMAINTAINER me\n", nil)
	r.Destination = buildkittest.Registry(t) + "/acme/api"
	r.Spec.Args = map[string]string{"GREETING": "hello"}
	solution, log := solve(t, s, r)

	image := pull(t, r.Destination, solution.Digest)
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 {
		t.Errorf("media type %s: want a plain OCI manifest, without attestations", manifest.MediaType)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Created.UTC().Format(time.RFC3339); got != "2000-01-01T00:00:00Z" {
		t.Errorf("created %s", got)
	}
	tags, err := remote.List(repository(t, r.Destination))
	if err != nil || len(tags) != 0 {
		t.Errorf("tags %v, %v: want none", tags, err)
	}
	if !strings.Contains(log, "RUN echo hello") || !strings.Contains(log, "DONE") {
		t.Errorf("log:\n%s", log)
	}
	want := []builder.Note{{
		File: "Dockerfile", Line: 7, EndLine: 7,
		Message: "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label",
		URL:     "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/",
	}}
	if diff := cmp.Diff(want, solution.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func repository(t *testing.T, s string) name.Repository {
	t.Helper()
	r, err := name.NewRepository(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSolveWithoutDestination(t *testing.T) {
	solution, _ := solve(t, newSolver(t), request(shell+"RUN true\n", nil))
	if solution.Digest != "" {
		t.Errorf("digest %q", solution.Digest)
	}
}

func TestSolveTargetAndPaths(t *testing.T) {
	s := newSolver(t)
	r := request("FROM scratch AS small\nCOPY a /a\nFROM scratch\nCOPY nope /\n", map[string]string{"a": "a"})
	r.Spec = builder.Spec{Context: ".", Dockerfile: "build/docker/Dockerfile.prod", Target: "small", Platforms: []string{"linux/amd64"}}
	solve(t, s, r)

	r.Spec.Target = ""
	_, err := s.Solve(t.Context(), r, io.Discard)
	var f *builder.Failure
	if !errors.As(err, &f) || f.File != "build/docker/Dockerfile.prod" || f.Line != 4 {
		t.Errorf("failure %+v", f)
	}
}

func TestSolveInline(t *testing.T) {
	r := request("FROM scratch\nLABEL a=b\n", nil)
	r.Spec, r.Files = builder.Spec{Inline: "FROM scratch\nLABEL a=b\n"}, nil
	r.Destination = buildkittest.Registry(t) + "/x"
	if solution, _ := solve(t, newSolver(t), r); solution.Digest == "" {
		t.Error("no digest")
	}
}

// TestSolveIsReproducible builds with an empty cache each time.
func TestSolveIsReproducible(t *testing.T) {
	const copies = "FROM scratch\nCOPY a b /\n"
	const runs = shell + "WORKDIR /work/deep\nCOPY a b /work/\nADD c /new/dir/\nRUN mkdir /made && echo x > /made/file\n"
	for _, c := range []struct {
		name       string
		dockerfile string
		option     bool
		same       bool
	}{
		{"copies", copies, false, true},
		{"runs", runs, false, false},
		{"runs, with the option", runs, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSolver(t)
			s.rewrite = c.option
			r := request(c.dockerfile, map[string]string{"a": "1", "b": "2", "c": "3"})
			r.Destination = buildkittest.Registry(t) + "/acme/api"
			var digests []string
			for range 2 {
				if err := s.client.Prune(t.Context(), nil, client.PruneAll); err != nil {
					t.Fatal(err)
				}
				solution, log := solve(t, s, r)
				if strings.Contains(log, "CACHED") {
					t.Fatalf("the cache was not empty:\n%s", log)
				}
				digests = append(digests, solution.Digest)
				// File times are whole seconds in a layer.
				second := time.Now().Unix()
				eventually(t, "another second", func() bool { return time.Now().Unix() != second })
			}
			if same := digests[0] == digests[1]; same != c.same {
				t.Errorf("digests %v", digests)
			}
		})
	}
}

func TestSolveNoCache(t *testing.T) {
	s := newSolver(t)
	r := request(shell+"RUN echo once\n", nil)
	solve(t, s, r)
	if _, log := solve(t, s, r); !strings.Contains(log, "CACHED") {
		t.Errorf("not cached:\n%s", log)
	}
	r.Spec.NoCache = true
	if _, log := solve(t, s, r); strings.Contains(log, "CACHED") {
		t.Errorf("cached:\n%s", log)
	}
}

func TestSolveKeepsWholeLog(t *testing.T) {
	const size = 10 << 20
	r := request(shell+fmt.Sprintf("RUN yes 0123456789abcde | head -c %d\n", size), nil)
	s := newSolver(t)
	var raw bytes.Buffer
	s.display = func(_ context.Context, statuses chan *client.SolveStatus) ([]client.VertexWarning, error) {
		for status := range statuses {
			for _, l := range status.Logs {
				raw.Write(l.Data)
			}
		}
		return nil, nil
	}
	solve(t, s, r)
	if got := bytes.Count(raw.Bytes(), []byte("0123456789abcde\n")); got != size/16 || raw.Len() != size {
		t.Errorf("%d bytes, %d lines of %d arrived", raw.Len(), got, size/16)
	}

	// As text there is more: times, and headers where parts arrive late.
	s.display, r.Spec.NoCache = nil, true
	if _, log := solve(t, s, r); strings.Count(log, "\n") < size/16 || strings.Count(log, "e") < size/16 {
		t.Errorf("%d bytes of text", len(log))
	}
}

func TestSolveConcurrently(t *testing.T) {
	s := newSolver(t)
	host := buildkittest.Registry(t)
	digests := make([]string, 2)
	var wait sync.WaitGroup
	for i := range digests {
		wait.Go(func() {
			r := request(shell+fmt.Sprintf("RUN echo %d > /n\n", i), nil)
			r.Destination = fmt.Sprintf("%s/acme/n%d", host, i)
			solution, err := s.Solve(t.Context(), r, io.Discard)
			if err != nil {
				t.Errorf("solve %d: %v", i, err)
			}
			digests[i] = solution.Digest
		})
	}
	wait.Wait()
	for i, digest := range digests {
		pull(t, fmt.Sprintf("%s/acme/n%d", host, i), digest)
	}
}

// TestSolvePins moves a tag and builds with the digest that it named before.
func TestSolvePins(t *testing.T) {
	s := newSolver(t)
	host := buildkittest.Registry(t)
	base := host + "/acme/base"
	tag, err := name.NewTag(base + ":1")
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, content := range []string{"old", "new"} {
		r := request(shell+"COPY which /which\n", map[string]string{"which": content})
		r.Destination = base
		solution, _ := solve(t, s, r)
		if err := remote.Tag(tag, pull(t, base, solution.Digest)); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, solution.Digest)
	}
	r := request("FROM "+base+":1\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\nRUN test \"$(cat /which)\" = old\n", nil)
	r.Pins = map[string]string{base + ":1": digests[0]}
	solve(t, s, r)

	r.Pins = nil
	if _, err := s.Solve(t.Context(), r, io.Discard); err == nil {
		t.Error("without a pin the moved tag counts")
	}
}

// TestSolveTakesTheContextAsItIs: the source has applied the ignore file that
// counts, and what is left is what the input key was made of.
func TestSolveTakesTheContextAsItIs(t *testing.T) {
	s := newSolver(t)
	for _, c := range []struct{ name, dockerfile, context, ignore string }{
		{"at the root", "Dockerfile", ".", ".dockerignore"},
		{"of the Dockerfile", "Dockerfile", ".", "Dockerfile.dockerignore"},
		{"beside the Dockerfile", "build/Dockerfile", ".", "build/Dockerfile.dockerignore"},
		{"in a context of its own", "svc/Dockerfile", "svc", ".dockerignore"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(shell+"COPY . /all\nRUN cd /all && test \"$(echo a.*)\" = \"a.log a.txt\"\n",
				map[string]string{"a.txt": "", "a.log": "", c.ignore: "*.txt\n"})
			r.Spec.Context, r.Spec.Dockerfile = c.context, c.dockerfile
			r.SharedKey = t.Name()
			if _, log := solve(t, s, r); strings.Contains(log, ".dockerignore") {
				t.Errorf("the daemon asked for another ignore file:\n%s", log)
			}
		})
	}
}

// TestSolveSendsWhatChanged counts the files that the daemon asks for.
func TestSolveSendsWhatChanged(t *testing.T) {
	s := newSolver(t)
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprintf("dir%d/file%d", i%5, i)] = fmt.Sprint(i)
	}
	build := func(key string) []string {
		r := request("FROM scratch\nCOPY . /\n", files)
		r.SharedKey = key
		solve(t, s, r)
		return r.Files.(*tree).opened
	}
	build(t.Name())
	files["dir1/file1"] = "changed"
	got := build(t.Name())
	slices.Sort(got)
	if diff := cmp.Diff([]string{"dir1/file1"}, got); diff != "" {
		t.Errorf("opened the second time (-want +got):\n%s", diff)
	}
	if got := build(t.Name() + " other"); len(got) < 50 {
		t.Errorf("another key shares files: only %d opened", len(got))
	}
}

// running reports whether a process has the word in its command line.
func running(t *testing.T, word string) bool {
	t.Helper()
	return len(processes(t, word)) > 0
}

func processes(t *testing.T, word string) (found []int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if line, err := os.ReadFile(n); err == nil && strings.Contains(string(line), word) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(n))); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

func TestSolveEndsWithContext(t *testing.T) {
	s := newSolver(t)
	for _, c := range []struct {
		name  string
		word  string
		limit func(context.Context) (context.Context, context.CancelFunc)
		want  error
	}{
		{"cancel", "86421.5", context.WithCancel, context.Canceled},
		{"timeout", "86421.6", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 3*time.Second)
		}, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := c.limit(t.Context())
			defer cancel()
			var log buffer
			ended := make(chan error, 1)
			go func() {
				_, err := s.Solve(ctx, request(shell+"RUN echo begun; busybox sleep "+c.word+"\n", nil), &log)
				ended <- err
			}()
			eventually(t, "the step runs", func() bool { return running(t, c.word) })
			if c.want == context.Canceled {
				cancel()
			}
			<-ctx.Done()
			at := time.Now()
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if took := time.Since(at); took > 2*time.Second {
				t.Errorf("took %s to return", took)
			}
			if !strings.Contains(log.String(), "begun") {
				t.Errorf("log:\n%s", log.String())
			}
			eventually(t, "the step is killed", func() bool { return !running(t, c.word) })
		})
	}
}

func TestSolveDoesNotWaitForALogThatHangs(t *testing.T) {
	s := newSolver(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	reader, writer := io.Pipe() // nobody reads
	defer reader.Close()
	at := time.Now()
	_, err := s.Solve(ctx, request(shell+"RUN yes | head -c 5000000; busybox sleep 86421.7\n", nil), writer)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(at); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	eventually(t, "the step is killed", func() bool { return !running(t, "86421.7") })
}

// TestSolveTriesPushesAgain refuses the first uploads.
func TestSolveTriesPushesAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		body string
	}{
		{"429 with an OCI error", http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`},
		{"429 as text", http.StatusTooManyRequests, "slow down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSolver(t)
			s.retry.first = 10 * time.Millisecond
			var mu sync.Mutex
			refused := 0
			host := buildkittest.Registry(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					if r.Method == http.MethodPost && refused < 12 { // two tries of five requests and more
						refused++
						http.Error(w, c.body, c.code)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			r := request(shell, nil)
			r.Destination = host + "/acme/api"
			solution, log := solve(t, s, r)
			pull(t, r.Destination, solution.Digest)
			if !strings.Contains(log, "did not take the push (429 Too Many Requests): trying again in") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}
