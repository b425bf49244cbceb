package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/console"
	bkclient "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit"
	"github.com/registry-build/registry-build/builder/registry"
	"github.com/registry-build/registry-build/builder/source"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers"
)

// localBuild is `build` without --remote: the plan and the build that the
// server makes, for the commit at HEAD of a repository on this machine.
type localBuild struct {
	streams
	flags clientFlags
	image string
	fresh bool // --no-cache
	push  bool
}

func buildCommand(s streams) *cobra.Command {
	b := localBuild{streams: s}
	var remote bool
	var dockerfile string
	var req handlers.BuildRequest
	c := &cobra.Command{
		Use:   "build [PATH]",
		Short: "Build the commit at HEAD as the server would, here or (--remote) there",
		Long: `Plans and builds the commit at HEAD of the repository at PATH (default: here)
with .registry-build.yml, exactly as the server does for a push. The builder is
BUILDKIT_HOST or the one of this machine's "registry-build up".

With --remote the server builds: a repository of its own with --branch, --tag
or --commit, or an uploaded Dockerfile with --destination and --tags.`,
		Args: atMostOne,
	}
	b.flags.add(c)
	c.Flags().StringVar(&b.image, "image", "", "only the image of this `name`")
	c.Flags().BoolVar(&b.fresh, "no-cache", false, "every step again")
	c.Flags().BoolVar(&b.push, "push", false, "push the image and its tags")
	c.Flags().BoolVar(&remote, "remote", false, "let the server build")
	c.Flags().StringVar(&req.Repository, "repository", "", "with --remote: `owner/name` on the server")
	c.Flags().StringVar(&req.Branch, "branch", "", "with --remote: build this branch")
	c.Flags().StringVar(&req.Tag, "tag", "", "with --remote: build this tag")
	c.Flags().StringVar(&req.Commit, "commit", "", "with --remote: build this commit")
	c.Flags().StringVar(&dockerfile, "dockerfile", "", "with --remote: upload this `file` instead of naming a repository")
	c.Flags().StringVar(&req.Destination, "destination", "", "with --dockerfile: image repository `owner/name`")
	c.Flags().StringSliceVar(&req.Tags, "tags", nil, "with --dockerfile: tags, separated by commas")
	c.RunE = func(c *cobra.Command, args []string) error {
		if remote && len(args) > 0 {
			return usagef(c, "--remote builds what the server has, not %s: name it with --repository", args[0])
		}
		if remote {
			req.Image, req.NoCache = b.image, b.fresh
			return remoteBuild(c, s, &b.flags, req, dockerfile)
		}
		for _, name := range []string{"repository", "branch", "tag", "commit", "dockerfile", "destination", "tags"} {
			if c.Flags().Changed(name) {
				return usagef(c, "--%s goes with --remote", name)
			}
		}
		return b.run(c.Context(), argOr(args, "."))
	}
	return c
}

func argOr(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}

func (b *localBuild) run(ctx context.Context, path string) error {
	work, err := openWorktree(ctx, path)
	if err != nil {
		return err
	}
	if work.commit == "" {
		return fmt.Errorf("%s has no commit yet; commit first, a build is of a commit", work.top)
	}
	for _, line := range work.dirty {
		fmt.Fprintf(b.err, "warning: not committed, so not built: %s\n", line)
	}
	sources := source.New(source.Options{Dir: filepath.Join(os.TempDir(), "registry-build"), Origins: work})
	src, err := sources.Open(ctx, work.repository(), work.commit)
	if err != nil {
		return err
	}
	defer src.Close()
	data, err := src.ReadFile(ctx, config.BuildFileName, 1<<20)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("commit %.7s has no %s", work.commit, config.BuildFileName)
	}
	if err != nil {
		return err
	}
	file, problems := config.ParseBuildFile(config.BuildFileName, data)
	if len(problems) > 0 {
		return problems
	}
	d := builder.Plan(builder.PlanInput{Event: work.event(b.image), File: file, Policy: unknownPolicy()})
	if len(d.Builds) == 0 {
		return nothingDecided(d)
	}
	return b.buildAll(ctx, d, src)
}

