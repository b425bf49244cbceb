package buildkit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
)

// withoutErr compares what people see.
var withoutErr = cmpopts.IgnoreFields(builder.Failure{}, "Err")

func TestBuildFailures(t *testing.T) {
	s := newSolver(t)
	host := buildkittest.Registry(t)
	const context = `is not in the build context: paths are relative to the repository's root, and .dockerignore may leave files out`
	for _, c := range []struct {
		name       string
		dockerfile string
		spec       builder.Spec
		want       builder.Failure // File is Dockerfile where there is a line
	}{
		{
			name:       "exit code, over several lines",
			dockerfile: shell + "RUN echo one; echo two; \\\n  # why\n  exit 7\nLABEL a=b\nLABEL c=d\nLABEL e=f\nLABEL g=h\n",
			want: builder.Failure{
				Message: `Dockerfile:4: "RUN echo one; echo two; exit 7" exited with 7`,
				Line:    4, EndLine: 6,
				Excerpt: "    1 | FROM scratch\n" +
					"    2 | COPY busybox /bin/busybox\n" +
					"    3 | SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n" +
					">>> 4 | RUN echo one; echo two; \\\n" +
					">>> 5 |   # why\n" +
					">>> 6 |   exit 7\n" +
					"    7 | LABEL a=b\n" +
					"    8 | LABEL c=d\n" +
					"    9 | LABEL e=f\n",
				Output: "one\ntwo",
			},
		},
		{
			name:       "long output",
			dockerfile: shell + "RUN busybox seq 1 1000; printf '\\033[31mred\\033[0m\\nold\\rnew'; exit 1\n",
			want: builder.Failure{
				Message: `Dockerfile:4: "RUN busybox seq 1 1000; printf '\\033[31mred\\033[0m\\nold\\rnew'; exit 1" exited with 1`,
				Line:    4,
				Output:  "983\n984\n985\n986\n987\n988\n989\n990\n991\n992\n993\n994\n995\n996\n997\n998\n999\n1000\nred\nnew",
			},
		},
		{
			name:       "killed",
			dockerfile: shell + "RUN /bin/busybox sh -c 'kill -9 $$'; exit $?\n",
			want: builder.Failure{
				Message: `Dockerfile:4: "RUN /bin/busybox sh -c 'kill -9 $$'; exit $?" was killed (exit code 137), most often for want of memory`,
				Line:    4,
				Output:  "Killed",
			},
		},
		{
			name:       "no shell in the image",
			dockerfile: "FROM scratch\nRUN make\n",
			want: builder.Failure{
				Message: `Dockerfile:2: "RUN make" could not be started: "/bin/sh": no such file or directory`,
				Line:    2,
				Output:  `runc run failed: unable to start container process: exec: "/bin/sh": stat /bin/sh: no such file or directory`,
			},
		},
		{
			name:       "COPY of nothing",
			dockerfile: shell + "COPY busybox nope/x /y/\n",
			want:       builder.Failure{Message: `Dockerfile:4: "nope/x" ` + context, Line: 4},
		},
		{
			name:       "COPY of nothing in a context of its own",
			dockerfile: shell + "COPY nope /\n",
			spec:       builder.Spec{Context: "./services/api/"},
			want: builder.Failure{
				Message: `Dockerfile:4: "nope" is not in the build context: paths are relative to the context services/api, and .dockerignore may leave files out`,
				Line:    4,
			},
		},
		{
			name:       "COPY of nothing from a stage",
			dockerfile: "FROM scratch AS builder\nCOPY busybox /\nFROM scratch\nCOPY --from=builder /nope /\n",
			want:       builder.Failure{Message: `Dockerfile:4: "/nope" is not in the stage or image builder`, Line: 4},
		},
		{
			name:       "a mount of nothing",
			dockerfile: shell + "RUN --mount=type=bind,source=nope,target=/x true\n",
			want:       builder.Failure{Message: `Dockerfile:4: "nope" ` + context, Line: 4},
		},
		{
			name:       "a secret that nobody gave",
			dockerfile: shell + "RUN --mount=type=secret,id=npmrc,required=true true\n",
			want:       builder.Failure{Message: "Dockerfile:4: no secret \"npmrc\" was given to this build: write `secrets: [{id: npmrc, credential: NAME}]` at the image in .registry-build.yml", Line: 4},
		},
		{
			name:       "the host's network",
			dockerfile: shell + "RUN --network=host true\n",
			want:       builder.Failure{Message: `Dockerfile: a step asks for network.host, which no build here gets: remove RUN's --network or --security`},
		},
		{
			name:       "rights of the host",
			dockerfile: "# syntax=docker/dockerfile:1-labs\n" + shell + "RUN --security=insecure true\n",
			want:       builder.Failure{Message: `Dockerfile: a step asks for security.insecure, which no build here gets: remove RUN's --network or --security`},
		},
		{
			name:       "unknown instruction",
			dockerfile: "FROM scratch\nCOPPY a b\n",
			want:       builder.Failure{Message: `Dockerfile:2: unknown instruction: COPPY (did you mean COPY?)`, Line: 2},
		},
		{
			name:       "too few arguments",
			dockerfile: "FROM scratch\nCOPY a\n",
			want:       builder.Failure{Message: `Dockerfile:2: COPY requires at least two arguments, but only one was provided. Destination could not be determined`, Line: 2},
		},
		{
			name:       "no FROM",
			dockerfile: "RUN x\n",
			want:       builder.Failure{Message: `Dockerfile:1: only ARG may stand before the first FROM`, Line: 1},
		},
		{
			name:       "empty",
			dockerfile: "",
			want:       builder.Failure{Message: `Dockerfile: the Dockerfile cannot be empty`},
		},
		{
			name:       "unknown target",
			dockerfile: "FROM scratch AS build\nCOPY busybox /\nFROM scratch AS release\nCOPY busybox /\n",
			spec:       builder.Spec{Target: "relase"},
			want:       builder.Failure{Message: `Dockerfile: there is no stage "relase" to build: its stages are build, release`},
		},
		{
			name:       "unknown base",
			dockerfile: "FROM " + host + "/nope:1\n",
			want:       builder.Failure{Message: `Dockerfile:1: image ` + host + `/nope:1 was not found: check its name and tag`, Line: 1},
		},
		{
			name:       "registry of the base is away",
			dockerfile: "FROM 127.0.0.1:1/nope:1\n",
			want:       builder.Failure{Message: `Dockerfile:1: image 127.0.0.1:1/nope:1 cannot be resolved: dial tcp 127.0.0.1:1: connect: connection refused`, Line: 1},
		},
		{
			name:       "base without a name",
			dockerfile: "ARG BASE\nFROM ${BASE}\n",
			want:       builder.Failure{Message: `Dockerfile:2: base name (${BASE}) should not be blank`, Line: 2},
		},
		{
			name:       "base in upper case",
			dockerfile: "FROM Debian\n",
			want:       builder.Failure{Message: `Dockerfile:1: "Debian" is not an image name: repository name (library/Debian) must be lowercase`, Line: 1},
		},
		{
			name:       "argument of BuildKit's own",
			dockerfile: "FROM scratch\n",
			spec:       builder.Spec{Args: map[string]string{"BUILDKIT_SYNTAX": "x"}},
			want:       builder.Failure{Message: `the build argument BUILDKIT_SYNTAX is reserved: names that begin with BUILDKIT_ steer the builder itself; choose another name`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.dockerfile, nil)
			r.Spec.Target, r.Spec.Args = c.spec.Target, c.spec.Args
			if c.spec.Context != "" {
				r.Spec.Context = c.spec.Context
			}
			_, err := s.Solve(t.Context(), r, io.Discard)
			var got *builder.Failure
			if !errors.As(err, &got) {
				t.Fatalf("error %v", err)
			}
			want := c.want
			want.Stage = builder.StageBuild
			if want.Line > 0 {
				want.File = "Dockerfile"
				want.EndLine = max(want.EndLine, want.Line)
				if want.Excerpt == "" {
					want.Excerpt = got.Excerpt
				}
				if !strings.Contains(got.Excerpt, fmt.Sprintf(">>> %d | ", want.Line)) {
					t.Errorf("excerpt:\n%s", got.Excerpt)
				}
			}
			if diff := cmp.Diff(&want, got, withoutErr); diff != "" {
				t.Errorf("failure (-want +got):\n%s\n%v", diff, got.Err)
			}
		})
	}
}

