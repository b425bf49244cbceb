// Package app names the concrete types and runs them: the command line, the
// one-machine default (`up`), the server (`serve`) and the wiring of all rooms
// (wire.go).
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	_ "time/tzdata" // time zones of build files, also where the machine has none

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

// version is set by the linker.
var version = "dev"

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// errSilent ends a command that has said all there is to say.
var errSilent = errors.New("")

// Main runs the program and returns its exit status: 0, 1 for what went
// wrong, 2 for a command line that makes no sense, 130 for ^C.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// git runs its hooks by name; ours are links to this program.
	if hook := filepath.Base(args[0]); plaingit.IsHook(hook) {
		return plaingit.RunHook(hook, stdin, stdout, stderr, os.Environ())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second ^C ends the program at once

	root := newRoot(streams{stdin, stdout, stderr})
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "registry-build: %v\nRun `%s --help` for usage.\n", err, firstOf(usage.command, root.Name()))
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 130 // as a shell has it for ^C, and who pressed that knows
	case !errors.Is(err, errSilent):
		fmt.Fprintf(stderr, "registry-build: %v\n", err)
	}
	return 1
}

// usageError is a command line that makes no sense.
type usageError struct {
	error
	command string // whose help shows how it is written; "" for all of it
}

func usagef(c *cobra.Command, format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...), c.CommandPath()}
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "registry-build",
		Short: "Turns git push into a tagged, trusted container image",
		Long: `Turns git push into a tagged, trusted container image.

On a machine for it: "registry-build up", which tells how to go on; "doctor" says
what lacks. In a repository: "registry-build validate" checks its
.registry-build.yml, "build" builds it here.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{err, c.CommandPath()} })
	root.AddCommand(
		upCommand(s), serveCommand(s),
		buildCommand(s), validateCommand(s), importCommand(s),
		buildsCommand(s), logsCommand(s), cancelCommand(s), deleteCommand(s), triggersCommand(s), statusCommand(s),
		credentialsCommand(s), tokenCommand(s), githubCommand(s), gitlabCommand(s), doctorCommand(s),
	)
	return root
}

// noCommand is for what only groups commands: an argument there is one that
// is misspelt.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	meant := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		meant = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usagef(c, "unknown command %q%s", args[0], meant)
}

// exactly is cobra.ExactArgs with a sentence that names what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return usagef(c, "%s takes no argument, and there is %q", c.CommandPath(), args[0])
		case len(args) > len(names):
			return usagef(c, "%s needs %s, and there is %q too", c.CommandPath(), strings.Join(names, " and "), args[len(names)])
		}
		return usagef(c, "%s needs %s", c.CommandPath(), strings.Join(names, " and "))
	}
}

func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef(c, "%s takes one argument at most, not %d", c.CommandPath(), len(args))
	}
	return nil
}

// serverFlags are what the commands share that need the server file.
type serverFlags struct {
	config string
	data   string
	debug  bool
}

func (f *serverFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "server `file` (see config/README.md)")
	c.Flags().StringVar(&f.data, "data", "", "data `folder` (default: registry-build in the user's data folder)")
	c.Flags().BoolVar(&f.debug, "debug", false, "log more")
}

// load reads the server file, or the defaults where none is named.
func (f *serverFlags) load() (*config.Server, error) {
	cfg := config.DefaultServer()
	if f.config != "" {
		data, err := os.ReadFile(f.config)
		if err != nil {
			return nil, err
		}
		var problems config.Diagnostics
		if cfg, problems = config.ParseServer(f.config, data); len(problems) > 0 {
			return nil, problems
		}
	}
	if f.data != "" {
		cfg.Data = f.data
	}
	return cfg, nil
}

func (f *serverFlags) logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if f.debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
