package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder/buildkit"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
)

func upCommand(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Run all of it on this machine: git remote, builder, registry, console",
		Long: `Runs a git remote, a builder, a registry and the console on one port, with a
redis-server and a buildkitd of its own. Everything is kept in the data folder
and survives a stop and a start. Addresses in the server file replace the
embedded parts one by one.`,
		Args: exactly(),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := f.load()
		if err != nil {
			return err
		}
		return up(c.Context(), cfg, s.out, f.logger(s.err))
	}
	return c
}

func serveCommand(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server against Redis, BuildKit and a registry elsewhere",
		Args:  exactly(),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := f.load()
		if err != nil {
			return err
		}
		var missing []string
		for key, given := range map[string]bool{"listen": cfg.Listen != "", "redis": cfg.Redis != "", "buildkit": len(cfg.BuildKit) > 0} {
			if !given {
				missing = append(missing, key)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("serve needs %s in the server file (--config); `registry-build up` runs those parts itself", strings.Join(missing, ", "))
		}
		return up(c.Context(), cfg, s.out, f.logger(s.err))
	}
	return c
}

// up runs an installation: what the server file names elsewhere is used
// there, the rest runs as children.
func up(ctx context.Context, cfg *config.Server, out io.Writer, log *slog.Logger) error {
	dir, err := openDataDir(cfg.Data)
	if err != nil {
		return err
	}
	defer dir.close()
	listener, err := dir.listen(cfg.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	at := places{url: addressOf(cfg, listener)}

	// The children outlive everything that speaks to them.
	family, end := context.WithCancel(context.WithoutCancel(ctx))
	children, err := startChildren(ctx, family, cfg, dir, &at, log)
	defer children.wait()
	defer end()
	if err != nil {
		return err
	}
	in, err := wire(ctx, cfg, dir, listener, at, log)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir.path("url"), []byte(at.url+"\n"), 0o600); err != nil {
		return err
	}
	greet(out, cfg, dir, at.url)
	return in.run(ctx)
}

// addressOf is how people reach us: what the server file says, else the
// address that we listen on.
func addressOf(cfg *config.Server, l net.Listener) string {
	if cfg.URL != "" {
		return cfg.URL
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}).String()
}

// startChildren starts the parts that the server file does not name
// elsewhere, all at once, and waits until each answers.
func startChildren(ctx, family context.Context, cfg *config.Server, dir *dataDir, at *places, log *slog.Logger) (*kin, error) {
	k := &kin{ctx: family, log: log}
	at.redis = cfg.Redis
	if at.redis == "" {
		at.redis = "unix://" + dir.socket("redis")
		c, err := redisChild(dir, log)
		if err != nil {
			return k, err
		}
		k.start(c)
	}
	if len(cfg.BuildKit) > 0 {
		var err error
		if at.buildkit, err = outsideBuilder(cfg.BuildKit); err != nil {
			return k, err
		}
	} else {
		at.buildkit.Address = "unix://" + dir.socket("buildkitd")
		c, err := buildkitChild(cfg, dir, log)
		if err != nil {
			return k, err
		}
		k.start(c)
	}
	return k, k.ready(ctx)
}

// outsideBuilder is the one daemon that builds. What would need a choice
// between several is refused, so that nobody relies on it.
func outsideBuilder(list []config.BuildKit) (config.BuildKit, error) {
	b := list[0]
	if len(list) > 1 || b.Lane == "fork" || len(b.Domains) > 0 || len(b.Platforms) > 0 {
		return b, errors.New("buildkit: one builder of the trusted lane is used for now; name one, without platforms and domains. Several, by platform, lane and trust domain, come later")
	}
	return b, nil
}

// kin is the children of one `up`.
type kin struct {
	ctx     context.Context
	log     *slog.Logger
	started []chan error
	done    []chan struct{}
}

func (k *kin) start(c *child) {
	started, done := make(chan error, 1), make(chan struct{})
	k.started, k.done = append(k.started, started), append(k.done, done)
	go func() {
		defer close(done)
		if err := c.Run(k.ctx, func() { started <- nil }); err != nil {
			started <- err
		}
	}()
}

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
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1})
	return &child{
		name: "redis-server", path: path, dir: dir.path("redis"), log: dir.path("log", "redis.log"), slog: log,
		args: []string{
			"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir.path("redis"),
			"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
		},
		ready: func(ctx context.Context) error { return client.Ping(ctx).Err() },
	}, nil
}

func buildkitChild(cfg *config.Server, dir *dataDir, log *slog.Logger) (*child, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("buildkitd needs root: run as root (sudo), or name a builder with `buildkit:` in the server file")
	}
	path, err := dir.find("buildkitd")
	if err != nil {
		return nil, err
	}
	runc, err := dir.find("runc")
	if err != nil {
		return nil, err
	}
	settings := dir.path("buildkitd.toml")
	if err := os.WriteFile(settings, buildkitdSettings(cfg), 0o600); err != nil {
		return nil, err
	}
	socket := dir.socket("buildkitd")
	return &child{
		name: "buildkitd", path: path, dir: dir.path("buildkit"), log: dir.path("log", "buildkitd.log"), slog: log,
		args: []string{
			"--root", dir.path("buildkit"), "--addr", "unix://" + socket, "--config", settings,
			"--otel-socket-path", dir.socket("otel"), // the default is one for the whole machine
			"--containerd-worker=false", "--oci-worker=true", "--oci-worker-binary", runc, "--oci-worker-net", "host",
		},
		// The daemon cuts a step's log at 2 MiB and 200 KiB/s by itself; the
		// store has a cap of its own that keeps the end.
		env:   []string{"BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1"},
		ready: func(ctx context.Context) error { return pingBuildkit(ctx, socket) },
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

// tokenAuthority knows the server file's tokens and the one that the first
// `up` made for its owner.
func tokenAuthority(cfg *config.Server, own string) (*credential.Tokens, error) {
	owner := config.Token{Name: "owner", Hash: credential.HashToken(own), Repositories: []string{"*"}, Scopes: allScopes()}
	return credential.NewTokens(append([]config.Token{owner}, cfg.Tokens...))
}

func allScopes() []string {
	var all []string
	for _, s := range credential.Scopes() {
		all = append(all, string(s))
	}
	return all
}

// greet tells a person how to go on.
func greet(out io.Writer, cfg *config.Server, dir *dataDir, address string) {
	host := strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	images := host
	if cfg.Registry.Default != "" {
		images = cfg.Registry.Default
	}
	fmt.Fprintf(out, `registry-build is up
  console   %s/
  images    %s/OWNER/NAME
  data      %s

To push, let git read the token from its file (once), then push:
  git config --global credential.%s.helper '!f() { echo username=owner; echo "password=$(cat %s)"; }; f'
  git push %s/git/OWNER/NAME.git main
`, address, images, dir.root, address, dir.path("token"), address)
}