// TestUnknownStageLooksLikeAnImage needs no registry: the name is asked of
// Docker Hub, which a test may or may not reach.
func TestUnknownStageLooksLikeAnImage(t *testing.T) {
	got := baseSentence("docker.io/library/buildr:latest",
		`failed to do request: Head "https://registry-1.docker.io/v2/library/buildr/manifests/latest": dial tcp: no such host`,
		"COPY --from=buildr /a /b", nil)
	want := `image docker.io/library/buildr:latest cannot be resolved: dial tcp: no such host, and no stage before it is called "buildr"`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPushRefusals(t *testing.T) {
	s := newSolver(t)
	s.retry.tries = 1 // BuildKit itself goes on for seconds
	oci := func(code string) string { return `{"errors":[{"code":"` + code + `","message":"because"}]}` }
	for _, c := range []struct {
		name string
		code int
		body string
		want string // after "the registry refused the push to NAME"
	}{
		{"not allowed", http.StatusForbidden, oci("DENIED"), ": the login may not write there"},
		{"not allowed, as text", http.StatusForbidden, "no", ": the login may not write there"},
		{"too large", http.StatusRequestEntityTooLarge, "<html>", " (413 Request Entity Too Large): a layer is larger than it takes"},
		{"unknown repository", http.StatusNotFound, oci("NAME_UNKNOWN"), ": unknown: because"},
		{"too often", http.StatusTooManyRequests, oci("TOOMANYREQUESTS"), " (429 Too Many Requests): it is asked too often; build again later"},
		{"in trouble", http.StatusServiceUnavailable, oci("SOMETHING"), " (503 Service Unavailable) and did not recover in time; build again later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host := buildkittest.Registry(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						http.Error(w, c.body, c.code)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			r := request(shell, nil)
			r.Destination = host + "/acme/api"
			_, err := s.Solve(t.Context(), r, io.Discard)
			want := &builder.Failure{
				Stage:   builder.StagePush,
				Message: "the registry refused the push to " + r.Destination + c.want,
			}
			var got *builder.Failure
			if !errors.As(err, &got) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(want, got, withoutErr); diff != "" {
				t.Errorf("failure (-want +got):\n%s\n%v", diff, got.Err)
			}
		})
	}
}

func TestPushThatCannotWork(t *testing.T) {
	s := newSolver(t)
	s.retry.tries = 1 // BuildKit itself goes on for seconds
	for _, c := range []struct{ name, destination, want string }{
		{"nobody there", "127.0.0.1:1/acme/api", "the registry of 127.0.0.1:1/acme/api cannot be reached ("},
		{"a tag", "127.0.0.1:1/acme/api:latest", `"127.0.0.1:1/acme/api:latest" is not an image repository: write host/path in lower case, without a tag`},
		{"upper case", "127.0.0.1:1/Acme/api", `"127.0.0.1:1/Acme/api" is not an image repository`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(shell, nil)
			r.Destination = c.destination
			_, err := s.Solve(t.Context(), r, io.Discard)
			var got *builder.Failure
			if !errors.As(err, &got) || got.Stage != builder.StagePush || !strings.HasPrefix(got.Message, c.want) {
				t.Errorf("failure %v", err)
			}
		})
	}
}
