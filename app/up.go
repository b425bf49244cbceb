package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	// Nobody wants to wait in a test for what no delivery told.
	grace := c.Flags().Duration("missed-after", 0, "how long a forge's delivery may be on its way (default 30s)")
	c.Flags().Lookup("missed-after").Hidden = true
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := f.load()
		if err != nil {
			return err
		}
		return up(c.Context(), cfg, *grace, s.out, f.logger(s.err))
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
		slices.Sort(missing)
		if len(missing) > 0 {
			return fmt.Errorf("serve needs %s in the server file (--config); `registry-build up` runs those parts itself", strings.Join(missing, ", "))
		}
		return up(c.Context(), cfg, 0, s.out, f.logger(s.err))
	}
	return c
}

// up runs an installation: what the server file names elsewhere is used
// there, the rest runs as children.
func up(ctx context.Context, cfg *config.Server, grace time.Duration, out io.Writer, log *slog.Logger) error {
	dir, err := openDataDir(cfg.Data)
	if err != nil {
		return err
	}
	listener, err := dir.listen(cfg.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	leave, err := dir.moveIn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	at := places{url: addressOf(cfg, listener)}
	children, err := embedded(cfg, dir, &at, log)
	if err != nil {
		return err
	}
	// The children outlive everything that speaks to them.
	family, end := context.WithCancel(context.WithoutCancel(ctx))
	k := startAll(family, children)
	defer k.wait()
	defer end()
	if err := k.ready(ctx); err != nil {
		return err
	}
	in, err := wire(ctx, cfg, dir, listener, at, log)
	if err != nil {
		return err
	}
	if grace > 0 {
		in.missed.Grace, in.polled.Every = grace, grace
	}
	if err := dir.publish("url", at.url+"\n"); err != nil {
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
	lab := "write the server's address and a token into the server file; see registry-build gitlab --help"
	if len(cfg.GitLab) > 0 {
		lab = "registry-build gitlab install GROUP, or GROUP/PROJECT (with the same --config and --data)"
	}
	fmt.Fprintf(out, `registry-build is up
  console   %s/
  images    %s/OWNER/NAME
  data      %s

GitHub: registry-build github setup (with the same --config and --data)
GitLab: %s
To push here, let git read the token from its file (once), then push:
  git config --global credential.%s.helper '!f() { echo username=owner; echo "password=$(cat "%s")"; }; f'
  git push %s/git/OWNER/NAME.git main
`, address, images, dir.root, lab, address, dir.path("token"), address)
}
