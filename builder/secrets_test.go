package builder_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/store"
	"github.com/registry-build/registry-build/config"
)

// labVault holds credentials, and lets everybody use them.
type labVault struct {
	credentials map[string]builder.Credential
	used        []string
}

func (v *labVault) Open(_ context.Context, name string, by builder.Use) (builder.Credential, error) {
	v.used = append(v.used, name+" for "+by.For)
	c, ok := v.credentials[name]
	switch {
	case by.Lane == builder.ForkLane || name == "denied":
		return builder.Credential{}, fmt.Errorf("credential %q: %w", name, builder.ErrDenied)
	case name == "away":
		return builder.Credential{}, errAway
	case !ok:
		return builder.Credential{}, fmt.Errorf("credential %q: %w", name, builder.ErrNotFound)
	}
	return c, nil
}

func (v *labVault) Logins(_ context.Context, by builder.Use) ([]builder.Credential, error) {
	v.used = append(v.used, "logins for "+by.For)
	return slices.DeleteFunc(slices.Collect(maps.Values(v.credentials)), func(c builder.Credential) bool { return c.Kind != builder.KindRegistryLogin }), nil
}

func newVault() *labVault {
	v := &labVault{credentials: map[string]builder.Credential{}}
	add := func(name string, kind builder.CredentialKind, fields ...string) {
		c := builder.Credential{Name: name, Kind: kind, Version: name + "-1", Fields: map[string]string{}}
		for i := 0; i < len(fields); i += 2 {
			c.Fields[fields[i]] = fields[i+1]
		}
		v.credentials[name] = c
	}
	add("npm", builder.KindToken, builder.FieldValue, "npm-value")
	add("cluster", builder.KindKubeconfig, builder.FieldValue, "kube-value")
	add("cloud", builder.KindAPIKey, builder.FieldSecretID, "cloud-id", builder.FieldSecretKey, "cloud-key")
	add("login", builder.KindPassword, builder.FieldUsername, "ada", builder.FieldPassword, "pass-value")
	add("key", builder.KindSSHKey, builder.FieldValue, "key-value")
	add("hook", builder.KindSigningSecret, builder.FieldValue, "hook-value")
	add("hub", builder.KindRegistryLogin, builder.FieldUsername, "robot", builder.FieldPassword, "hub-value", builder.FieldRegistry, "docker.io")
	add("hub-acme", builder.KindRegistryLogin, builder.FieldUsername, "acme", builder.FieldPassword, "acme-value", builder.FieldRegistry, "index.docker.io/acme")
	add("ghcr", builder.KindRegistryLogin, builder.FieldUsername, "robot", builder.FieldPassword, "ghcr-value", builder.FieldRegistry, "ghcr.io/acme/private")
	return v
}

// vaultSolver is the lab's solver on a daemon that may be shared, and knows
// what the Dockerfile mounts.
type vaultSolver struct {
	labSolver
	inspection builder.Inspection
	shared     bool
}

func (s vaultSolver) Acquire(context.Context, builder.Build) (builder.Daemon, error) {
	return builder.Daemon{Solver: s, Shared: s.shared, Release: func() {}}, nil
}

func (s vaultSolver) Inspect(context.Context, []byte, builder.Spec) (builder.Inspection, error) {
	return s.inspection, nil
}

// labHider hides what it is told to.
type labHider struct{ values []string }

func (h labHider) Redact(_ context.Context, text string) string {
	for _, v := range h.values {
		text = strings.ReplaceAll(text, v, "***")
	}
	return text
}

func (h labHider) Writer(_ context.Context, w io.Writer) io.WriteCloser { return hiding{h, w} }
func (h labHider) Hide(values ...string) builder.Hider {
	return labHider{append(slices.Clone(h.values), values...)}
}

type hiding struct {
	labHider
	to io.Writer
}

func (h hiding) Write(p []byte) (int, error) {
	_, err := io.WriteString(h.to, h.Redact(context.Background(), string(p)))
	return len(p), err
}

func (hiding) Close() error { return nil }