// buildAll runs the builds of a plan one after another: one terminal shows
// one of them well.
func (b *localBuild) buildAll(ctx context.Context, d builder.Decision, src builder.Source) error {
	address, err := b.builderAddress()
	if err != nil {
		return err
	}
	solver, err := buildkit.New(ctx, buildkit.Options{Address: address, Display: b.display()})
	if err != nil {
		return err
	}
	defer solver.Close()
	// Without a ledger tags move as they do with docker push.
	worker := &builder.Worker{Solvers: oneDaemon{solver}, Registry: registry.New(registry.Options{})}
	for _, build := range d.Builds {
		build.Spec.NoCache = build.Spec.NoCache || b.fresh
		login, host, err := b.login(build)
		if err != nil {
			return err
		}
		worker.Host = host
		r, err := worker.Local(ctx, build, src, login, b.push, b.out)
		var f *builder.Failure
		switch {
		case errors.As(err, &f):
			fmt.Fprintf(b.err, "\n%s: failed: %s\n%s%s", build.Image, f.Message, f.Excerpt, f.Output)
			return errSilent
		case err != nil:
			return err
		}
		if b.push {
			fmt.Fprintf(b.out, "%s: %s\n", build.Image, r.Digest)
		} else {
			fmt.Fprintf(b.out, "%s: built and not pushed; --push would push it as %s\n", build.Image, strings.Join(build.Tags, ", "))
		}
	}
	return nil
}

// builderAddress is BUILDKIT_HOST, or the daemon of this machine's `up`.
func (b *localBuild) builderAddress() (string, error) {
	if address := os.Getenv("BUILDKIT_HOST"); address != "" {
		return address, nil
	}
	dir, err := dataDirAt(b.flags.data)
	if err != nil {
		return "", err
	}
	socket := dir.socket("buildkitd")
	if _, err := os.Stat(socket); err != nil {
		return "", fmt.Errorf("no builder: start `registry-build up`, or set BUILDKIT_HOST to the address of a buildkitd")
	}
	return "unix://" + socket, nil
}

// login is the right to push: at the registry of `up` with its token, else
// with the Docker configuration of the person.
func (b *localBuild) login(build builder.Build) (builder.Login, string, error) {
	if !b.push {
		return builder.Login{}, "", nil
	}
	if builder.FullDestination("", build.Destination) == build.Destination {
		l, err := dockerLogin(build.Destination, "")
		return l, "", err
	}
	api, err := b.flags.client()
	if err != nil {
		return builder.Login{}, "", fmt.Errorf("%s has no registry in its name, so it goes to `up`'s: %w", build.Destination, err)
	}
	host := strings.TrimPrefix(strings.TrimPrefix(api.server, "http://"), "https://")
	return builder.Login{Host: host, Username: "owner", Password: api.token}, host, nil
}

// display is BuildKit's own on a terminal, plain text otherwise.
func (b *localBuild) display() buildkit.Display {
	file, ok := b.out.(console.File)
	if !ok {
		return nil
	}
	if _, err := console.ConsoleFromFile(file); err != nil {
		return nil
	}
	return func(ctx context.Context, statuses chan *bkclient.SolveStatus) ([]bkclient.VertexWarning, error) {
		d, err := progressui.NewDisplay(file, progressui.TtyMode)
		if err != nil {
			return nil, err
		}
		return d.UpdateFrom(ctx, statuses)
	}
}

func nothingDecided(d builder.Decision) error {
	lines := []string{"nothing to build"}
	if d.Failure != nil {
		lines = append(lines, d.Failure.Message)
	}
	for _, r := range d.Reasons {
		lines = append(lines, reasonLine(handlers.Reason(r)))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// reasonLine is "image, rule (line 7): why".
func reasonLine(r handlers.Reason) string {
	var b strings.Builder
	b.WriteString("  " + r.Image)
	if r.Rule != "" {
		b.WriteString(", " + r.Rule)
	}
	if r.Line > 0 {
		fmt.Fprintf(&b, " (line %d)", r.Line)
	}
	if b.Len() > 2 {
		b.WriteString(": ")
	}
	return b.String() + r.Message
}
