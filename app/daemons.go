package app

import (
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

// forkIdle is how long a fork's daemon is kept that nobody builds with.
const forkIdle = 10 * time.Minute

// daemonOptions say which daemons there are.
type daemonOptions struct {
	Config   *config.Server
	Dir      *dataDir
	Trusted  config.BuildKit // where the trusted lane's daemon is, ours or another
	Insecure []string        // registry hosts that are spoken to over plain HTTP
	Host     string          // of the embedded registry; "" where there is none
	Idle     time.Duration   // 0: forkIdle
	Log      *slog.Logger
}

// daemons hands out BuildKit daemons. The trusted lane has one, which is there
// for as long as we are. What forks send is built by a daemon that the server
// file names for it, or else by one of ours for each trust domain, which is
// started when it is needed and stopped when it has not been for a while.
type daemons struct {
	daemonOptions
	trusted *reached
	outside *reached        // for forks; nil where the server file names none
	ctx     context.Context // of the daemons of ours
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	forks   map[string]*forkDaemon     // by trust domain
	leaving map[string]<-chan struct{} // closed when the domain's last one is gone
}

var _ builder.Solvers = (*daemons)(nil)

// newDaemons waits for the trusted lane's daemon. Close ends it.
func newDaemons(ctx context.Context, o daemonOptions) (*daemons, error) {
	if o.Idle == 0 {
		o.Idle = forkIdle
	}
	_, fork, err := outsideBuilders(o.Config.BuildKit)
	if err != nil {
		return nil, err
	}
	d := &daemons{daemonOptions: o, forks: map[string]*forkDaemon{}, leaving: map[string]<-chan struct{}{}}
	if d.trusted, err = d.reach(ctx, o.Trusted, builder.TrustedLane); err != nil {
		return nil, err
	}
	if _, err := d.trusted.toolchain(ctx); err != nil {
		return nil, errors.Join(err, d.trusted.solver.Close())
	}
	if fork != nil {
		if d.outside, err = d.reach(ctx, *fork, builder.ForkLane); err != nil {
			return nil, errors.Join(err, d.trusted.solver.Close())
		}
	}
	if len(o.Config.BuildKit) == 0 {
		sweepForks(ctx, o.Dir, o.Log)
	}
	d.ctx, d.end = context.WithCancel(context.WithoutCancel(ctx))
	return d, nil
}

// Acquire implements builder.Solvers.
func (d *daemons) Acquire(ctx context.Context, b builder.Build) (builder.Daemon, error) {
	if b.Lane != builder.ForkLane {
		return d.trusted.acquire(ctx, b, func() {})
	}
	if d.outside != nil {
		return d.outside.acquire(ctx, b, func() {})
	}
	if len(d.Config.BuildKit) > 0 {
		return builder.Daemon{}, &builder.Failure{Stage: builder.StageConfig,
			Message: "the operator has no builder for forks: add a `buildkit:` entry with lane: fork to the server file"}
	}
	f, err := d.join(b.Repository.Domain())
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
			Message: "the builder for forks did not start; the operator's log tells why"}
	}
	got, err := f.reached.acquire(ctx, b, leave)
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
	for _, f := range d.forks {
		f.idle.Stop()
	}
	d.mu.Unlock()
	d.end()
	d.running.Wait()
	errs := []error{d.trusted.solver.Close()}
	if d.outside != nil {
		errs = append(errs, d.outside.solver.Close())
	}
	return errors.Join(errs...)
}

// reached is a daemon that builds can be sent to.
type reached struct {
	solver  *buildkit.Solver
	lane    builder.Lane
	domains []string // globs; empty: all

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
	return &reached{solver: s, lane: lane, domains: at.Domains}, nil
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

func (r *reached) acquire(ctx context.Context, b builder.Build, release func()) (builder.Daemon, error) {
	if !r.serves(b.Repository) {
		return builder.Daemon{}, &builder.Failure{Stage: builder.StageConfig, Message: fmt.Sprintf(
			"the operator's builder of the %s lane does not serve %s: `domains:` of its `buildkit:` entry in the server file names whom it serves", r.lane, b.Repository.Owner)}
	}
	t, err := r.toolchain(ctx)
	if ctx.Err() != nil {
		return builder.Daemon{}, ctx.Err()
	}
	if err != nil {
		return builder.Daemon{}, &builder.Failure{Stage: builder.StageInternal, Err: err,
			Message: "the build daemon cannot be reached; build again when it is back"}
	}
	return builder.Daemon{Solver: r.solver, Toolchain: t, Release: release}, nil
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
