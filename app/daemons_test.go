package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/moby/sys/mountinfo"
	"github.com/tonistiigi/fsutil"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit"
	"github.com/registry-build/registry-build/builder/buildkit/buildkittest"
	"github.com/registry-build/registry-build/config"
)

// lanes is a pool of daemons with a data folder of its own.
type lanes struct {
	*daemons
	dir    *dataDir
	again  func() *daemons // as after a restart
	closed func() error
	log    *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newLanes(t *testing.T, cfg *config.Server, idle time.Duration) *lanes {
	t.Helper()
	return newLanesOf(t, cfg, daemonOptions{Idle: idle})
}

func newLanesOf(t *testing.T, cfg *config.Server, o daemonOptions) *lanes {
	t.Helper()
	for _, program := range []string{"buildkitd", "buildctl"} {
		if _, err := os.Stat(filepath.Join("..", "bin", program)); err != nil {
			t.Fatalf("%v; run `make tools`", err)
		}
	}
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", os.Getenv("PATH")+string(filepath.ListSeparator)+bin)
	trusted, err := buildkittest.Start(buildkittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trusted.Stop(); err != nil {
			t.Error(err)
		}
	})
	dir, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leave, err := dir.moveIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
	l := &lanes{dir: dir, log: &safeBuffer{}}
	o.Config, o.Dir, o.Trusted, o.Host = cfg, dir, config.BuildKit{Address: trusted.Address()}, "images.example.com"
	o.Log = slog.New(slog.NewTextHandler(l.log, nil))
	l.again = func() *daemons {
		d, err := newDaemons(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	l.daemons = l.again()
	l.closed = sync.OnceValue(l.daemons.Close)
	t.Cleanup(func() {
		if err := l.closed(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(l.log.String())
		}
	})
	return l
}

func (l *lanes) acquire(t *testing.T, lane builder.Lane, owner string) builder.Daemon {
	t.Helper()
	d, err := l.Acquire(t.Context(), builder.Build{Lane: lane, Repository: builder.Repository{Forge: "github", Owner: owner, Name: "api"}})
	if err != nil {
		t.Fatalf("%v\n%s", err, l.log.String())
	}
	t.Cleanup(d.Release)
	return d
}

// address of the domain's own daemon, for those who speak to it without us.
func (l *lanes) address(owner string) string {
	return "unix://" + l.dir.socket("fork"+domainID("github:"+owner))
}

type folder struct{ fsutil.FS }

func (folder) Hash() string { return "" }

// solve builds with busybox at hand and returns the log.
func solve(t *testing.T, s builder.Solver, lane builder.Lane, dockerfile string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v; run `apt-get install busybox-static`", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "busybox"), data, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	var log safeBuffer
	_, err = s.Solve(t.Context(), builder.SolveRequest{
		ID: "test", Spec: builder.Spec{Context: ".", Dockerfile: "Dockerfile"}, Dockerfile: []byte(dockerfile),
		Files: folder{files}, Domain: "the same", SharedKey: "test", Lane: lane,
	}, &log)
	return log.String(), err
}

const scratch = "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n"

// inside is a server of the machine that forks have no business with, on all
// of its addresses.
func inside(t *testing.T) (port string, came *atomic.Int32) {
	t.Helper()
	came = &atomic.Int32{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		came.Add(1)
		io.WriteString(w, `{"token":"x"}`)
	}))
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, came
}

