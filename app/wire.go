package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/builder/registry"
	"github.com/registry-build/registry-build/builder/source"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
	"github.com/registry-build/registry-build/handlers/oci"
	"github.com/registry-build/registry-build/handlers/page"
)

const (
	lease         = 15 * time.Second // of a build; a dead worker is noticed after it
	drain         = 10 * time.Second // running builds may end after a stop
	dispatchers   = 4
	couriers      = 4
	shutdownGrace = 5 * time.Second
	pollEvery     = 15 * time.Second // of forges that cannot reach us
)

// installation is everything that one process runs, wired. Its parts are
// stopped in the order that run writes down.
type installation struct {
	log      *slog.Logger
	listener net.Listener
	handler  http.Handler
	store    *store.Store
	redis    redis.UniversalClient
	forges   forges
	registry *oci.Registry // nil: images go to an outside registry
	daemons  *daemons
	dispatch *builder.Dispatcher
	worker   *builder.Worker
	courier  *builder.Courier
	missed   *builder.Reconciler // of forges that call us
	polled   *builder.Reconciler // of those that we ask
	mirrors  mirrors
	byHand   *oci.Journal
}

// places are the addresses of what the installation speaks to.
type places struct {
	url      string // ours, as people reach it
	redis    string
	buildkit config.BuildKit
}

