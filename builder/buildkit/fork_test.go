package buildkit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
)

func newForkSolver(t *testing.T, o Options) *Solver {
	t.Helper()
	o.Address, o.Lane = buildkittest.Address(t), builder.ForkLane
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func failure(t *testing.T, err error) *builder.Failure {
	t.Helper()
	var f *builder.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v is no failure", err)
	}
	return f
}

// listener counts who comes.
func listener(t *testing.T) (port string, came *atomic.Int32) {
	came = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		came.Add(1)
		io.WriteString(w, "inside")
	}))
	t.Cleanup(server.Close)
	_, port, _ = net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	return port, came
}

// Both doors are tried: Inspect, which tells before anything is asked, and the
// daemon, which must refuse by itself.
func TestForkFetchesNothing(t *testing.T) {
	s := newForkSolver(t, Options{Private: []string{"images.example.com:8443"}})
	port, came := listener(t)
	const inside = ": a fork's build may not pull "
	for _, c := range []struct{ name, dockerfile, want string }{
		{"ADD", "FROM scratch\nADD http://127.0.0.1:PORT/x /x\n", "Dockerfile:2: a fork's build may not fetch http://127.0.0.1:PORT/x from the builder's network"},
		{"ADD with a checksum", "FROM scratch\nADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 http://127.0.0.1:PORT/x /x\n", "Dockerfile:2: a fork's build may not fetch"},
		{"ADD from far", "FROM scratch\nADD https://example.com/x /x\n", "Dockerfile:2: a fork's build may not fetch https://example.com/x"},
		{"git", "FROM scratch\nADD http://127.0.0.1:PORT/x.git /x\n", "Dockerfile:2: a fork's build may not fetch"},
		{"base", "FROM 127.0.0.1:PORT/x\nCOPY busybox /\n", "Dockerfile:1: a fork's build may not pull 127.0.0.1:PORT/x:latest: its bases come from public registries"},
		{"COPY --from", "FROM scratch\nCOPY --from=localhost:PORT/x /a /b\n", inside},
		{"mount", shell + "RUN --mount=from=127.0.0.1:PORT/x,target=/x true\n", inside},
		{"an address in another form", "FROM 127.1:PORT/x\nCOPY busybox /\n", inside},
		{"a number", "FROM 0x7f000001:PORT/x\nCOPY busybox /\n", inside},
		{"IPv6", "FROM [::1]:PORT/x\nCOPY busybox /\n", inside},
		{"one label", "FROM registry:5000/x\nCOPY busybox /\n", inside},
		{"upper case", "FROM LOCALHOST:PORT/x\nCOPY busybox /\n", inside},
		{"a private name", "FROM registry.default.svc:5000/x\nCOPY busybox /\n", inside},
		{"localhost below a name", "FROM a.localhost:PORT/x\nCOPY busybox /\n", inside},
		{"the operator's", "FROM images.example.com:8443/x\nCOPY busybox /\n", inside},
		{"the operator's, upper case", "FROM IMAGES.example.com:8443/x\nCOPY busybox /\n", inside},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(strings.ReplaceAll(c.dockerfile, "PORT", port), nil)
			want := strings.ReplaceAll(c.want, "PORT", port)
			_, err := s.Inspect(t.Context(), r.Dockerfile, r.Spec)
			if f := failure(t, err); !strings.Contains(f.Message, want) || f.Stage != builder.StageBuild || f.Line == 0 {
				t.Errorf("inspect: %+v; want %q", f, want)
			}
			_, err = s.Solve(t.Context(), r, io.Discard)
			_, want, _ = strings.Cut(want, ": a fork") // the daemon knows no line of what it does not begin with
			if f := failure(t, err); !strings.Contains(f.Message, want) || f.Stage != builder.StageBuild {
				t.Errorf("solve: %+v; want %q", f, want)
			}
		})
	}
	if n := came.Load(); n > 0 {
		t.Errorf("%d requests came in", n)
	}
}

