package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit"
	"github.com/registry-build/registry-build/config"
)

// embedded makes the children for the parts that the server file does not
// name elsewhere. All that is missing is told at once.
func embedded(cfg *config.Server, dir *dataDir, at *places, log *slog.Logger) ([]*child, error) {
	var children []*child
	var missing []error
	add := func(c *child, err error) {
		if err != nil {
			missing = append(missing, err)
			return
		}
		children = append(children, c)
	}
	if _, err := dir.find("git"); err != nil {
		missing = append(missing, err)
	}
	if at.redis = cfg.Redis; at.redis == "" {
		at.redis = "unix://" + dir.socket("redis")
		add(redisChild(dir, log))
	}
	outside, err := outsideBuilders(cfg.BuildKit)
	switch {
	case err != nil:
		missing = append(missing, err)
	case len(outside[builder.TrustedLane]) == 0:
		at.buildkit.Address = "unix://" + dir.socket("buildkitd")
		add(trustedBuilder(cfg, dir, log))
	}
	return children, errors.Join(missing...)
}

// outsideBuilders are the daemons that the server file names, by lane and in
// its order: the first that serves a domain builds for it. What would need a
// choice by platform, or would never be used, is refused, so that nobody
// relies on it.
func outsideBuilders(list []config.BuildKit) (map[builder.Lane][]config.BuildKit, error) {
	lanes, seen := map[builder.Lane][]config.BuildKit{}, map[string]string{}
	var errs []error
	for i, b := range list {
		lane := builder.TrustedLane
		if builder.Lane(b.Lane) == builder.ForkLane {
			lane = builder.ForkLane
		}
		before, open := lanes[lane], false
		for _, earlier := range before {
			open = open || len(earlier.Domains) == 0
		}
		switch {
		case len(b.Platforms) > 0:
			errs = append(errs, fmt.Errorf("buildkit[%d]: a builder is not chosen by platform yet; leave platforms out", i))
		case seen[b.Address] == b.Lane && seen[b.Address] != "":
			errs = append(errs, fmt.Errorf("buildkit[%d]: %s is named already for the %s lane; a builder has one entry, with all of its domains", i, b.Address, b.Lane))
		case seen[b.Address] != "":
			errs = append(errs, fmt.Errorf("buildkit: %s is named for both lanes; what forks build must not share a daemon with what is trusted", b.Address))
		case open:
			errs = append(errs, fmt.Errorf("buildkit[%d]: %s is never used: one before it has no domains and serves everybody in the %s lane; give that one its domains, or put it last", i, b.Address, b.Lane))
		default:
			lanes[lane] = append(before, b)
		}
		seen[b.Address] = b.Lane
	}
	return lanes, errors.Join(errs...)
}

// kin is the children of one `up`.
type kin struct {
	started []chan error
	done    []chan struct{}
}

// startAll starts the children, all at once, and stops them when ctx ends.
func startAll(ctx context.Context, children []*child) *kin {
	k := &kin{}
	for _, c := range children {
		started, done := make(chan error, 1), make(chan struct{})
		k.started, k.done = append(k.started, started), append(k.done, done)
		go func() {
			defer close(done)
			if err := c.Run(ctx, func() { started <- nil }); err != nil {
				started <- err
			}
		}()
	}
	return k
}

// ready waits until every child answers.
func (k *kin) ready(ctx context.Context) error {
	var errs []error
	for _, started := range k.started {
		select {
		case err := <-started:
			errs = append(errs, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// wait waits until every child is gone.
func (k *kin) wait() {
	for _, done := range k.done {
		<-done
	}
}

// redisChild is a redis-server that syncs every write before it answers:
// what is accepted is on disk.
func redisChild(dir *dataDir, log *slog.Logger) (*child, error) {
	path, err := dir.find("redis-server")
	if err != nil {
		return nil, err
	}
	socket := dir.socket("redis")
	return &child{
		name: "redis-server", path: path, dir: dir.path("redis"), log: dir.path("log", "redis.log"), slog: log,
		args: []string{
			"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir.path("redis"),
			"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
		},
		ready: func(ctx context.Context) error {
			c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1})
			defer c.Close()
			return c.Ping(ctx).Err()
		},
	}, nil
}

// daemonChild says what sets one buildkitd of ours apart from another.
type daemonChild struct {
	name     string // of its log and settings
	root     string
	socket   string
	otel     string // the default is one for the whole machine
	settings []byte
	args     []string
	enter    func() (env []string, leave func(), err error)
}

// trustedBuilder is the buildkitd of the trusted lane. Its steps have the
// machine's network.
func trustedBuilder(cfg *config.Server, dir *dataDir, log *slog.Logger) (*child, error) {
	return buildkitChild(dir, log, daemonChild{
		name: "buildkitd", root: dir.path("buildkit"), socket: dir.socket("buildkitd"), otel: dir.socket("otel"),
		settings: buildkitdSettings(cfg),
	})
}

func buildkitChild(dir *dataDir, log *slog.Logger, d daemonChild) (*child, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("buildkitd needs root: run as root (sudo), or name a builder with `buildkit:` in the server file")
	}
	path, err := dir.find("buildkitd")
	runc, noRunc := dir.find("runc")
	if err := errors.Join(err, noRunc); err != nil {
		return nil, err
	}
	settings := filepath.Join(d.root, "buildkitd.toml")
	if err := os.WriteFile(settings, d.settings, 0o600); err != nil {
		return nil, err
	}
	return &child{
		name: d.name, path: path, dir: d.root, log: dir.path("log", d.name+".log"), slog: log, enter: d.enter,
		args: append([]string{
			"--root", d.root, "--addr", "unix://" + d.socket, "--config", settings, "--otel-socket-path", d.otel,
			"--containerd-worker=false", "--oci-worker=true", "--oci-worker-binary", runc,
			// Of the network that the daemon is in.
			"--oci-worker-net", "host",
		}, d.args...),
		// The daemon cuts a step's log at 2 MiB and 200 KiB/s by itself; the
		// store has a cap of its own that keeps the end.
		env:    []string{"BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1"},
		before: func(ctx context.Context) error { return clearLeftovers(ctx, runc, d.root) },
		ready:  func(ctx context.Context) error { return pingBuildkit(ctx, d.socket) },
	}, nil
}

func pingBuildkit(ctx context.Context, socket string) error {
	if _, err := os.Stat(socket); err != nil {
		return err
	}
	s, err := buildkit.New(ctx, buildkit.Options{Address: "unix://" + socket})
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Ping(ctx)
}

// buildkitdSettings passes the server file's registries on to the daemon.
func buildkitdSettings(cfg *config.Server) []byte {
	var b strings.Builder
	for host, mirrors := range cfg.Registry.Mirrors {
		fmt.Fprintf(&b, "[registry.%q]\n  mirrors = [", host)
		for i, m := range mirrors {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%q", m)
		}
		b.WriteString("]\n")
	}
	for _, host := range cfg.Registry.Insecure {
		if _, mirrored := cfg.Registry.Mirrors[host]; !mirrored {
			fmt.Fprintf(&b, "[registry.%q]\n  http = true\n", host)
		}
	}
	return []byte(b.String())
}
