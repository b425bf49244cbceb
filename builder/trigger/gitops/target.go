package gitops

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

// target is a branch that updates go to, one after the other.
type target struct {
	name   string // as policy names it: FORGE:owner/name, or https://…
	branch string // "": the default branch
	pull   string // the branch of the pull request; "" pushes to branch itself

	forge      Forge               // nil for an address
	repo       *builder.Repository // the build's own; nil: the forge finds it by name
	credential string              // of an address
	use        builder.Use
}

func (t target) String() string {
	if t.branch == "" {
		return t.name
	}
	return "branch " + t.branch + " of " + t.name
}

// key is shared by what may go as one commit: the same branch, reached by the
// same right.
func (t target) key() string {
	name := strings.ToLower(t.name)
	if t.repo != nil {
		name = t.repo.Key()
	}
	return strings.Join([]string{name, t.branch, t.pull, t.credential}, "\x00")
}

// forgeRepository is FORGE:owner/name or owner/name.
var forgeRepository = regexp.MustCompile(`^(?:([a-z0-9][a-z0-9-]*):)?([A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)+)$`)

// target finds out which repository a trigger means, and whether the build's
// may write to it.
func (k *Kind) target(f trigger.Firing) (target, error) {
	g, source := f.Trigger.GitOps, f.Record.Repository
	t := target{branch: g.Branch, use: f.Use()}
	switch m := forgeRepository.FindStringSubmatch(g.Repository); {
	case strings.HasPrefix(g.Repository, "https://"):
		if err := checkAddress(g.Repository); err != nil {
			return t, err
		}
		if g.Credential == "" {
			return t, fmt.Errorf("writing to %s takes a credential of kind token or password; write credential: NAME", g.Repository)
		}
		t.name, t.credential = g.Repository, g.Credential
	case m == nil || strings.Contains(g.Repository, "..") || strings.Contains(g.Repository, "/."):
		return t, fmt.Errorf("%q is no repository; write owner/name, FORGE:owner/name or https://HOST/PATH.git", g.Repository)
	case g.Credential != "":
		return t, fmt.Errorf("a credential goes with the address of a repository; write repository: https://…, or leave credential out and %s is written to with the right that its forge gives us", g.Repository)
	default:
		instance := m[1]
		if instance == "" {
			instance = source.Forge
		}
		t.name = instance + ":" + m[2]
		if t.forge = k.o.Forges[instance]; t.forge == nil {
			return t, fmt.Errorf("no forge %q is configured that lends a right to write; write repository: https://… and a credential", instance)
		}
		if instance == source.Forge && strings.EqualFold(m[2], source.FullName()) {
			t.repo = &source
		}
	}
	if err := k.mayWrite(t, f); err != nil {
		return t, err
	}
	if g.PullRequest {
		if _, ok := t.forge.(Puller); !ok {
			return t, fmt.Errorf("%s has no pull requests that we can open; leave pullRequest out, and the change is pushed to the branch", t.name)
		}
		t.pull = pullBranch(f.Record.Destination, g.File)
	}
	return t, nil
}

// checkAddress refuses what would be another address once it is sent: policy
// looks at it as it is written.
func checkAddress(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || len(strings.Trim(u.Path, "/")) == 0:
		return fmt.Errorf("%q is no address of a repository; write https://HOST/PATH.git", s)
	case u.User != nil:
		return fmt.Errorf("the address of a repository at %s has a user or password in it; put them into a credential", u.Host)
	case u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "%\\?#*\n\t ") || strings.Contains(u.Path, "//") ||
		strings.Contains(u.Path+"/", "/./") || strings.Contains(u.Path+"/", "/../"):
		return fmt.Errorf("%q is no plain address; write https://HOST/PATH.git without . and .. and escaped characters", s)
	}
	return nil
}

