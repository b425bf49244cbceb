package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
)

func gitlabCommand(s streams) *cobra.Command {
	c := &cobra.Command{Use: "gitlab", Short: "Let registry-build into projects and groups of GitLab", Args: noCommand,
		Long: `Lets registry-build into projects and groups of GitLab servers, and puts it out
again. A server, with its address and a token, is written into the server file:

  forges:
    gitlab:
      - url: https://gitlab.com
        token: ${env:GITLAB_TOKEN}

handlers/forge/gitlab/README.md tells which token, and all the rest.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(gitlabInstall(s), gitlabUninstall(s), gitlabList(s))
	return c
}

func gitlabInstall(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "install GROUP|PROJECT",
		Short: "Make the webhooks of a project, or of all projects of a group",
		Long: `Lets registry-build into a project (acme/shop) or into all projects of a group
and its subgroups (acme): makes the webhook, has GitLab try it, switches it on
again where GitLab has switched it off, and tells the running server. A group
gets one webhook where GitLab has webhooks of groups (Premium) and the token's
user owns it; else each of its projects gets one. Doing it twice changes
nothing. Run it on the server's machine, with the server's flags.`,
		Example: `  registry-build gitlab install acme/shop --config server.yml
  registry-build gitlab install acme --config server.yml
  registry-build gitlab install https://git.example.com/acme/shop --config server.yml`,
		Args: exactly("GROUP or PROJECT"),
	}
	f.add(c)
	server := serverFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withGitLab(c.Context(), s, &f, *server, args[0], func(i *gitlab.Installer, secrets *hookSecrets, name string) error {
			if err := secrets.ensure(c.Context()); err != nil {
				return err
			}
			changed, err := i.Install(c.Context(), name)
			if changed && err == nil {
				fmt.Fprintln(s.out, "What is pushed from now on is built where there is a .registry-build.yml; `registry-build validate` checks one.")
			}
			return err
		})
	}
	return c
}

func gitlabUninstall(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "uninstall GROUP|PROJECT",
		Short: "Remove our webhooks, and stop what is being built",
		Long: `Removes the webhooks that lead to this server from a project, or from a group
and everything in it. Other webhooks stay. What is being built of the projects is
cancelled; images stay where they are. Run it on the server's machine, with the
server's flags.`,
		Args: exactly("GROUP or PROJECT"),
	}
	f.add(c)
	server := serverFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withGitLab(c.Context(), s, &f, *server, args[0], func(i *gitlab.Installer, _ *hookSecrets, name string) error {
			return i.Uninstall(c.Context(), name)
		})
	}
	return c
}

func gitlabList(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the GitLab servers and the projects that are installed",
		Long: `Lists the GitLab servers of the server file with the projects that the running
server knows. ` + "`registry-build doctor`" + ` looks at their webhooks.`,
		Args: exactly(),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, records, done, err := openRunning(c.Context(), s, &f)
		if err != nil {
			return err
		}
		defer done()
		return p.listGitLabs(c.Context(), s.out, records)
	}
	return c
}

func serverFlag(c *cobra.Command) *string {
	return c.Flags().String("server", "", "`name` of the GitLab server, where the server file has several")
}

// withGitLab opens what installing needs: the GitLab server that is meant, and
// the store of the running server.
func withGitLab(ctx context.Context, s streams, f *serverFlags, server, target string, do func(*gitlab.Installer, *hookSecrets, string) error) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	if len(cfg.GitLab) == 0 {
		return f.noGitLab()
	}
	g, name, err := whichGitLab(cfg.GitLab, server, target)
	if err != nil {
		return err
	}
	p, records, done, err := openRunning(ctx, s, f)
	if err != nil {
		return err
	}
	defer done()
	lab, secrets, err := p.gitlab(g, records.Memory())
	if err != nil {
		return err
	}
	return do(&gitlab.Installer{Forge: lab, Events: records, Projects: records,
		Say: func(line string) { fmt.Fprintln(s.out, line) }}, secrets, name)
}

// openRunning opens the store that a running server uses.
func openRunning(ctx context.Context, s streams, f *serverFlags) (*premises, *store.Store, func(), error) {
	redis.SetLogger(redisLog{f.logger(s.err)})
	p, err := openPremises(f)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(p.cfg.GitLab) == 0 {
		return nil, nil, nil, f.noGitLab()
	}
	if !p.runs(ctx) {
		return nil, nil, nil, errors.New("the server is not running, and it has to know of this: start `registry-build up` (or serve) first, with the same --config and --data")
	}
	records, done, err := p.records(ctx)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w; `registry-build doctor` tells what the server lacks", err)
	}
	return p, records, done, nil
}