// wire builds every room and hands each what it needs. It is one straight
// line, and long, so that the whole house is seen at once.
func wire(ctx context.Context, cfg *config.Server, dir *dataDir, l net.Listener, at places, log *slog.Logger) (*installation, error) {
	us, err := url.Parse(at.url)
	if err != nil {
		return nil, err
	}
	insecure := cfg.Registry.Insecure
	if us.Scheme == "http" {
		insecure = append(insecure[:len(insecure):len(insecure)], us.Host)
	}

	host := ""
	if cfg.Registry.Default == "" {
		host = us.Host // images go to the registry that we embed
	}

	// State.
	redis.SetLogger(redisLog{log.With("room", "redis")})
	client, err := store.Open(at.redis)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	records := store.New(client, store.Options{
		Host: host, Lease: lease, PerRepository: cfg.Limits.PerRepository, MaxAttempts: cfg.Limits.MaxAttempts,
		Events: cfg.Retention.Events, Builds: cfg.Retention.Builds, Logs: cfg.Retention.Logs, Log: log,
	})
	if err := records.Ping(ctx); err != nil {
		return nil, fmt.Errorf("%w; is the server running that `redis:` names?", err)
	}
	credentials, err := credential.Open(dir.path("credentials"), firstOf(cfg.KeyFile, dir.path("credentials", "key.txt")))
	if err != nil {
		return nil, err
	}
	own, _, err := credential.LoadOrCreateToken(dir.path("token"))
	if err != nil {
		return nil, err
	}
	tokens, err := tokenAuthority(cfg, own)
	if err != nil {
		return nil, err
	}
	secret, err := dir.secret(linksSecret)
	if err != nil {
		return nil, err
	}
	door, hide, links := access{tokens}, redactor{credentials, own, log}, links{secret, at.url, linkKeeps(cfg), time.Now}

	// What starts builds.
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address := func() string { return at.url }
	git, err := plaingit.New(plaingit.Options{
		Root: dir.path("git"), RunDir: dir.run, HookBinary: self, Store: records, Access: gitAccess{door},
		URL: address, Create: cfg.Git.Create, Log: log.With("room", "git"),
	})
	if err != nil {
		return nil, err
	}
	registryHost := func() string { return host }
	apps := &identities{config: cfg.GitHub, store: credentials}
	hub := github.New(github.Options{
		Identities: apps, Memory: records.Memory(), Logs: records, Config: cfg.GitHub,
		BuildURL: links.build, Host: registryHost, Log: log.With("room", "github"),
	})
	labs, err := newGitLabs(cfg, gitlab.Options{Memory: records.Memory(), BuildURL: links.build, Host: registryHost, Log: log}, credentials, address)
	if err != nil {
		return nil, err
	}
	all := forges{git: git, github: hub, gitlab: labs}
	if err := all.check(ctx, log); err != nil {
		return nil, err
	}
	sources := source.New(source.Options{Dir: dir.path("mirrors"), Log: log.With("room", "source"), Origins: all.origins()})

	// What builds do.
	solvers, err := newDaemons(ctx, daemonOptions{
		Config: cfg, Dir: dir, Trusted: at.buildkit, Insecure: insecure, Host: host, Log: log.With("room", "buildkit")})
	if err != nil {
		return nil, err
	}
	images := registry.New(registry.Options{Ledger: records.Tags(), Insecure: insecure, Mirrors: cfg.Registry.Mirrors, Log: log.With("room", "registry")})
	byHand, err := oci.OpenJournal(oci.JournalOptions{Dir: dir.path("pushes"), Store: records, Pusher: door.pusher, Log: log.With("room", "pushes")})
	if err != nil {
		return nil, err
	}
	embedded, v2, err := embedRegistry(cfg, dir, door, byHand, log)
	if err != nil {
		return nil, err
	}

	// What builds cause.
	keys := vault{credentials, cfg.Policy}
	triggers, err := newTriggers(triggerOptions{
		config: cfg, vault: keys, tags: records, hide: hide, manifests: dir.path("manifests"), forges: remotes(git, hub, tokens, labs...), registry: host,
		buildURL: func(id string) string { return at.url + "/builds/" + id }, log: log.With("room", "trigger"),
	})
	if err != nil {
		return nil, err
	}
	name := processName()
	lets := logins{tokens: tokens, host: host, timeout: cfg.Limits.BuildTimeout, outside: dockerLogins(cfg)}
	names := tagReader{tokens: tokens, host: host, outside: dockerLogins(cfg),
		images: registry.New(registry.Options{Ledger: records.Tags(), Insecure: insecure, Log: log.With("room", "registry")})}
	comparing := func(instances []string, room string) *builder.Reconciler {
		return &builder.Reconciler{
			Heads: records, Refs: sources, Events: records, Forges: instances, Log: log.With("room", room),
			Watchers: all.watchers(), Pulls: each(all, asForge), Looks: records, Read: handlers.ReadCommand,
		}
	}
	missed, polled := comparing(all.told(), "reconcile"), comparing(all.polled(), "poll")
	polled.Every, polled.Grace, polled.Active = pollEvery, -1, -1
	in := &installation{
		log: log, listener: l, store: records, redis: client, forges: all, registry: embedded, daemons: solvers, missed: missed, polled: polled,
		mirrors: mirrors{sources, log.With("room", "source")}, byHand: byHand,
		dispatch: &builder.Dispatcher{
			Inbox: records, Sources: sources, Forges: each(all, asForge), Past: records, Positions: records,
			Registry: cfg.Registry.Default, Policy: cfg.Policy, Timezone: cfg.Timezone,
			Registrations: records, Operators: cfg.Operators, Triggers: triggers, TagNames: names.TagNames,
			Merge:   map[string]bool{github.Instance: cfg.GitHub.PullRequests == config.PullMerge},
			Suggest: all.suggests(),
			Seed: func(ctx context.Context, repo builder.Repository) error {
				all.forget(repo) // what we may has changed
				return missed.Seed(ctx, repo)
			},
			Left: all.forget,
			Name: name, Parallel: dispatchers, Log: log.With("room", "dispatch"),
		},
		worker: &builder.Worker{
			Queue: records, Leases: records, Inputs: records, Logs: records, Sources: sources, Solvers: solvers, Registry: images,
			Logins: lets, Vault: keys,
			Triggers: triggers, Redactor: hide,
			Name: name, Parallel: cfg.Limits.Concurrency, Host: host,
			Timeout: cfg.Limits.BuildTimeout, MaxLost: cfg.Limits.MaxAttempts, Drain: drain, Log: log.With("room", "worker"),
		},
		courier: &builder.Courier{
			Outbox: records, Records: records, Told: records,
			Reporters: each(all, asReporter),
			Triggers:  triggers, Registry: images, Logins: lets, Host: host, Name: name, Parallel: couriers, Log: log.With("room", "courier"),
		},
	}

	// What people and machines see.
	api := &handlers.Server{
		Events: records, Builds: records, Outcomes: records, Repositories: repositories{all, sources}, Access: apiAccess{door, links},
		Forges: each(all, asVerifier), Registry: registryHost, URL: address, Registrations: records,
		Metrics: prometheus.NewRegistry(), Log: log.With("room", "api"),
	}
	pages := &page.Pages{Builds: records, MaySee: door.maySee, HasLink: links.maySee, Registry: registryHost, Log: log.With("room", "page")}
	manifest, err := appManifest()
	if err != nil {
		return nil, err
	}
	setup := &github.Setup{App: hub, Manifest: manifest, Keep: apps.keep, URL: address,
		MayOpen: func(r *http.Request) bool { return links.mayOpen(r) || door.operator(r) }}
	mux := http.NewServeMux()
	mux.Handle("/git/", git.Handler())
	mux.Handle("/github/", setup.Routes())
	mux.Handle("/v2/", v2)
	mux.Handle("/", pages.Routes())
	routes := api.Routes()
	for _, prefix := range []string{"/api/", "/hooks/", "/healthz", "/readyz", "/metrics"} {
		mux.Handle(prefix, routes)
	}
	in.handler = mux
	return in, nil
}

