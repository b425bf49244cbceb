package app

import (
	"context"
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

func triggersCommand(s streams) *cobra.Command {
	var f clientFlags
	filters := map[string]*string{}
	c := &cobra.Command{Use: "triggers [ID]", Short: "List what triggers did, of all builds or of one", Args: atMostOne}
	f.add(c)
	c.Flags().BoolVar(&f.json, "json", false, "print the API's answer")
	for _, name := range []string{"repository", "trigger", "state", "limit", "before"} {
		filters[name] = c.Flags().String(name, "", "only triggers of this `"+name+"`")
	}
	c.Flags().Lookup("trigger").Usage = "only triggers of this `name`"
	c.Flags().Lookup("state").Usage = "only those in this `state`: waiting, running, succeeded, failed or skipped"
	c.Flags().Lookup("limit").Usage = "at most this `number` of them (1 to 200)"
	c.Flags().Lookup("before").Usage = "what the page before ended with: `ID:NAME`"
	c.RunE = f.ask(func(ctx context.Context, api *client, args []string) error {
		q := url.Values{}
		for name, value := range filters {
			if *value != "" {
				q.Set(name, *value)
			}
		}
		path := "/api/v1/triggers?" + q.Encode()
		if len(args) == 1 {
			if len(q) > 0 {
				return usagef(c, "a build's triggers are listed whole: leave out the flags, or the ID")
			}
			path = buildPath(args[0], "/triggers")
		}
		var list handlers.TriggerRunList
		if err := api.call(ctx, http.MethodGet, path, nil, &list); err != nil {
			return err
		}
		return f.print(s.out, list, func(w io.Writer) { printTriggerRuns(w, list, len(args) == 0) })
	})
	c.AddCommand(retryTriggerCommand(s))
	return c
}

func retryTriggerCommand(s streams) *cobra.Command {
	var f clientFlags
	c := &cobra.Command{Use: "retry ID NAME", Short: "Fire a trigger of a build again that is over", Args: exactly("a build ID", "a trigger's name")}
	f.add(c)
	c.Flags().BoolVar(&f.json, "json", false, "print the API's answer")
	c.RunE = f.ask(func(ctx context.Context, api *client, args []string) error {
		var run handlers.TriggerRun
		if err := api.call(ctx, http.MethodPost, buildPath(args[0], "/triggers/"+url.PathEscape(args[1])+"/retry"), nil, &run); err != nil {
			return err
		}
		return f.print(s.out, run, func(w io.Writer) { fmt.Fprintf(w, "%s of %s: %s\n", run.Trigger, run.Build, run.State) })
	})
	return c
}

// printTriggerRuns prints a table; across says that they are of many builds.
// What may be long stands last: why, who asked and what it made.
func printTriggerRuns(w io.Writer, list handlers.TriggerRunList, across bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if across {
		fmt.Fprint(t, "BUILD\tREPOSITORY\t")
	}
	fmt.Fprintln(t, "TRIGGER\tRESULT\tTIME\tATTEMPTS\tTOOK\tCONDITION\tACTION")
	for _, r := range list.Runs {
		if across {
			fmt.Fprintf(t, "%s\t%s\t", r.Build, r.Repository)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Trigger, r.State, r.StartedAt.Local().Format(time.DateTime), r.Attempts,
			(time.Duration(r.DurationSeconds * float64(time.Second))).Round(time.Millisecond), r.Condition, doneBy(r))
	}
	t.Flush()
	if list.Next != "" {
		fmt.Fprintf(w, "older: --before %s\n", list.Next)
	}
}

// doneBy is what a trigger did and what a person needs to know of it.
func doneBy(r handlers.TriggerRun) string {
	action := r.Action
	if r.AskedBy != "" {
		action += " (asked for by " + r.AskedBy + ")"
	}
	for _, more := range []string{r.URL, r.Error} {
		if more != "" {
			action += ": " + strings.Join(strings.Fields(more), " ")
		}
	}
	return action
}