func TestForksShareNothingWithTheTrustedLane(t *testing.T) {
	l := newLanes(t, config.DefaultServer(), 0)
	trusted, fork := l.acquire(t, builder.TrustedLane, "acme"), l.acquire(t, builder.ForkLane, "acme")
	if trusted.Toolchain.BuildKit == "" || fork.Toolchain.BuildKit == "" {
		t.Errorf("toolchains %+v, %+v", trusted.Toolchain, fork.Toolchain)
	}
	// One name for the cache mount's domain: what parts them is the daemon.
	const step = "RUN --mount=type=cache,id=shared,target=/cache busybox ls /cache; busybox touch /cache/left-by-%s; echo was here\n"
	if log, err := solve(t, trusted.Solver, builder.TrustedLane, scratch+fmt.Sprintf(step, "trusted")); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	log, err := solve(t, fork.Solver, builder.ForkLane, scratch+fmt.Sprintf(step, "fork"))
	if err != nil || strings.Contains(log, "left-by-trusted") || !strings.Contains(log, "was here") {
		t.Errorf("fork: %v\n%s", err, log)
	}
	log, err = solve(t, trusted.Solver, builder.TrustedLane, scratch+strings.Replace(fmt.Sprintf(step, "trusted"), "was here", "again", 1))
	if err != nil || strings.Contains(log, "left-by-fork") || !strings.Contains(log, "left-by-trusted") {
		t.Errorf("trusted: %v\n%s", err, log)
	}
	// Nor is a step of one lane cached in the other.
	for name, s := range map[builder.Lane]builder.Solver{builder.TrustedLane: trusted.Solver, builder.ForkLane: fork.Solver} {
		if log, err := solve(t, s, name, scratch+"RUN echo the same step\n"); err != nil || strings.Contains(log, "CACHED") && !strings.Contains(log, "DONE") {
			t.Errorf("%s: %v\n%s", name, err, log)
		}
	}
	if other := l.acquire(t, builder.ForkLane, "other"); other.Solver == fork.Solver {
		t.Error("two trust domains share a daemon")
	}
}

// The daemon is asked here by somebody who asks for all that the fork lane
// leaves out: its network must hold by itself.
func TestForkBuilderReachesNothingInside(t *testing.T) {
	port, came := inside(t)
	var sentOn atomic.Int32
	mirror := buildkittest.Registry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A registry that sends who pulls from it on to others.
			if _, rest, ok := strings.Cut(r.URL.Path, "/realm/"); ok {
				sentOn.Add(1)
				host, _, _ := strings.Cut(rest, "/")
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s:%s/token",service="x"`, host, port))
				http.Error(w, "log in", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	image, err := random.Image(100, 1)
	if err == nil {
		err = crane.Push(image, mirror+"/acme/base:1")
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.DefaultServer()
	cfg.Registry.Mirrors = map[string][]string{"registry.example.com": {mirror}}
	l := newLanes(t, cfg, 0)
	fork := l.acquire(t, builder.ForkLane, "acme")
	raw, err := buildkit.New(t.Context(), buildkit.Options{Address: l.address("acme")})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, ip := range append(addresses(t), "127.0.0.1", "0.0.0.0") {
		at := net.JoinHostPort(ip, port)
		for name, dockerfile := range map[string]string{
			"RUN":  scratch + "RUN busybox wget -qO- http://" + at + "/\n",
			"ADD":  "FROM scratch\nADD http://" + at + "/x /x\n",
			"FROM": "FROM " + at + "/x\nCOPY busybox /\n",
			"the proxy, by a step": scratch + "RUN export http_proxy=http://127.0.0.1:$(busybox netstat -ltn | busybox sed -n 's/.*127.0.0.1:\\([0-9]*\\).*/\\1/p' | busybox tail -n 1); " +
				"echo by $http_proxy; busybox wget -qO- http://" + at + "/\n",
			"a realm": "FROM registry.example.com/realm/" + ip + "/x:1\nCOPY busybox /\n",
		} {
			log, err := solve(t, raw, builder.TrustedLane, dockerfile)
			if f := (*builder.Failure)(nil); !errors.As(err, &f) || f.Stage != builder.StageBuild {
				t.Errorf("%s of %s: %v\n%s", name, at, err, log)
			}
			if strings.HasPrefix(name, "the proxy") && !strings.Contains(log, "by http://127.0.0.1:") {
				t.Errorf("the proxy was not found:\n%s", log)
			}
		}
	}
	if n := came.Load(); n > 0 || sentOn.Load() == 0 {
		t.Errorf("%d requests came in, %d were sent on", n, sentOn.Load())
	}
	// The operator's mirror on the loopback is there.
	for name, s := range map[string]builder.Solver{"raw": raw, "fork": fork.Solver} {
		if log, err := solve(t, s, builder.ForkLane, "FROM registry.example.com/acme/base:1\nCOPY busybox /"+name+"\n"); err != nil {
			t.Errorf("%s: a base of the mirror: %v\n%s", name, err, log)
		}
	}
	// The trusted lane reaches it: the test can fail.
	if log, err := solve(t, l.acquire(t, builder.TrustedLane, "acme").Solver, builder.TrustedLane, scratch+"RUN busybox wget -qO- http://127.0.0.1:"+port+"/\n"); err != nil || came.Load() == 0 {
		t.Errorf("trusted: %v\n%s", err, log)
	}
}

// addresses of this machine besides the loopback.
func addresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			out = append(out, n.IP.String())
		}
	}
	return out
}

