package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/registry-build/registry-build/config"
)

// given is what a build's steps may use: values by the ids that they mount,
// and the versions of the credentials that these are of.
type given struct {
	secrets  map[string][]byte
	ssh      map[string][]byte
	versions map[string]string // for the input key
}

// give opens the credentials that the image's secrets and ssh name. A build of
// a fork gets nothing, whatever stands in its plan.
func (a *attempt) give(ctx context.Context, needs Inspection) (given, error) {
	spec := a.lease.Spec
	if a.lease.Lane == ForkLane || len(spec.Secrets)+len(spec.SSH) == 0 {
		return given{}, nil
	}
	if a.Vault == nil { // a build on somebody's own machine
		a.say("warning: secrets and ssh of %s are the server's to give: this build goes without them", config.BuildFileName)
		return given{}, nil
	}
	if a.daemon.Shared {
		return given{}, sharedDaemon(a.lease.Build, "secrets")
	}
	g := given{secrets: map[string][]byte{}, ssh: map[string][]byte{}, versions: map[string]string{}}
	for _, s := range spec.Secrets {
		c, err := a.open(ctx, s.Credential)
		if err != nil {
			return given{}, err
		}
		values, err := mountable(s, c)
		if err != nil {
			return given{}, err
		}
		for id, value := range values {
			g.secrets[id], g.versions[id] = []byte(value), c.Version
		}
	}
	for _, s := range spec.SSH {
		c, err := a.open(ctx, s.Credential)
		if err != nil {
			return given{}, err
		}
		if c.Kind != KindSSHKey {
			return given{}, refuseCredential(`ssh: credential %q is of the kind %s, and an agent holds a private key: name one of the kind %s`, c.Name, c.Kind, KindSSHKey)
		}
		id := cmp.Or(s.ID, defaultAgent)
		g.ssh[id], g.versions["ssh "+id] = []byte(c.Value()), c.Version // ids have no spaces
	}
	a.hint(needs)
	return g, nil
}

// defaultAgent is the id of `--mount=type=ssh`.
const defaultAgent = "default"

// open gets a credential, and hides it in all that this build tells from now
// on, also when another value is set under its name meanwhile.
func (a *attempt) open(ctx context.Context, name string) (Credential, error) {
	c, err := a.Vault.Open(ctx, name, a.use())
	var f *Failure
	switch {
	case err == nil:
		return c, a.hide(ctx, c)
	case errors.As(err, &f):
		return Credential{}, err
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDenied):
		return Credential{}, &Failure{Stage: StageConfig, File: config.BuildFileName, Message: err.Error()}
	}
	return Credential{}, fmt.Errorf("open credential %s: %w", name, err)
}

func (a *attempt) use() Use {
	return Use{Names: a.lease.Names, Lane: a.lease.Lane, For: "build of " + a.lease.Destination}
}

// mountable are the values of one entry of secrets, by the ids that steps
// mount.
func mountable(s config.Secret, c Credential) (map[string]string, error) {
	if s.ID == "" {
		if c.Kind != KindAPIKey {
			return nil, refuseCredential("secrets: credential %q is of the kind %s, and secretIdVariable and secretKeyVariable take apart one of the kind %s; for a single value write `{id: NAME, credential: %s}`",
				c.Name, c.Kind, KindAPIKey, c.Name)
		}
		return map[string]string{s.SecretIDVariable: c.Fields[FieldSecretID], s.SecretKeyVariable: c.Fields[FieldSecretKey]}, nil
	}
	switch c.Kind {
	case KindToken, KindKubeconfig:
		return map[string]string{s.ID: c.Value()}, nil
	case KindAPIKey:
		return nil, refuseCredential("secrets: credential %q is a pair: write `{credential: %s, secretIdVariable: NAME, secretKeyVariable: NAME}` in place of id", c.Name, c.Name)
	case KindSSHKey:
		return nil, refuseCredential("secrets: credential %q is a private key, which steps use by an agent and never read: write `ssh: [{credential: %s}]` and RUN --mount=type=ssh", c.Name, c.Name)
	case KindRegistryLogin:
		return nil, refuseCredential("secrets: credential %q is a registry login, which is used by itself for the bases of that registry: leave it out of secrets", c.Name)
	case KindPassword:
		return nil, refuseCredential("secrets: credential %q is a user name and a password, and a secret mount holds one value: keep the password as a credential of the kind %s, or both as one of the kind %s", c.Name, KindToken, KindAPIKey)
	}
	return nil, refuseCredential("secrets: credential %q is of the kind %s, which builds do not use; they mount the kinds %s, %s and %s", c.Name, c.Kind, KindToken, KindKubeconfig, KindAPIKey)
}

func refuseCredential(format string, args ...any) *Failure {
	return &Failure{Stage: StageConfig, File: config.BuildFileName, Message: fmt.Sprintf(format, args...)}
}

// sharedDaemon is why a build does not get what it asks for: what a step makes
// with a secret is in the daemon's cache, for everybody who writes the same
// step.
func sharedDaemon(b Build, what string) *Failure {
	return &Failure{Stage: StageConfig, Message: fmt.Sprintf(
		"this build uses %s, and its builder may serve others than %s, who could read them from its cache: the operator gives a builder to one owner with `domains: [%q]` at its `buildkit:` entry in the server file",
		what, b.Repository.Owner, b.Repository.Domain())}
}

// hint shows the line to add for what is given and never mounted.
func (a *attempt) hint(needs Inspection) {
	unused := func(id, line string) {
		a.say("hint: %s gives %s, and no step of %s mounts it; add to the step that needs it:\n  RUN %s …", config.BuildFileName, id, a.lease.Spec.Dockerfile, line)
	}
	for _, s := range a.lease.Spec.Secrets {
		for _, id := range []string{s.ID, s.SecretIDVariable, s.SecretKeyVariable} {
			switch {
			case id == "" || slices.Contains(needs.Secrets, id):
			case s.ID == "":
				unused(id, fmt.Sprintf("--mount=type=secret,id=%s,env=%s", id, id))
			default:
				unused(id, "--mount=type=secret,id="+id)
			}
		}
	}
	for _, s := range a.lease.Spec.SSH {
		id := cmp.Or(s.ID, defaultAgent)
		switch {
		case slices.Contains(needs.SSH, id):
		case id == defaultAgent:
			unused("an SSH key", "--mount=type=ssh")
		default:
			unused("the SSH key "+id, "--mount=type=ssh,id="+id)
		}
	}
}
