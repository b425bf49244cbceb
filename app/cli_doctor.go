package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder/buildkit"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge/github"
)

// doctorLimit is how long one part may take to answer.
const doctorLimit = 15 * time.Second

func doctorCommand(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that the server needs, and say what to mend",
		Long: `Looks at the server file, the running server, Redis, BuildKit and the GitHub App
(key, clock, permissions, events, webhook and its last deliveries,
installations), and says what to mend. The exit status is 1 when there is
something. Run it on the server's machine, with the server's flags.`,
		Args: exactly(),
	}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
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
		if _, err := p.app.Identities.Identity(ctx); err == nil || p.cfg.GitHub.App != 0 {
			well = say(s.out, p.app.Doctor(ctx, m, p.url)) && well
		} else {
			fmt.Fprintln(s.out, "-     no GitHub App; `registry-build github setup` creates one")
		}
		if !well {
			return errSilent
		}
		return nil
	}
	return c
}

// say prints findings and reports whether there is nothing to mend.
func say(w io.Writer, found []github.Finding) bool {
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

// installation looks at our own parts.
func (p *premises) installation(ctx context.Context) []github.Finding {
	found := []github.Finding{{What: "the server file can be read"}}
	for _, check := range []func(context.Context) github.Finding{p.server, p.redis, p.buildkit} {
		ctx, done := context.WithTimeout(ctx, doctorLimit)
		found = append(found, check(ctx))
		done()
	}
	return found
}

func (p *premises) server(ctx context.Context) github.Finding {
	start := "start it with `registry-build up` (or serve) and the same flags; its own output tells what it lacks"
	if p.url == "" {
		return github.Finding{What: "the server has never run here", Mend: start}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", nil)
	if err != nil {
		return github.Finding{What: "the server's address " + p.url + " is none", Mend: "correct url: in the server file"}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return github.Finding{What: "the server does not answer at " + p.url, Mend: start}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return github.Finding{What: "the server at " + p.url + " is not ready: " + resp.Status, Mend: "it waits for Redis; see below"}
	}
	return github.Finding{What: "the server answers at " + p.url}
}

func (p *premises) redis(ctx context.Context) github.Finding {
	address := firstOf(p.cfg.Redis, "unix://"+p.dir.socket("redis"))
	client, err := store.Open(address)
	if err == nil {
		defer client.Close()
		err = store.New(client, store.Options{}).Ping(ctx)
	}
	if err != nil {
		return github.Finding{What: "Redis does not answer", Mend: orElse(p.cfg.Redis != "",
			"is it running, and is redis: in the server file its address?", "`up` runs it; see "+p.dir.path("log", "redis.log"))}
	}
	return github.Finding{What: "Redis answers"}
}

func (p *premises) buildkit(ctx context.Context) github.Finding {
	at := config.BuildKit{Address: "unix://" + p.dir.socket("buildkitd")}
	trusted, _, err := outsideBuilders(p.cfg.BuildKit)
	if err != nil {
		return github.Finding{What: "the builders of the server file do not fit", Mend: err.Error()}
	}
	if trusted != nil {
		at = *trusted
	}
	solver, err := buildkit.New(ctx, buildkit.Options{Address: at.Address, TLS: at.TLS})
	if err == nil {
		defer solver.Close()
		err = solver.Ping(ctx)
	}
	if err != nil {
		return github.Finding{What: "BuildKit does not answer at " + at.Address, Mend: orElse(trusted != nil,
			"is it running, and do address and tls of buildkit: in the server file fit?", "`up` runs it; see "+p.dir.path("log", "buildkitd.log"))}
	}
	return github.Finding{What: "BuildKit answers"}
}

func orElse(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