func TestForkBuilderIsStartedOnceAndStoppedWhenIdle(t *testing.T) {
	l := newLanes(t, config.DefaultServer(), 200*time.Millisecond)
	var all sync.WaitGroup
	got := make([]builder.Daemon, 5)
	for i := range got {
		all.Go(func() {
			d, err := l.Acquire(t.Context(), builder.Build{Lane: builder.ForkLane, Repository: builder.Repository{Forge: "github", Owner: "acme"}})
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = d
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	if n := strings.Count(l.log.String(), "builder started"); n != 1 {
		t.Errorf("%d starts", n)
	}
	if log, err := solve(t, got[0].Solver, builder.ForkLane, scratch+"RUN echo kept\n"); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	stopped := func(n int) func() bool {
		return func() bool { return strings.Count(l.log.String(), "builder stopped") >= n }
	}
	for _, d := range got {
		if stopped(1)() {
			t.Fatal("it was stopped while it was used")
		}
		d.Release()
		d.Release() // twice does no harm
	}
	if err := poll(10*time.Second, stopped(1)); err != nil {
		t.Fatal("it was not stopped")
	}
	if _, err := os.Stat(strings.TrimPrefix(l.address("acme"), "unix://")); err == nil {
		t.Error("its socket is still there")
	}
	// The next one finds the cache.
	again, err := l.Acquire(t.Context(), builder.Build{Lane: builder.ForkLane, Repository: builder.Repository{Forge: "github", Owner: "acme"}})
	if err != nil {
		t.Fatal(err)
	}
	if log, err := solve(t, again.Solver, builder.ForkLane, scratch+"RUN echo kept\n"); err != nil || !strings.Contains(log, "CACHED") {
		t.Errorf("%v\n%s", err, log)
	}
	// At the end all stop, with no patience for who still has one.
	if err := l.closed(); err != nil {
		t.Error(err)
	}
	if !stopped(2)() {
		t.Error("it outlives Close")
	}
	if left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(l.dir.path(forkRoom))); err != nil || len(left) > 0 {
		t.Errorf("mounts are left: %v, %v", left, err)
	}
	again.Release()
	if _, err := l.Acquire(t.Context(), builder.Build{Lane: builder.ForkLane}); !errors.Is(err, errStopping) {
		t.Errorf("after Close: %v", err)
	}
}

func TestForkBuilderThatDoesNotStart(t *testing.T) {
	l := newLanes(t, config.DefaultServer(), 0)
	t.Setenv("PATH", t.TempDir())
	for range 2 {
		_, err := l.Acquire(t.Context(), builder.Build{Lane: builder.ForkLane, Repository: builder.Repository{Forge: "github", Owner: "acme"}})
		var f *builder.Failure
		if !errors.As(err, &f) || f.Stage != builder.StageInternal || !strings.Contains(f.Message, "did not start") || !strings.Contains(err.Error(), "make tools") {
			t.Errorf("error %v", err)
		}
	}
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	l := newLanes(t, config.DefaultServer(), 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	repo := builder.Repository{Forge: "github", Owner: "acme"}
	if _, err := l.Acquire(ctx, builder.Build{Lane: builder.ForkLane, Repository: repo}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	l.acquire(t, builder.ForkLane, "acme") // the start goes on for others
}

func TestOutsideBuilders(t *testing.T) {
	one, two := config.BuildKit{Address: "tcp://one:1", Lane: "trusted"}, config.BuildKit{Address: "tcp://two:1", Lane: "fork"}
	with := func(b config.BuildKit, change func(*config.BuildKit)) config.BuildKit { change(&b); return b }
	three := with(one, func(b *config.BuildKit) { b.Address = "tcp://three:1" })
	acme := with(three, func(b *config.BuildKit) { b.Domains = []string{"acme"} })
	for _, c := range []struct {
		name          string
		list          []config.BuildKit
		trusted, fork string
		err           string
	}{
		{"none", nil, "", "", ""},
		{"one", []config.BuildKit{one}, "tcp://one:1", "", ""},
		{"both lanes", []config.BuildKit{two, one}, "tcp://one:1", "tcp://two:1", ""},
		{"forks only", []config.BuildKit{two}, "", "tcp://two:1", ""},
		{"by domain", []config.BuildKit{acme, one}, "tcp://three:1 tcp://one:1", "", ""},
		{"one that is never used", []config.BuildKit{one, two, acme}, "tcp://one:1", "tcp://two:1",
			"buildkit[2]: tcp://three:1 is never used: one before it has no domains and serves everybody in the trusted lane; give that one its domains, or put it last"},
		{"one twice", []config.BuildKit{acme, with(acme, func(b *config.BuildKit) { b.Domains = []string{"evil"} })}, "tcp://three:1", "",
			"buildkit[1]: tcp://three:1 is named already for the trusted lane; a builder has one entry, with all of its domains"},
		{"platforms", []config.BuildKit{with(one, func(b *config.BuildKit) { b.Platforms = []string{"linux/amd64"} })}, "", "",
			"buildkit[0]: a builder is not chosen by platform yet; leave platforms out"},
		{"one daemon for both", []config.BuildKit{one, with(two, func(b *config.BuildKit) { b.Address = one.Address })}, "tcp://one:1", "",
			"buildkit: tcp://one:1 is named for both lanes; what forks build must not share a daemon with what is trusted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lanes, err := outsideBuilders(c.list)
			if got := addressesOf(lanes[builder.TrustedLane]); got != c.trusted {
				t.Errorf("trusted %q", got)
			}
			if got := addressesOf(lanes[builder.ForkLane]); got != c.fork {
				t.Errorf("fork %q", got)
			}
			if got := fmt.Sprint(err); got != c.err && (c.err != "" || err != nil) {
				t.Errorf("error %q, want %q", got, c.err)
			}
		})
	}
}

func addressesOf(list []config.BuildKit) string {
	var all []string
	for _, b := range list {
		all = append(all, b.Address)
	}
	return strings.Join(all, " ")
}

func TestOutsideDaemonsServeWhomTheyAreFor(t *testing.T) {
	d, err := buildkittest.Start(buildkittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Stop() })
	cfg := config.DefaultServer()
	cfg.BuildKit = []config.BuildKit{{Address: d.Address(), Lane: "trusted", Domains: []string{"Acme", "github:team-*"}}}
	pool := func() *daemons {
		p, err := newDaemons(t.Context(), daemonOptions{Config: cfg, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	p := pool()
	for owner, want := range map[string]string{"acme": "", "ACME": "", "team-a": "", "evil": "the operator's builder of the trusted lane does not serve evil"} {
		_, err := p.Acquire(t.Context(), builder.Build{Lane: builder.TrustedLane, Repository: builder.Repository{Forge: "github", Owner: owner}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", owner, err)
		}
	}
	fork := builder.Build{Lane: builder.ForkLane, Repository: builder.Repository{Forge: "github", Owner: "acme"}}
	_, err = p.Acquire(t.Context(), fork)
	var f *builder.Failure
	if !errors.As(err, &f) || f.Stage != builder.StageConfig || !strings.Contains(f.Message, "add a `buildkit:` entry with lane: fork") {
		t.Errorf("error %v", err)
	}
	// One that is away for now is asked again, and does not keep us from starting.
	cfg.BuildKit = append(cfg.BuildKit, config.BuildKit{Address: "unix:///nonexistent", Lane: "fork"}, config.BuildKit{Address: "unix:///nowhere", Lane: "trusted", Domains: []string{"evil"}})
	if _, err = pool().Acquire(t.Context(), fork); !errors.As(err, &f) || f.Stage != builder.StageInternal || !strings.Contains(f.Message, "cannot be reached") {
		t.Errorf("error %v", err)
	}
}
