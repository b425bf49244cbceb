package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge"
)

// doctorLimit is how long one part may take to answer.
const doctorLimit = 15 * time.Second

func doctorCommand(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that the server needs, and say what to mend",
		Long: `Looks at the server file, the programs that are needed, the data folder and its
disk, the credentials that the server file names, the running server, Redis,
BuildKit, the registry, the GitHub App (key, clock, permissions, events, webhook
and its last deliveries, installations) and the GitLab servers (token, role in
each project, webhooks and their last deliveries), and says what to mend. The
exit status is 1 when there is something. Run it on the server's machine, with
the server's flags.`,
		Args: exactly(),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		redis.SetLogger(redisLog{f.logger(s.err)}) // what it says is in the findings
		p, err := openPremises(&f)
		if err != nil {
			return err
		}
		m, err := appManifest()
		if err != nil {
			return err
		}
		well := say(s.out, p.installation(c.Context()))
		ctx, done := context.WithTimeout(c.Context(), doctorLimit)
		defer done()
		switch _, err := p.app.Identities.Identity(ctx); {
		case !errors.Is(err, builder.ErrNotFound):
			well = say(s.out, p.app.Doctor(ctx, m, p.url)) && well
		case len(p.cfg.GitLab) == 0: // else nothing is missed
			fmt.Fprintln(s.out, "-     no GitHub App; `registry-build github setup` creates one")
		}
		well = say(s.out, p.gitlabs(c.Context())) && well
		if !well {
			return errSilent
		}
		return nil
	}
	return c
}

// say prints findings and reports whether there is nothing to mend.
func say(w io.Writer, found []forge.Finding) bool {
	well := true
	for _, f := range found {
		if f.Mend == "" {
			fmt.Fprintf(w, "ok    %s\n", f.What)
			continue
		}
		well = false
		fmt.Fprintf(w, "mend  %s\n      %s\n", f.What, f.Mend)
	}
	return well
}
