package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/buildkit"
	"github.com/registry-build/registry-build/config"
)

const (
	// daemonIdle is how long a domain's daemon is kept that nobody builds with.
	daemonIdle = 10 * time.Minute
	// mostDaemons of ours, beside the first, run at the same time unless more
	// are building: each takes some 100 MB.
	mostDaemons = 8
)

// daemonOptions say which daemons there are.
type daemonOptions struct {
	Config   *config.Server
	Dir      *dataDir
	Trusted  config.BuildKit // the daemon that `up` runs, where the server file names none for the trusted lane
	Insecure []string        // registry hosts that are spoken to over plain HTTP
	Host     string          // of the embedded registry; "" where there is none
	Idle     time.Duration   // 0: daemonIdle
	Most     int             // 0: mostDaemons
	Log      *slog.Logger
}

// daemons hands out BuildKit daemons: in each lane the first that the server
// file names for the build's trust domain, or one of ours for each domain. What
// a step made with a secret is in a daemon's cache, and whoever writes the same
// step is given it; so domains share no daemon.
//
// Ours are started when they are needed and stopped when they have not been
// for a while; their caches stay on the disk. `up` starts one beforehand, for
// the domain that builds first: see home.go.
type daemons struct {
	daemonOptions
	home    *home                       // nil where the trusted lane's daemons are outside
	outside map[builder.Lane][]*reached // that the server file names, in its order
	ctx     context.Context             // of the daemons of ours
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	ours    map[daemonKey]*domainDaemon
	leaving map[daemonKey]<-chan struct{} // closed when the domain's last one is gone
}

var _ builder.Solvers = (*daemons)(nil)

// newDaemons waits for the trusted lane's daemons: for one of them, where there
// are several. Close ends it.
func newDaemons(ctx context.Context, o daemonOptions) (_ *daemons, err error) {
	o.Idle, o.Most = cmp.Or(o.Idle, daemonIdle), cmp.Or(o.Most, mostDaemons)
	outside, err := outsideBuilders(o.Config.BuildKit)
	if err != nil {
		return nil, err
	}
	d := &daemons{daemonOptions: o, outside: map[builder.Lane][]*reached{},
		ours: map[daemonKey]*domainDaemon{}, leaving: map[daemonKey]<-chan struct{}{}}
	d.ctx, d.end = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	for lane, list := range outside {
		for _, at := range list {
			r, err := d.reach(ctx, at, lane)
			if err != nil {
				return nil, err
			}
			r.shared = !alone(at, o.Config.BuildKit)
			d.outside[lane] = append(d.outside[lane], r)
		}
	}
	first := d.outside[builder.TrustedLane]
	if len(first) == 0 {
		r, err := d.reach(ctx, o.Trusted, builder.TrustedLane)
		if err != nil {
			return nil, err
		}
		d.home, first = &home{reached: r, dir: o.Dir}, []*reached{r}
	}
	if err := anyAnswers(ctx, first, o.Log); err != nil {
		return nil, err
	}
	if o.Dir != nil {
		sweep(ctx, o.Dir, o.Log)
	}
	return d, nil
}