func TestForkMayPullFromPublicRegistries(t *testing.T) {
	s := newForkSolver(t, Options{Mirrored: []string{"registry.corp.internal"}})
	for id, refused := range map[string]bool{
		"docker-image://docker.io/library/alpine:3":              false,
		"docker-image://docker.io/library/alpine:3@sha256:01234": false,
		"docker-image://ghcr.io/acme/localhost/api:1":            false,
		"docker-image://registry-1.example.com:5000/x:1":         false,
		"docker-image://local.example.com/x:1":                   false,
		"docker-image://registry.corp.internal/x:1":              false,
		"docker-image://other.corp.internal/x:1":                 true,
		"docker-image://xregistry.corp.internal/x:1":             true,
		"docker-image://10.0.0.1/x:1":                            true,
		"docker-image://2130706433/x:1":                          true,
		"docker-image://example.com./x:1":                        false,
		"docker-image://localhost./x:1":                          true,
		"local://context":                                        false,
		"git://github.com/acme/api":                              true,
		"oci-layout://acme/api@sha256:01234":                     true,
		"docker-image+blob://example.com/x@sha256:01234":         true,
	} {
		if got := s.refused(id) != ""; got != refused {
			t.Errorf("%s: refused %t, want %t", id, got, refused)
		}
	}
}

// What the ONBUILD lines of a base bring is seen by nobody but the daemon.
func TestForkIsConfinedInOnbuild(t *testing.T) {
	port, came := listener(t)
	host := buildkittest.Registry(t)
	base := host + "/acme/base"
	r := request(shell+"ONBUILD ADD http://127.0.0.1:"+port+"/x /x\n", nil)
	r.Destination = base
	solution, _ := solve(t, newSolver(t), r)
	tag, err := name.NewTag(base + ":1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Tag(tag, pull(t, base, solution.Digest)); err != nil {
		t.Fatal(err)
	}
	_, err = newForkSolver(t, Options{Mirrored: []string{host}}).Solve(t.Context(), request("FROM "+base+":1\n", nil), io.Discard)
	if f := failure(t, err); !strings.Contains(f.Message, "a fork's build may not fetch http://127.0.0.1:"+port) {
		t.Errorf("failure %+v", f)
	}
	if came.Load() > 0 {
		t.Error("it was fetched")
	}
}

func TestForkStepsHaveNoNetwork(t *testing.T) {
	s := newForkSolver(t, Options{})
	port, came := listener(t)
	for _, c := range []struct{ name, flags, want string }{
		{"as it is", "", "; steps of a fork's build have no network"},
		{"default", "--network=default", "; steps of a fork's build have no network"},
		{"none", "--network=none", "; steps of a fork's build have no network"},
		{"host", "--network=host", "a step asks for network.host, which no build here gets"},
		{"insecure", "--security=insecure", "a step asks for security.insecure, which no build here gets"},
		{"secret", "--mount=type=secret,id=npmrc,required", `no secret "npmrc" was given to this build`},
		{"agent", "--mount=type=ssh,required", "no SSH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(shell+fmt.Sprintf("RUN %s busybox nc -w 2 127.0.0.1 %s </dev/null || busybox wget -O- http://127.0.0.1:%s/\n", c.flags, port, port), nil)
			_, err := s.Solve(t.Context(), r, io.Discard)
			if f := failure(t, err); !strings.Contains(f.Message, c.want) || f.Stage != builder.StageBuild {
				t.Errorf("failure %+v; want %q", f, c.want)
			}
		})
	}
	if n := came.Load(); n > 0 {
		t.Errorf("%d requests came in", n)
	}
	// The same step of the trusted lane gets through: the test can fail.
	r := request(shell+"RUN busybox wget -qO- http://127.0.0.1:"+port+"/\n", nil)
	solve(t, newSolver(t), r)
	if came.Load() == 0 {
		t.Error("nothing came in from the trusted lane either")
	}
	// A step's own loopback works.
	solve(t, s, request(shell+"RUN busybox ip addr | busybox grep 127.0.0.1/8\n", nil))
}

// A destination and a login in a request of the fork lane are not used, also
// by a Solver of the trusted lane.
func TestForkPushesNothing(t *testing.T) {
	var asked atomic.Int32
	host := buildkittest.Registry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			next.ServeHTTP(w, r)
		})
	})
	for name, s := range map[string]*Solver{"fork": newForkSolver(t, Options{}), "trusted": newSolver(t)} {
		r := request(shell+"RUN true\n", nil)
		r.Destination, r.Login, r.Lane = host+"/acme/api", builder.Login{Host: host, Username: "u", Password: "p"}, builder.ForkLane
		if name == "fork" {
			r.Lane = builder.TrustedLane // does not help
		}
		if solution, _ := solve(t, s, r); solution.Digest != "" || asked.Load() > 0 {
			t.Errorf("%s: digest %q, %d requests", name, solution.Digest, asked.Load())
		}
	}
}
