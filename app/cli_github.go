package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/manifests"
)

func githubCommand(s streams) *cobra.Command {
	c := &cobra.Command{Use: "github", Short: "Create the GitHub App", Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(githubSetup(s))
	return c
}

func githubSetup(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "setup",
		Short: "Print the link to the page with the button that creates the GitHub App",
		Long: `Prints a link, good for an hour, to a page of the running server. Its button lets
GitHub make the app with the right permissions, events, webhook address and
secret; GitHub then hands its key to the server, which keeps it encrypted.
Run it on the server's machine, with the flags that the server was started with.`,
		Args: exactly(),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := openPremises(&f)
		if err != nil {
			return err
		}
		id, err := p.app.Identities.Identity(c.Context())
		switch {
		case err == nil:
			fmt.Fprintf(s.out, "There is a GitHub App already: %s\n", firstOf(id.Slug, fmt.Sprint(id.ID)))
			if id.Slug != "" {
				fmt.Fprintf(s.out, "Install it on repositories: %s/apps/%s/installations/new\n", p.app.Config.URL, id.Slug)
			}
			return nil
		case !errors.Is(err, builder.ErrNotFound):
			return err
		}
		if !p.runs(c.Context()) {
			return errors.New("the server is not running, and it serves the page: start `registry-build up` (or serve) first, with the same --config and --data")
		}
		if why := p.app.Reachable(p.url); why != "" {
			return errors.New(why)
		}
		fmt.Fprintf(s.out, "Open this within an hour and press the button:\n  %s\n", p.links.page(github.PathSetup))
		return nil
	}
	return c
}

// premises is an installation as a command on its machine finds it.
type premises struct {
	cfg   *config.Server
	dir   *dataDir
	url   string // "" where it never ran
	links links
	app   *github.App

	store *credential.Store
}

// openPremises opens what `up` or `serve` with the same flags would use.
func openPremises(f *serverFlags) (*premises, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	dir, err := openDataDir(cfg.Data)
	if err != nil {
		return nil, err
	}
	credentials, err := credential.Open(dir.path("credentials"), firstOf(cfg.KeyFile, dir.path("credentials", "key.txt")))
	if err != nil {
		return nil, err
	}
	secret, err := dir.secret(linksSecret)
	if err != nil {
		return nil, err
	}
	p := &premises{cfg: cfg, dir: dir, url: cfg.URL, store: credentials}
	if kept, err := os.ReadFile(dir.path("url")); err == nil {
		p.url = firstOf(p.url, strings.TrimSpace(string(kept)))
	}
	p.links = links{secret, p.url, linkKeeps(cfg), time.Now}
	p.app = github.New(github.Options{
		Identities: &identities{config: cfg.GitHub, store: credentials}, Memory: noMemory{}, Config: cfg.GitHub,
	})
	return p, nil
}

// runs reports whether a server uses the data folder.
func (p *premises) runs(ctx context.Context) bool {
	lock, err := lockFile(ctx, p.dir.path("lock"), 0)
	if err == nil {
		lock.Close()
	}
	return p.url != "" && errors.Is(err, errLocked)
}

// linksSecret is the file with the secret that signs links.
const linksSecret = "links.secret"

// noMemory is for commands that only look.
type noMemory struct{}

func (noMemory) Recall(context.Context, string) (string, error) { return "", nil }
func (noMemory) Remember(context.Context, string, string, time.Duration) error {
	return nil
}
func (noMemory) Claim(context.Context, string, string, time.Duration) (bool, error) { return true, nil }

func appManifest() (github.Manifest, error) { return github.ParseManifest(manifests.GitHubApp) }