func TestBuildsUseCredentials(t *testing.T) {
	id := func(id, credential string) config.Secret { return config.Secret{ID: id, Credential: credential} }
	pair := func(credential string) config.Secret {
		return config.Secret{Credential: credential, SecretIDVariable: "A", SecretKeyVariable: "B"}
	}
	for _, c := range []struct {
		name    string
		spec    builder.Spec
		needs   builder.Inspection
		lane    builder.Lane
		shared  bool
		secrets string // id=value
		ssh     string
		logins  string
		hint    string // "" for none
		failure string
	}{
		{name: "nothing"},
		{name: "a token", spec: builder.Spec{Secrets: []config.Secret{id("npmrc", "npm")}}, needs: builder.Inspection{Secrets: []string{"npmrc"}}, secrets: "npmrc=npm-value"},
		{name: "a kubeconfig", spec: builder.Spec{Secrets: []config.Secret{id("kube", "cluster")}}, needs: builder.Inspection{Secrets: []string{"kube"}}, secrets: "kube=kube-value"},
		{name: "a pair", spec: builder.Spec{Secrets: []config.Secret{pair("cloud")}}, needs: builder.Inspection{Secrets: []string{"A", "B"}}, secrets: "A=cloud-id B=cloud-key"},
		{name: "a pair of which one is not mounted", spec: builder.Spec{Secrets: []config.Secret{pair("cloud")}}, needs: builder.Inspection{Secrets: []string{"A"}}, secrets: "A=cloud-id B=cloud-key",
			hint: "hint: .registry-build.yml gives B, and no step of Dockerfile mounts it; add to the step that needs it:\n  RUN --mount=type=secret,id=B,env=B …\n"},
		{name: "one that is not mounted", spec: builder.Spec{Secrets: []config.Secret{id("npmrc", "npm")}}, secrets: "npmrc=npm-value",
			hint: "hint: .registry-build.yml gives npmrc, and no step of Dockerfile mounts it; add to the step that needs it:\n  RUN --mount=type=secret,id=npmrc …\n"},
		{name: "a key", spec: builder.Spec{SSH: []config.SSH{{ID: "default", Credential: "key"}}}, needs: builder.Inspection{SSH: []string{"default"}}, ssh: "default=key-value"},
		{name: "keys that are not mounted", spec: builder.Spec{SSH: []config.SSH{{ID: "default", Credential: "key"}, {ID: "x", Credential: "key"}}}, ssh: "default=key-value x=key-value",
			hint: "hint: .registry-build.yml gives an SSH key, and no step of Dockerfile mounts it; add to the step that needs it:\n  RUN --mount=type=ssh …\n" +
				"hint: .registry-build.yml gives the SSH key x, and no step of Dockerfile mounts it; add to the step that needs it:\n  RUN --mount=type=ssh,id=x …\n"},
		{name: "private bases", needs: builder.Inspection{Bases: []string{"docker.io/acme/base:1", "docker.io/library/debian@sha256:aa", "ghcr.io/acme/private/x:1", "ghcr.io/acme/privateer:1", "quay.io/acme/private:1"}},
			logins: "acme@docker.io:[acme/base] robot@docker.io:[library/debian] robot@ghcr.io:[acme/private/x]"},
		{name: "a fork gets nothing", lane: builder.ForkLane, spec: builder.Spec{Secrets: []config.Secret{id("npmrc", "npm")}, SSH: []config.SSH{{ID: "default", Credential: "key"}}},
			needs: builder.Inspection{Bases: []string{"docker.io/acme/base:1"}}},

		{name: "a pair for one id", spec: builder.Spec{Secrets: []config.Secret{id("x", "cloud")}}, failure: "secrets: credential \"cloud\" is a pair: write `{credential: cloud, secretIdVariable: NAME, secretKeyVariable: NAME}` in place of id"},
		{name: "a token for a pair", spec: builder.Spec{Secrets: []config.Secret{pair("npm")}}, failure: "secrets: credential \"npm\" is of the kind token, and secretIdVariable and secretKeyVariable take apart one of the kind api-key; for a single value write `{id: NAME, credential: npm}`"},
		{name: "a key as a secret", spec: builder.Spec{Secrets: []config.Secret{id("x", "key")}}, failure: "secrets: credential \"key\" is a private key, which steps use by an agent and never read: write `ssh: [{credential: key}]` and RUN --mount=type=ssh"},
		{name: "a login as a secret", spec: builder.Spec{Secrets: []config.Secret{id("x", "hub")}}, failure: "secrets: credential \"hub\" is a registry login, which is used by itself for the bases of that registry: leave it out of secrets"},
		{name: "a password", spec: builder.Spec{Secrets: []config.Secret{id("x", "login")}}, failure: "secrets: credential \"login\" is a user name and a password, and a secret mount holds one value: keep the password as a credential of the kind token, or both as one of the kind api-key"},
		{name: "a signing secret", spec: builder.Spec{Secrets: []config.Secret{id("x", "hook")}}, failure: "secrets: credential \"hook\" is of the kind signing-secret, which builds do not use; they mount the kinds token, kubeconfig and api-key"},
		{name: "a token as a key", spec: builder.Spec{SSH: []config.SSH{{Credential: "npm"}}}, failure: "ssh: credential \"npm\" is of the kind token, and an agent holds a private key: name one of the kind ssh-key"},
		{name: "one that is not there", spec: builder.Spec{Secrets: []config.Secret{id("x", "gone")}}, failure: `credential "gone": not found`},
		{name: "one that policy refuses", spec: builder.Spec{Secrets: []config.Secret{id("x", "denied")}}, failure: `credential "denied": ` + builder.ErrDenied.Error()},
		{name: "secrets on a shared daemon", shared: true, spec: builder.Spec{Secrets: []config.Secret{id("npmrc", "npm")}},
			failure: "this build uses secrets, and its builder may serve others than acme, who could read them from its cache: the operator gives a builder to one owner with `domains: [\"git:acme\"]` at its `buildkit:` entry in the server file"},
		{name: "a login on a shared daemon", shared: true, needs: builder.Inspection{Bases: []string{"docker.io/acme/base:1"}},
			failure: "this build uses a registry login for docker.io/acme/base, and its builder may serve others than acme, who could read them from its cache: the operator gives a builder to one owner with `domains: [\"git:acme\"]` at its `buildkit:` entry in the server file"},
		{name: "nothing on a shared daemon", shared: true, needs: builder.Inspection{Bases: []string{"quay.io/acme/base:1"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newVaultLab(t)
			var got builder.SolveRequest
			l.solve = func(_ context.Context, r builder.SolveRequest, _ io.Writer) (builder.Solution, error) {
				got = r
				return builder.Solution{Digest: "sha256:one"}, nil
			}
			w := l.worker()
			w.Solvers, w.Vault, w.Redactor = vaultSolver{labSolver: labSolver{l}, inspection: c.needs, shared: c.shared}, newVault(), labHider{}
			c.spec.Dockerfile, c.spec.Context = "Dockerfile", "."
			src, err := l.Open(t.Context(), labRepo, "c1")
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			_, err = w.Local(t.Context(), builder.Build{Repository: labRepo, Commit: "c1", Lane: c.lane, Destination: "acme/hello", Spec: c.spec}, src, builder.Login{}, false, &log)
			var f *builder.Failure
			if c.failure != "" {
				if !errors.As(err, &f) || f.Stage != builder.StageConfig || f.Message != c.failure {
					t.Errorf("failure %v\nwant %s", err, c.failure)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var logins []string
			for _, b := range got.BaseLogins {
				logins = append(logins, fmt.Sprintf("%s@%s:%v", b.Username, b.Host, b.Repositories))
			}
			slices.Sort(logins)
			if diff := cmp.Diff([]string{c.secrets, c.ssh, c.logins}, []string{flat(got.Secrets), flat(got.SSH), strings.Join(logins, " ")}); diff != "" {
				t.Errorf("secrets, keys, logins (-want +got):\n%s", diff)
			}
			_, hints, _ := strings.Cut(log.String(), "hint:")
			hints, _, _ = strings.Cut(hints, "source and")
			if want := strings.TrimPrefix(c.hint, "hint:"); hints != want {
				t.Errorf("hints %q, want %q", hints, want)
			}
		})
	}
}

func flat(m map[string][]byte) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, k+"="+string(m[k]))
	}
	return strings.Join(all, " ")
}