// anyAnswers makes a start fail where nothing could be built at all.
func anyAnswers(ctx context.Context, list []*reached, log *slog.Logger) error {
	var errs []error
	for _, r := range list {
		if _, err := r.toolchain(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(list) {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		log.Warn("a builder is away", "err", err)
	}
	return nil
}

// Acquire implements builder.Solvers.
func (d *daemons) Acquire(ctx context.Context, b builder.Build) (builder.Daemon, error) {
	lane := b.Lane
	if lane != builder.ForkLane {
		lane = builder.TrustedLane
	}
	if list := d.outside[lane]; len(list) > 0 {
		for _, r := range list {
			if r.serves(b.Repository) {
				return r.acquire(ctx, func() {})
			}
		}
		return builder.Daemon{}, &builder.Failure{Stage: builder.StageConfig, Message: fmt.Sprintf(
			"the operator's builder of the %s lane does not serve %s: `domains:` of its `buildkit:` entry in the server file names whom it serves", lane, b.Repository.Owner)}
	}
	if lane == builder.ForkLane && len(d.Config.BuildKit) > 0 {
		return builder.Daemon{}, &builder.Failure{Stage: builder.StageConfig,
			Message: "the operator has no builder for forks: add a `buildkit:` entry with lane: fork to the server file"}
	}
	domain := b.Repository.Domain()
	if lane == builder.TrustedLane {
		mine, err := d.home.of(domain)
		if err != nil {
			return builder.Daemon{}, err
		}
		if mine {
			return d.home.acquire(ctx, func() {})
		}
	}
	f, err := d.join(daemonKey{lane, domain})
	if err != nil {
		return builder.Daemon{}, err
	}
	leave := sync.OnceFunc(func() { d.leave(f) })
	select {
	case <-f.started:
	case <-ctx.Done():
		leave()
		return builder.Daemon{}, ctx.Err()
	}
	if f.err != nil {
		leave()
		return builder.Daemon{}, &builder.Failure{Stage: builder.StageInternal, Err: f.err,
			Message: fmt.Sprintf("the builder of the %s lane did not start; the operator's log tells why", lane)}
	}
	got, err := f.reached.acquire(ctx, leave)
	if err != nil {
		leave()
	}
	return got, err
}

// Close stops the daemons that are ours and ends the connections. Nobody may
// build any more.
func (d *daemons) Close() error {
	d.mu.Lock()
	d.closed = true
	for _, f := range d.ours {
		f.idle.Stop()
	}
	d.mu.Unlock()
	d.end()
	d.running.Wait()
	var errs []error
	if d.home != nil {
		errs = append(errs, d.home.solver.Close())
	}
	for _, list := range d.outside {
		for _, r := range list {
			errs = append(errs, r.solver.Close())
		}
	}
	return errors.Join(errs...)
}

// reached is a daemon that builds can be sent to.
type reached struct {
	solver  *buildkit.Solver
	domains []string // globs; empty: all
	shared  bool     // several domains may build with it

	mu    sync.Mutex
	known *builder.Toolchain // asked for once
}

// reach makes the connection, and waits for nothing.
func (d *daemons) reach(ctx context.Context, at config.BuildKit, lane builder.Lane) (*reached, error) {
	private := slices.Clone(d.Insecure)
	if d.Host != "" {
		private = append(private, d.Host)
	}
	s, err := buildkit.New(ctx, buildkit.Options{
		Address: at.Address, TLS: at.TLS, Lane: lane, Insecure: d.Insecure, Private: private,
		Mirrored: slices.Collect(maps.Keys(d.Config.Registry.Mirrors)), Log: d.Log,
	})
	if err != nil {
		return nil, err
	}
	return &reached{solver: s, domains: at.Domains}, nil
}

func (r *reached) toolchain(ctx context.Context) (builder.Toolchain, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		t, err := r.solver.Toolchain(ctx)
		if err != nil {
			return t, err
		}
		r.known = &t
	}
	return *r.known, nil
}

func (r *reached) acquire(ctx context.Context, release func()) (builder.Daemon, error) {
	t, err := r.toolchain(ctx)
	if ctx.Err() != nil {
		return builder.Daemon{}, ctx.Err()
	}
	if err != nil {
		return builder.Daemon{}, &builder.Failure{Stage: builder.StageInternal, Err: err,
			Message: "the build daemon cannot be reached; build again when it is back"}
	}
	return builder.Daemon{Solver: r.solver, Toolchain: t, Shared: r.shared, Release: release}, nil
}

// serves matches an owner, or a trust domain with its forge.
func (r *reached) serves(repo builder.Repository) bool {
	if len(r.domains) == 0 {
		return true
	}
	var globs []string
	for _, g := range r.domains {
		globs = append(globs, strings.ToLower(g))
	}
	return config.MatchAny(globs, strings.ToLower(repo.Owner)) || config.MatchAny(globs, repo.Domain())
}

// oneDomain reports whether the globs are one trust domain and nothing else:
// github:acme. An owner's name alone is that of whoever is called so at any
// forge, and anybody can be at one where accounts are free.
func oneDomain(globs []string) bool {
	return len(globs) == 1 && strings.Contains(globs[0], ":") && !strings.ContainsAny(globs[0], "*?[]{}!/\\")
}

// alone reports whether a daemon of the server file builds for one domain: no
// other entry may lead others to it.
func alone(at config.BuildKit, all []config.BuildKit) bool {
	return oneDomain(at.Domains) && !slices.ContainsFunc(all, func(o config.BuildKit) bool {
		return o.Address == at.Address && !(o.Lane == at.Lane && oneDomain(o.Domains) && strings.EqualFold(o.Domains[0], at.Domains[0]))
	})
}