// noGitLab says where a GitLab server is to be named.
func (f *serverFlags) noGitLab() error {
	const write = `forges: {gitlab: [{url: "https://gitlab.com", token: "${env:GITLAB_TOKEN}"}]}`
	if f.config == "" {
		return errors.New("no server file is given, and it names the GitLab servers; write --config FILE, and into the file: " + write)
	}
	return fmt.Errorf("%s names no GitLab server; write: %s", f.config, write)
}

// records opens the store.
func (p *premises) records(ctx context.Context) (*store.Store, func(), error) {
	client, err := store.Open(firstOf(p.cfg.Redis, "unix://"+p.dir.socket("redis")))
	if err != nil {
		return nil, nil, err
	}
	records := store.New(client, store.Options{Events: p.cfg.Retention.Events, Builds: p.cfg.Retention.Builds, Logs: p.cfg.Retention.Logs})
	if err := records.Ping(ctx); err != nil {
		client.Close()
		return nil, nil, err
	}
	return records, func() { client.Close() }, nil
}

// whichGitLab finds the server that is meant, and the path there: by its name,
// by a whole address, or because there is one only.
func whichGitLab(all []config.GitLab, server, target string) (config.GitLab, string, error) {
	names := make([]string, 0, len(all))
	for _, g := range all {
		names = append(names, g.Name)
	}
	if strings.Contains(target, "://") {
		for _, g := range all {
			path, ok := strings.CutPrefix(target, g.URL+"/")
			if ok && (server == "" || server == g.Name) {
				path, _, _ = strings.Cut(path, "/-/")
				path, _, _ = strings.Cut(path, "?")
				return g, strings.TrimPrefix(path, "groups/"), nil
			}
		}
		return config.GitLab{}, "", fmt.Errorf("%s is not at a GitLab server of the server file (%s)", target, gitlabURLs(all))
	}
	i := slices.Index(names, server)
	switch {
	case i >= 0:
		return all[i], target, nil
	case server != "":
		return config.GitLab{}, "", fmt.Errorf("the server file has no GitLab server %q; it has %s", server, strings.Join(names, ", "))
	case len(all) > 1:
		return config.GitLab{}, "", fmt.Errorf("the server file has several GitLab servers; say which with --server %s, or write the whole address", strings.Join(names, " or --server "))
	}
	return all[0], target, nil
}

func gitlabURLs(all []config.GitLab) string {
	var list []string
	for _, g := range all {
		list = append(list, g.URL)
	}
	return strings.Join(list, ", ")
}

// gitlab is a GitLab server as the running server sees it.
func (p *premises) gitlab(g config.GitLab, memory memory) (*gitlab.Forge, *hookSecrets, error) {
	secrets := &hookSecrets{instance: g.Name, store: p.store}
	every := time.Duration(0)
	if g.Events == config.ByPoll {
		every = pollEvery
	}
	lab, err := gitlab.New(gitlab.Options{
		Every: every, Config: g, Secrets: secrets, Memory: memory, BuildURL: p.links.build, Host: func() string { return "" },
		HookURL: func() string {
			if p.url == "" {
				return ""
			}
			return p.url + "/hooks/" + g.Name
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("forges.gitlab %s: %w", g.Name, err)
	}
	return lab, secrets, nil
}

// listGitLabs prints the servers and the projects that are installed.
func (p *premises) listGitLabs(ctx context.Context, w io.Writer, records gitlab.Projects) error {
	list, err := records.ActiveRepositories(ctx, time.Unix(0, 0))
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b builder.Repository) int { return strings.Compare(a.FullName(), b.FullName()) })
	for _, g := range p.cfg.GitLab {
		how := "webhooks"
		if g.Events == config.ByPoll {
			how = "asked for events"
		}
		fmt.Fprintf(w, "%s  %s  %s\n", g.Name, g.URL, how)
		n := 0
		for _, repo := range list {
			if repo.Forge == g.Name {
				n++
				fmt.Fprintf(w, "  %s\n", repo.FullName())
			}
		}
		if n == 0 {
			fmt.Fprintln(w, "  no project yet: registry-build gitlab install GROUP, or GROUP/PROJECT")
		}
	}
	return nil
}
