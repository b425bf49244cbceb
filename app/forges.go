package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/builder/source"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/forge/github"
	"github.com/registry-build/registry-build/handlers/forge/gitlab"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

// forges are where events come from and reports go: our own git remote, the
// GitHub App, and each GitLab server.
type forges struct {
	git    *plaingit.Forge
	github *github.App
	gitlab []*gitlab.Forge
}

// peer is a forge that is somebody else's server.
type peer interface {
	forge.Verifier
	forge.Origin
	builder.Reporter
	builder.Commenter
	builder.Forge
	finder
}

// finder finds repositories by the name that people use there.
type finder interface {
	Find(ctx context.Context, fullName string) (builder.Repository, error)
}

// elsewhere are the forges but for our own, by instance.
func (f forges) elsewhere() map[string]peer {
	all := map[string]peer{github.Instance: f.github}
	for _, lab := range f.gitlab {
		all[lab.Instance()] = lab
	}
	return all
}

func (f forges) origins() origins {
	all := origins{plaingit.Instance: f.git}
	for instance, o := range f.elsewhere() {
		all[instance] = o
	}
	return all
}

// each makes a map of one ability of all forges but ours.
func each[T any](f forges, ability func(peer) T) map[string]T {
	all := map[string]T{}
	for instance, o := range f.elsewhere() {
		all[instance] = ability(o)
	}
	return all
}

func asVerifier(o peer) forge.Verifier   { return o }
func asReporter(o peer) builder.Reporter { return o }
func asForge(o peer) builder.Forge       { return o }

// watchers are the forges that can be asked for what their deliveries tell.
func (f forges) watchers() map[string]builder.Watcher {
	all := map[string]builder.Watcher{}
	for instance, o := range f.elsewhere() {
		if w, ok := o.(builder.Watcher); ok {
			all[instance] = w
		}
	}
	return all
}

// told and polled are the instances that call us, and those that we ask.
func (f forges) told() []string {
	names := []string{github.Instance}
	for _, lab := range f.gitlab {
		if lab.Config.Events == config.ByWebhook {
			names = append(names, lab.Instance())
		}
	}
	return names
}

func (f forges) polled() (names []string) {
	for _, lab := range f.gitlab {
		if lab.Config.Events == config.ByPoll {
			names = append(names, lab.Instance())
		}
	}
	return names
}

// suggests says where a repository without a build file hears of it.
func (f forges) suggests() map[string]bool {
	all := map[string]bool{github.Instance: f.github.Config.Suggest}
	for _, lab := range f.gitlab {
		all[lab.Instance()] = lab.Config.Onboard
	}
	return all
}

// newGitLabs makes the GitLab servers of the server file. What all have in
// common comes in o.
func newGitLabs(cfg *config.Server, o gitlab.Options, credentials *credential.Store, address func() string) ([]*gitlab.Forge, error) {
	var all []*gitlab.Forge
	log := o.Log
	for _, g := range cfg.GitLab {
		o.Config, o.Secrets, o.Log = g, &hookSecrets{instance: g.Name, store: credentials}, log.With("room", g.Name)
		o.HookURL = func() string { return address() + "/hooks/" + g.Name }
		lab, err := gitlab.New(o)
		if err != nil {
			return nil, fmt.Errorf("forges.gitlab %s: %w", g.Name, err)
		}
		all = append(all, lab)
	}
	return all, nil
}

// check asks each GitLab server whether it takes our token. One that is away
// may come back; a token that it refuses will not get better.
func (f forges) check(ctx context.Context, log *slog.Logger) error {
	for _, lab := range f.gitlab {
		ctx, done := context.WithTimeout(ctx, doctorLimit)
		account, err := lab.Check(ctx)
		done()
		var unusable *gitlab.Unusable
		switch {
		case errors.As(err, &unusable):
			return fmt.Errorf("forges.gitlab %s: %s; %s", lab.Instance(), unusable.Message, unusable.Mend)
		case err != nil:
			log.Warn("a GitLab server does not answer; builds of its projects wait", "server", lab.Instance(), "err", err)
		case account.Warning != "":
			log.Warn("a GitLab server's token", "server", lab.Instance(), "mend", account.Warning)
		}
	}
	return nil
}

// forget drops what is known of our rights in the repository.
func (f forges) forget(repo builder.Repository) {
	if repo.Forge == github.Instance {
		f.github.Forget(repo.Installation)
	}
}

// redeliver has the forges deliver again what did not reach us, until ctx ends.
func (f forges) redeliver(ctx context.Context, projects gitlab.Projects) error {
	var g errgroup.Group
	g.Go(func() error { return f.github.Run(ctx) })
	for _, lab := range f.gitlab {
		if lab.Config.Events == config.ByWebhook {
			g.Go(func() error { return lab.Run(ctx, projects) })
		}
	}
	return g.Wait()
}

// repositories finds repositories for the API: by name at the forges, by ref
// in the source.
type repositories struct {
	forges
	sources *source.Sources
}

// Find looks at our own git remote first, then at the other forges in order;
// INSTANCE:owner/name means one of them only.
func (r repositories) Find(ctx context.Context, fullName string) (builder.Repository, error) {
	all := r.elsewhere()
	if instance, name, ok := strings.Cut(fullName, ":"); ok {
		switch f, known := all[instance]; {
		case instance == plaingit.Instance:
			return r.git.Find(ctx, name)
		case known:
			return f.Find(ctx, name)
		}
	}
	repo, err := r.git.Find(ctx, fullName)
	for _, instance := range r.inOrder() {
		if !errors.Is(err, builder.ErrNotFound) {
			break
		}
		repo, err = all[instance].Find(ctx, fullName)
	}
	return repo, err
}

// inOrder are the instances but ours, GitHub's first, then by name.
func (f forges) inOrder() []string {
	names := append(f.told(), f.polled()...)
	slices.SortFunc(names[1:], cmp.Compare)
	return names
}

func (r repositories) Resolve(ctx context.Context, repo builder.Repository, rev string) (string, error) {
	return r.sources.Resolve(ctx, repo, rev)
}