func newVaultLab(t *testing.T) *lab {
	l := newLab(t, store.Options{})
	l.commit("c1", "", "one")
	return l
}

// planned gives every build that is claimed the spec's credentials.
type planned struct {
	builder.Queue
	secrets []config.Secret
}

func (p planned) Claim(ctx context.Context, worker string) (*builder.Lease, error) {
	l, err := p.Queue.Claim(ctx, worker)
	if err == nil {
		l.Spec.Secrets = p.secrets
	}
	return l, err
}

// A value that is opened for a build stays hidden in all that the build tells,
// also when another one has taken its place before it ends; and the version is
// part of the input key.
func TestOpenedValuesAreHiddenToTheEnd(t *testing.T) {
	l := newLab(t, store.Options{})
	vault := newVault()
	keys := map[string]bool{}
	for i, value := range []string{"first-value", "second-value", "second-value"} {
		commit := fmt.Sprint("c", i)
		l.commit(commit, "", "the same")
		vault.credentials["npm"] = builder.Credential{Name: "npm", Kind: builder.KindToken, Version: value, Fields: map[string]string{builder.FieldValue: value}}
		l.solve = func(_ context.Context, r builder.SolveRequest, log io.Writer) (builder.Solution, error) {
			value := string(r.Secrets["npmrc"])
			vault.credentials["npm"] = builder.Credential{} // rotated meanwhile
			fmt.Fprintln(log, "the step prints", value)
			r.Progress([]builder.Step{{Name: "RUN " + value}})
			return builder.Solution{Digest: "sha256:one", Notes: []builder.Note{{Message: "note " + value}}, Steps: []builder.Step{{Name: "RUN " + value}}}, nil
		}
		id := l.push(t.Context(), fmt.Sprint("refs/tags/v", i), "", commit).Builds[0].ID
		w := l.worker()
		w.Log = slog.New(slog.DiscardHandler)
		w.Queue = planned{l.store, []config.Secret{{ID: "npmrc", Credential: "npm"}}}
		w.Solvers, w.Vault, w.Redactor = vaultSolver{labSolver: labSolver{l}}, vault, labHider{}
		run, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(run) }()
		r := l.ended(t.Context(), id)
		stop()
		<-done
		text := fmt.Sprintf("%+v", r.Result) + l.log(t.Context(), id)
		if !r.State.Good() || strings.Contains(text, "-value") {
			t.Errorf("%s:\n%s", r.State, text)
		}
		if i == 0 && strings.Count(text, "***") < 3 {
			t.Errorf("the value is not where it could be seen:\n%s", text)
		}
		keys[r.Key] = true
	}
	if len(keys) != 2 {
		t.Errorf("input keys %v; want one for each version", keys)
	}
}

// A worker whose redactor can hide no more than it knows uses no credentials.
func TestCredentialsNeedAHider(t *testing.T) {
	l := newVaultLab(t)
	w := l.worker()
	w.Solvers, w.Vault = vaultSolver{labSolver: labSolver{l}}, newVault()
	src, err := l.Open(t.Context(), labRepo, "c1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Local(t.Context(), builder.Build{Repository: labRepo, Commit: "c1", Spec: builder.Spec{Dockerfile: "Dockerfile", Secrets: []config.Secret{{ID: "x", Credential: "npm"}}}}, src, builder.Login{}, false, io.Discard)
	if err == nil || err.Error() != "credential npm is not used: the log's redactor cannot hide it" {
		t.Errorf("error %v", err)
	}
}
