package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/handlers"
)

// clientFlags say which server a command speaks to.
type clientFlags struct {
	server, tokenFile, data string
	json                    bool
}

func (f *clientFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.server, "server", "", "`address` of the server (default: REGISTRY_BUILD_SERVER, else this machine's `up`)")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "`file` that holds the token (default: REGISTRY_BUILD_TOKEN, else the one of `up`)")
	c.Flags().StringVar(&f.data, "data", "", "data `folder` of this machine's `up`")
}

func (f *clientFlags) client() (*client, error) { return newClient(f.server, f.tokenFile, f.data) }

// ask is what a command does that has a server to ask.
func (f *clientFlags) ask(do func(ctx context.Context, api *client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		api, err := f.client()
		if err != nil {
			return err
		}
		return do(c.Context(), api, args)
	}
}

// buildPath is where the API has a build, or what is below it.
func buildPath(id, below string) string { return "/api/v1/builds/" + url.PathEscape(id) + below }

func buildsCommand(s streams) *cobra.Command {
	var f clientFlags
	q := url.Values{}
	filters := map[string]*string{}
	c := &cobra.Command{Use: "builds [ID]", Short: "List builds, newest first, or show one", Args: atMostOne}
	f.add(c)
	c.Flags().BoolVar(&f.json, "json", false, "print the API's answer")
	for _, name := range []string{"repository", "image", "ref", "commit", "state", "limit", "before"} {
		filters[name] = c.Flags().String(name, "", "only builds of this `"+name+"`")
	}
	c.Flags().Lookup("limit").Usage = "at most this `number` of builds (1 to 200)"
	c.Flags().Lookup("before").Usage = "only builds older than this `ID`"
	c.RunE = f.ask(func(ctx context.Context, api *client, args []string) error {
		if len(args) == 1 {
			var b handlers.Build
			if err := api.call(ctx, http.MethodGet, buildPath(args[0], ""), nil, &b); err != nil {
				return err
			}
			return f.print(s.out, b, func(w io.Writer) { printBuild(w, b) })
		}
		for name, value := range filters {
			if *value != "" {
				q.Set(name, *value)
			}
		}
		var list handlers.BuildList
		if err := api.call(ctx, http.MethodGet, "/api/v1/builds?"+q.Encode(), nil, &list); err != nil {
			return err
		}
		return f.print(s.out, list, func(w io.Writer) { printBuilds(w, list) })
	})
	return c
}

// print writes v as JSON when that was asked for, else by text.
func (f *clientFlags) print(w io.Writer, v any, text func(io.Writer)) error {
	if !f.json {
		text(w)
		return nil
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func printBuilds(w io.Writer, list handlers.BuildList) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tSTARTED\tDURATION\tIMAGE\tREF\tCOMMIT\tTAGS")
	for _, b := range list.Builds {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.7s\t%s\n", b.ID, b.State, started(b), duration(b), b.Destination, refName(b.Ref), b.Commit, tagNames(b))
	}
	t.Flush()
	if list.Next != "" {
		fmt.Fprintf(w, "older: --before %s\n", list.Next)
	}
}

func printBuild(w io.Writer, b handlers.Build) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	row("build", b.ID)
	row("state", b.State)
	row("status", b.Status)
	row("repository", b.Repository)
	row("image", b.Image)
	row("source", b.Source)
	row("ref", b.Ref)
	row("commit", b.Commit)
	row("event", b.Event)
	row("rule", b.Rule)
	row("by", b.Actor)
	row("started", started(b))
	row("duration", duration(b))
	row("tags", tagNames(b))
	row("digest", b.Digest)
	row("pull", b.Reference)
	row("promoted from", b.PromotedFrom)
	row("page", b.URL)
	t.Flush()
	if f := b.Failure; f != nil {
		fmt.Fprintf(w, "\n%s\n%s", f.Message, f.Excerpt)
	}
}

func started(b handlers.Build) string {
	if b.StartedAt == nil {
		return "-"
	}
	return b.StartedAt.Local().Format(time.DateTime)
}

func duration(b handlers.Build) string {
	if b.FinishedAt == nil || b.StartedAt == nil {
		return "-"
	}
	return b.FinishedAt.Sub(*b.StartedAt).Round(10 * time.Millisecond).String()
}

func refName(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
}

// tagNames are the tags that a build put, or is going to put.
func tagNames(b handlers.Build) string {
	var names []string
	for _, t := range b.Tags {
		if b.FinishedAt != nil && !t.Put && t.HeldBy == "" {
			continue
		}
		name := t.Name
		if t.HeldBy != "" {
			name += fmt.Sprintf(" (left on %.7s)", t.HeldBy)
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func logsCommand(s streams) *cobra.Command {
	var f clientFlags
	c := &cobra.Command{Use: "logs ID", Short: "Print a build's log, and follow it until the build ends", Args: exactly("a build ID")}
	f.add(c)
	c.RunE = f.ask(func(ctx context.Context, api *client, args []string) error {
		_, err := api.log(ctx, args[0], s.out)
		return err
	})
	return c
}

func cancelCommand(s streams) *cobra.Command {
	var f clientFlags
	c := &cobra.Command{Use: "cancel ID", Short: "Cancel a build that is queued or running", Args: exactly("a build ID")}
	f.add(c)
	c.RunE = f.ask(func(ctx context.Context, api *client, args []string) error {
		var b handlers.Build
		if err := api.call(ctx, http.MethodPost, buildPath(args[0], "/cancel"), nil, &b); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: %s\n", b.ID, b.Status)
		return nil
	})
	return c
}

func deleteCommand(s streams) *cobra.Command {
	var f clientFlags
	c := &cobra.Command{Use: "delete ID", Short: "Delete a finished build's record and log", Args: exactly("a build ID")}
	f.add(c)
	c.RunE = f.ask(func(ctx context.Context, api *client, args []string) error {
		if err := api.call(ctx, http.MethodDelete, buildPath(args[0], ""), nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: record and log deleted; the image stays\n", args[0])
		return nil
	})
	return c
}

func statusCommand(s streams) *cobra.Command {
	var f clientFlags
	c := &cobra.Command{Use: "status OWNER/NAME COMMIT", Short: "Show the statuses of a commit", Args: exactly("OWNER/NAME", "a commit")}
	f.add(c)
	c.Flags().BoolVar(&f.json, "json", false, "print the API's answer")
	c.RunE = f.ask(func(ctx context.Context, api *client, args []string) error {
		if !strings.Contains(args[0], "/") {
			return usagef(c, "repository is %q; write it as owner/name", args[0])
		}
		var list handlers.StatusList
		path := "/api/v1/statuses/" + url.PathEscape(args[0]) + "/" + url.PathEscape(args[1])
		if err := api.call(ctx, http.MethodGet, path, nil, &list); err != nil {
			return err
		}
		return f.print(s.out, list, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, r := range list.Statuses {
				fmt.Fprintf(t, "%s\t%s\t%s\n", r.Context, r.State, r.Description)
			}
			t.Flush()
		})
	})
	return c
}
