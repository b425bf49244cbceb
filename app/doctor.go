package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
)

// leastSpace is what should be free where the data folder is, in bytes: one
// build of a large image may take as much.
const leastSpace = 5 << 30

// installation looks at our own parts.
func (p *premises) installation(ctx context.Context) []forge.Finding {
	found := []forge.Finding{{What: "the server file can be read"}}
	for _, look := range []func(context.Context) []forge.Finding{
		p.programs, p.folder, p.space, p.credentials, p.server, p.redis, p.builders, p.registry,
	} {
		ctx, done := context.WithTimeout(ctx, doctorLimit)
		found = append(found, look(ctx)...)
		done()
	}
	return found
}

// programs looks for what we run as children.
func (p *premises) programs(context.Context) []forge.Finding {
	needed := []string{"git"}
	if p.cfg.Redis == "" {
		needed = append(needed, "redis-server")
	}
	var found []forge.Finding
	if len(p.cfg.BuildKit) == 0 {
		needed = append(needed, "buildkitd", "runc")
		if os.Geteuid() != 0 {
			found = append(found, forge.Finding{What: "buildkitd needs root, and this is somebody else", Mend: "run as root (sudo), or name a builder with `buildkit:` in the server file"})
		}
	}
	for _, name := range needed {
		if _, err := p.dir.find(name); err != nil {
			found = append(found, forge.Finding{What: name + " is missing", Mend: install(name)})
		}
	}
	if len(found) == 0 {
		found = append(found, forge.Finding{What: strings.Join(needed, ", ") + ": installed"})
	}
	return found
}

// folder tries to write where everything is kept.
func (p *premises) folder(context.Context) []forge.Finding {
	for _, room := range []string{".", "git", "mirrors", "credentials", "registry"} {
		f, err := os.CreateTemp(p.dir.path(room), ".doctor-")
		if err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
		if err != nil {
			return []forge.Finding{{What: fmt.Sprintf("the data folder cannot be written to: %v", err),
				Mend: "give the user that the server runs as the right to write there, or name another folder with --data"}}
		}
	}
	return []forge.Finding{{What: "the data folder " + p.dir.root + " can be written to"}}
}

func (p *premises) space(context.Context) []forge.Finding {
	var disk unix.Statfs_t
	if err := unix.Statfs(p.dir.root, &disk); err != nil {
		return []forge.Finding{{What: fmt.Sprintf("the disk's free space is not known: %v", err)}}
	}
	return []forge.Finding{enoughSpace(disk.Bavail * uint64(disk.Bsize))}
}

func enoughSpace(free uint64) forge.Finding {
	f := forge.Finding{What: fmt.Sprintf("%.1f GB are free where the data folder is", float64(free)/(1<<30))}
	if free < leastSpace {
		f.Mend = fmt.Sprintf("make room, %d GB at least: old images and build caches are there; or move the folder and name it with --data", leastSpace>>30)
	}
	return f
}

const startIt = "start it with `registry-build up` (or serve) and the same flags; its own output tells what it lacks"

func (p *premises) server(ctx context.Context) []forge.Finding {
	if p.url == "" {
		return []forge.Finding{{What: "the server has never run here", Mend: startIt}}
	}
	status, err := ask(ctx, p.url+"/readyz")
	switch {
	case err != nil:
		return []forge.Finding{{What: "the server does not answer at " + p.url, Mend: orElse(p.runs(ctx),
			"it runs on this machine, so see whether its address, url: in the server file, leads to it: name, proxy, certificate", startIt)}}
	case status != http.StatusOK:
		return []forge.Finding{{What: fmt.Sprintf("the server at %s is not ready: it answers %d", p.url, status), Mend: "it waits for Redis; see below. Where url: in the server file is a proxy's address, see whether that leads to the server"}}
	}
	return []forge.Finding{{What: "the server answers at " + p.url}}
}

// ask returns the status that an address answers with.
func ask(ctx context.Context, address string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (p *premises) redis(ctx context.Context) []forge.Finding {
	address := firstOf(p.cfg.Redis, "unix://"+p.dir.socket("redis"))
	client, err := store.Open(address)
	if err == nil {
		defer client.Close()
		err = store.New(client, store.Options{}).Ping(ctx)
	}
	if err != nil {
		return []forge.Finding{{What: fmt.Sprintf("Redis does not answer (%v)", err), Mend: orElse(p.cfg.Redis != "",
			"is it running, and is redis: in the server file its address?", "`up` runs it; see "+p.dir.path("log", "redis.log"))}}
	}
	return []forge.Finding{{What: "Redis answers"}}
}

// builders looks at the BuildKit of each lane. Ours for forks starts when it
// is needed.
func (p *premises) builders(ctx context.Context) []forge.Finding {
	outside, err := outsideBuilders(p.cfg.BuildKit)
	if err != nil {
		return []forge.Finding{{What: "the builders of the server file do not fit", Mend: err.Error()}}
	}
	const entry = "is it running, and do address and tls of buildkit: in the server file fit?"
	var found []forge.Finding
	for _, at := range outside[builder.TrustedLane] {
		found = append(found, answering(ctx, "BuildKit", at, entry))
	}
	if len(outside[builder.TrustedLane]) == 0 {
		ours := config.BuildKit{Address: "unix://" + p.dir.socket("buildkitd")}
		found = append(found, answering(ctx, "BuildKit", ours, "`up` runs it; see "+p.dir.path("log", "buildkitd.log")))
	}
	for _, at := range outside[builder.ForkLane] {
		found = append(found, answering(ctx, "the BuildKit for forks", at, entry))
	}
	switch {
	case len(outside[builder.ForkLane]) > 0:
	case len(p.cfg.BuildKit) > 0:
		found = append(found, forge.Finding{What: "forks are not built: no buildkit: entry of the server file has lane: fork"})
	}
	return found
}

func answering(ctx context.Context, name string, at config.BuildKit, mend string) forge.Finding {
	solver, err := buildkit.New(ctx, buildkit.Options{Address: at.Address, TLS: at.TLS})
	if err == nil {
		defer solver.Close()
		err = solver.Ping(ctx)
	}
	if err != nil {
		return forge.Finding{What: name + " does not answer at " + at.Address, Mend: mend}
	}
	return forge.Finding{What: name + " answers"}
}

// registry asks for the API that every registry has at /v2/. A refusal of
// whoever brings no login is an answer.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints
func (p *premises) registry(ctx context.Context) []forge.Finding {
	address := p.url
	if outside := p.cfg.Registry.Default; outside != "" {
		host, _, _ := strings.Cut(outside, "/")
		address = orElse(slices.Contains(p.cfg.Registry.Insecure, host), "http://", "https://") + host
	}
	if address == "" {
		return nil // told already
	}
	status, err := ask(ctx, address+"/v2/")
	switch {
	case err != nil && p.cfg.Registry.Default == "":
		return nil // told already
	case err != nil:
		return []forge.Finding{{What: fmt.Sprintf("the registry does not answer: %v", err),
			Mend: "is it running, and is registry.default in the server file its address? One without TLS stands in registry.insecure too"}}
	case status != http.StatusOK && status != http.StatusUnauthorized && status != http.StatusForbidden:
		return []forge.Finding{{What: fmt.Sprintf("there is no registry at %s/v2/: it answers %d", address, status),
			Mend: orElse(p.cfg.Registry.Default == "", "the whole host of url: has to lead to the server, /v2/ too", "correct registry.default in the server file")}}
	}
	return []forge.Finding{{What: "the registry answers at " + address + "/v2/"}}
}

func orElse(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
