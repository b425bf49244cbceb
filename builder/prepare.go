package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/registry-build/registry-build/config"
)

const (
	maxReadFile    = 1 << 20 // of a Dockerfile or build file; the latter has a lower limit of its own
	resolveTimeout = 10 * time.Second
)

// prepare reads the Dockerfile and the context and pins the bases, so that
// nothing that decides the result can move between here and the solve.
func (a *attempt) prepare(ctx context.Context, src Source, login Login) (SolveRequest, error) {
	spec := a.lease.Spec
	dockerfile, err := src.ReadFile(ctx, spec.Dockerfile, maxReadFile)
	if errors.Is(err, fs.ErrNotExist) {
		return SolveRequest{}, &Failure{Stage: StageSource, File: spec.Dockerfile, Message: fmt.Sprintf(
			"there is no %s at commit %s; \"dockerfile:\" in %s names it, relative to the repository root",
			spec.Dockerfile, shortCommit(a.lease.Commit), config.BuildFileName)}
	}
	if err != nil {
		return SolveRequest{}, err
	}
	files, err := src.Context(ctx, spec.Context, spec.Dockerfile)
	if err != nil {
		return SolveRequest{}, err
	}
	inspection, err := a.daemon.Solver.Inspect(ctx, dockerfile, spec)
	if err != nil {
		return SolveRequest{}, err
	}
	allowed, err := a.give(ctx, inspection)
	if err != nil {
		return SolveRequest{}, err
	}
	logins, err := a.baseLogins(ctx, inspection.Bases)
	if err != nil {
		return SolveRequest{}, err
	}
	var pins map[string]string
	var unpinned []string
	if a.lease.Lane != ForkLane { // whose bases are asked for from the daemon's own network only
		pins, unpinned = a.pin(ctx, inspection.Bases, logins, login)
	}
	a.say("source and %s ready in %s", count(len(inspection.Bases), "base"), since(a.began))
	request := SolveRequest{
		ID:          fmt.Sprintf("%s-%d", a.lease.ID, a.lease.Attempt),
		Spec:        spec,
		Dockerfile:  dockerfile,
		Files:       files,
		Domain:      a.lease.Domain(),
		Lane:        a.lease.Lane,
		SharedKey:   a.lease.Repository.Key() + ":" + spec.Context,
		Pins:        pins,
		Destination: a.destination(),
		Login:       login,
		BaseLogins:  logins,
		Secrets:     allowed.secrets,
		SSH:         allowed.ssh,
	}
	if inspection.Remote == "" && len(unpinned) == 0 && !spec.NoCache {
		a.result.Key = a.inputKey(request, allowed.versions)
	}
	return request, nil
}

// pin asks for the digest of each base, once and all at the same time. A base
// that does not answer is left to BuildKit, and then the input is not known.
func (a *attempt) pin(ctx context.Context, bases []string, logins []BaseLogin, login Login) (pins map[string]string, unpinned []string) {
	ctx, done := context.WithTimeout(ctx, resolveTimeout)
	defer done()
	var mu sync.Mutex
	var wg sync.WaitGroup
	pins = make(map[string]string, len(bases))
	for _, base := range bases {
		wg.Go(func() {
			digest, err := a.Registry.Resolve(ctx, base, loginForBase(base, logins, login))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.log.Debug("base not pinned", "base", base, "err", err)
				unpinned = append(unpinned, base)
				return
			}
			pins[base] = digest
		})
	}
	wg.Wait()
	return pins, unpinned
}

func (a *attempt) inputKey(r SolveRequest, versions map[string]string) string {
	return InputKey(InputKeyParts{
		Lane:        a.lease.Lane,
		Repository:  a.lease.Repository.Key(),
		Destination: a.lease.Destination, // without our host: it may move
		Frontend:    a.daemon.Toolchain.Frontend,
		BuildKit:    a.daemon.Toolchain.BuildKit,
		Output:      a.daemon.Toolchain.Output,
		Dockerfile:  r.Dockerfile,
		Context:     r.Files.Hash(),
		Args:        r.Spec.Args,
		Target:      r.Spec.Target,
		Platforms:   r.Spec.Platforms,
		Bases:       r.Pins,
		Secrets:     versions,
	})
}