// mayWrite: to the build's own repository; to what policy lets it; and the
// operator's triggers anywhere.
func (k *Kind) mayWrite(t target, f trigger.Firing) error {
	if f.Record.Lane == builder.ForkLane {
		return errors.New("a build of a fork writes to no repository")
	}
	if f.Trigger.Operator || t.repo != nil {
		return nil
	}
	for _, p := range k.o.Policy {
		for _, name := range f.Record.Names {
			if config.MatchAny(p.Repositories, name) && config.MatchAny(lower(p.Manifests), strings.ToLower(t.name)) {
				return nil
			}
		}
	}
	source := f.Record.Repository.Forge + ":" + f.Record.Repository.FullName()
	if len(f.Record.Names) > 0 {
		source = f.Record.Names[0]
	}
	return fmt.Errorf("%s may not write to %s; the operator allows it in the server file: policy: [{repositories: [%q], manifests: [%q]}]", f.Record.Repository.FullName(), t.name, source, t.name)
}

// lower is for globs: names at forges, and hosts, are the same in any case.
// A regular expression says itself what it means.
func lower(globs []string) []string {
	var out []string
	for _, g := range globs {
		if !strings.HasPrefix(g, "/") {
			g = strings.ToLower(g)
		}
		out = append(out, g)
	}
	return out
}

// open gets the right to write to a forge's repository.
func (k *Kind) open(ctx context.Context, t target) (Remote, builder.Repository, error) {
	var repo builder.Repository
	if t.repo != nil {
		repo = *t.repo
	} else {
		_, name, _ := strings.Cut(t.name, ":")
		found, err := t.forge.Find(ctx, name)
		if err != nil {
			return Remote{}, repo, classify(err, "there is no repository %s, or we are not let in", t.name)
		}
		if !strings.EqualFold(found.FullName(), name) {
			return Remote{}, repo, fmt.Errorf("%s is called %s now; write that", t.name, found.FullName())
		}
		repo = found
	}
	remote, err := t.forge.Remote(ctx, repo)
	if err != nil {
		return remote, repo, classify(err, "we are not let into %s", t.name)
	}
	return remote, repo, nil
}

// classify makes a forge's or the vault's error final, with a sentence, where
// another attempt would give the same.
func classify(err error, format string, args ...any) error {
	var later builder.Later
	switch {
	case errors.As(err, &later):
		return trigger.Temporary(err, later.Wait)
	case errors.Is(err, builder.ErrNotFound), errors.Is(err, builder.ErrDenied):
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	return trigger.Temporary(err, 0)
}

// openAddress opens an address with a credential.
func (k *Kind) openAddress(ctx context.Context, t target) (Remote, error) {
	if k.o.Vault == nil {
		return Remote{}, errors.New("there is no store of credentials")
	}
	c, err := k.o.Vault.Open(ctx, t.credential, t.use)
	if errors.Is(err, builder.ErrNotFound) || errors.Is(err, builder.ErrDenied) {
		return Remote{}, err // its own sentence
	}
	if err != nil {
		return Remote{}, trigger.Temporary(err, 0)
	}
	user, password := "x-access-token", c.Value() // the name that forges take with a token
	switch c.Kind {
	case builder.KindToken:
	case builder.KindPassword:
		user, password = c.Fields[builder.FieldUsername], c.Fields[builder.FieldPassword]
	default:
		return Remote{}, fmt.Errorf("credential %s is a %s; git takes a token or a password", c.Name, c.Kind)
	}
	login := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return Remote{URL: t.name, Header: "Authorization: Basic " + login}, nil
}

var notInBranches = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// pullBranch is the branch of the one pull request for an image and a file.
func pullBranch(image, file string) string {
	sum := sha256.Sum256([]byte(image + "\x00" + file))
	name := strings.Trim(notInBranches.ReplaceAllString(image, "-"), "-")
	return "registry-build/" + name[:min(len(name), 80)] + "-" + hex.EncodeToString(sum[:4])
}