// embedRegistry opens the registry in the data folder, unless images go to
// an outside one; then /v2/ says where.
func embedRegistry(cfg *config.Server, dir *dataDir, door access, byHand *oci.Journal, log *slog.Logger) (*oci.Registry, http.Handler, error) {
	if cfg.Registry.Default != "" {
		return nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "images are at "+cfg.Registry.Default, http.StatusNotFound)
		}), nil
	}
	secret, err := dir.secret("registry.secret")
	if err != nil {
		return nil, nil, err
	}
	r, err := oci.New(oci.Options{Dir: dir.path("registry"), Access: oci.AccessFunc(door.registry), Pushed: byHand.Pushed, Secret: secret, Log: log.With("room", "oci")})
	return r, r, err
}

// run serves until ctx ends, and then stops in this order: no new requests
// and no new builds; those in hand, which still push into our registry, end or
// are handed back; requests in hand end; reports go out; the registry, the
// solver and Redis are closed.
func (in *installation) run(ctx context.Context) error {
	base, stopBase := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopBase(nil)
	work, stopWork := context.WithCancel(ctx)
	defer stopWork()

	failed := make(chan error, 8)
	start := func(name string, ctx context.Context, f func(context.Context) error) <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := f(ctx); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", name, err)
				stopWork()
			}
		}()
		return done
	}
	door := &gate{open: in.handler}
	server := &http.Server{Handler: door, ConnState: door.track, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(in.log.Handler(), slog.LevelDebug)}
	stored := start("store", base, in.store.Run)
	hooked := start("git", base, in.forges.git.Run)
	carried := start("courier", base, in.courier.Run)
	redelivered := start("redelivery", work, func(ctx context.Context) error { return in.forges.redeliver(ctx, in.store) })
	compared := start("reconcile", work, in.missed.Run)
	asked := start("poll", work, in.polled.Run)
	pruned := start("mirrors", work, in.mirrors.Run)
	taken := start("pushes", base, in.byHand.Run)
	start("http", base, func(context.Context) error { return notClosed(server.Serve(in.listener)) })
	dispatched := start("dispatcher", work, in.dispatch.Run)
	worked := start("worker", work, in.worker.Run)

	<-work.Done()
	in.log.Info("stopping")
	door.close()
	in.forges.git.Detach() // a push lasts as long as its builds
	<-dispatched
	<-worked
	<-redelivered
	<-compared
	<-asked
	<-pruned
	door.hangUp()
	grace, done := context.WithTimeout(base, shutdownGrace)
	defer done()
	if err := server.Shutdown(grace); err != nil {
		server.Close() // somebody follows a log; it resumes
	}
	stopBase(nil)
	<-carried
	<-taken
	<-hooked
	<-stored
	var errs []error
	if in.registry != nil {
		errs = append(errs, in.registry.Close())
	}
	errs = append(errs, in.daemons.Close(), in.redis.Close())
	select {
	case err := <-failed:
		errs = append(errs, err)
	default:
	}
	return errors.Join(errs...)
}

func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// processName names this process in leases, for people who look into them.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
