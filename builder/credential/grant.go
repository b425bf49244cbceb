package credential

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// Scope is one thing that a token may be good for.
type Scope string

const (
	GitRead        Scope = config.ScopeGitRead      // clone and fetch
	GitWrite       Scope = config.ScopeGitWrite     // push; reading is a scope of its own
	RegistryPull   Scope = config.ScopeRegistryPull // read images
	RegistryPush   Scope = config.ScopeRegistryPush // write images and tags
	RegistryNotify Scope = config.ScopeNotify       // tell of pushes to another registry; names have its host
	API            Scope = config.ScopeAPI          // /api/v1
)

// Scopes lists every scope.
func Scopes() []Scope {
	return []Scope{GitRead, GitWrite, RegistryPull, RegistryPush, RegistryNotify, API}
}

func (s Scope) registry() bool { return s == RegistryPull || s == RegistryPush || s == RegistryNotify }

// Grant is a set of rights: every scope on every repository that one of the
// globs matches ("acme/*", "acme/hello"; see config.Pattern). Names of images
// are those inside the registry, without its host.
type Grant struct {
	Repositories []string
	Scopes       []Scope
}

// Identity is who a token stands for.
type Identity struct {
	Name   string // of the token, for logs
	rights []right
}

// right is a grant, ready to be asked.
type right struct {
	scopes   []Scope
	patterns []config.Pattern
	at       map[string][]config.Pattern // by instance: what is named behind its forge
	below    bool                        // what is below a repository that matches belongs to it
}

func (r right) covers(patterns []config.Pattern, repository string) bool {
	for {
		for _, p := range patterns {
			if _, ok := p.Match(repository); ok {
				return true
			}
		}
		cut := strings.LastIndexByte(repository, '/')
		if !r.below || strings.IndexByte(repository, '/') == cut { // an owner is no repository
			return false
		}
		repository = repository[:cut]
	}
}

// May reports whether the identity may do this to that repository. With ""
// it tells whether there is any repository at all to which it may.
func (id *Identity) May(scope Scope, repository string) bool {
	if id == nil {
		return false
	}
	if scope.registry() { // names in a registry are lower-case
		repository = strings.ToLower(repository)
	}
	return slices.ContainsFunc(id.rights, func(r right) bool {
		return slices.Contains(r.scopes, scope) && (repository == "" || r.covers(r.patterns, repository))
	})
}

// MayAt is May for a source repository of one forge, which a grant may name
// behind the forge's instance (lab:acme/*), too.
func (id *Identity) MayAt(scope Scope, instance, repository string) bool {
	return id.May(scope, repository) || id != nil && slices.ContainsFunc(id.rights, func(r right) bool {
		return slices.Contains(r.scopes, scope) && r.covers(r.at[instance], repository)
	})
}

// rights of grants; a glob that does not parse matches nothing.
func rights(grants []Grant) []right {
	var out []right
	for _, g := range grants {
		r := right{scopes: slices.Clone(g.Scopes), at: map[string][]config.Pattern{}}
		for _, glob := range g.Repositories {
			if p, err := config.ParsePattern(glob); err == nil {
				r.add(glob, p)
			}
		}
		if r.patterns != nil {
			out = append(out, r)
		}
	}
	return out
}

// add lets the right cover what the glob matches, and what it names behind a
// forge's instance.
func (r *right) add(glob string, p config.Pattern) {
	r.patterns = append(r.patterns, p)
	instance, rest, behind := strings.Cut(glob, ":")
	if p, err := config.ParsePattern(rest); behind && err == nil {
		r.at[instance] = append(r.at[instance], p)
	}
}

// BuildGrants are the rights of one attempt of a build: push and pull of its
// image repository, and pull of its owner's images and of library/*, which
// Dockerfiles name as bases. The name is without the registry's host. A text
// that is no repository's name, but a glob for instance, gets no rights.
func BuildGrants(repository string) []Grant {
	if config.CheckRepositoryPath(repository) != nil {
		return nil
	}
	pull := []string{"library/*"}
	if owner, _, ok := strings.Cut(repository, "/"); ok {
		pull = append(pull, owner+"/*")
	}
	return []Grant{
		{Repositories: []string{repository}, Scopes: []Scope{RegistryPull, RegistryPush}},
		{Repositories: pull, Scopes: []Scope{RegistryPull}},
	}
}

// staticIdentity turns the server file's words into grants. A repository's
// images are it and whatever is below it, as the push policy has it.
func staticIdentity(c config.Token) (*Identity, error) {
	if len(c.Scopes) == 0 {
		return nil, errors.New("it has no scopes; write some of " + scopeNames())
	}
	if len(c.Repositories) == 0 {
		return nil, errors.New(`it is for no repositories; write ["*"] for all of them`)
	}
	own, images := right{at: map[string][]config.Pattern{}}, right{below: true}
	for _, name := range c.Scopes {
		scope := Scope(name)
		switch {
		case !slices.Contains(Scopes(), scope):
			return nil, fmt.Errorf("scope %q is unknown; write some of %s", name, scopeNames())
		case scope.registry():
			images.scopes = append(images.scopes, scope)
		default:
			own.scopes = append(own.scopes, scope)
		}
	}
	for _, r := range c.Repositories {
		p, err := config.ParsePattern(r)
		if err != nil {
			return nil, fmt.Errorf("repositories: %w", err)
		}
		own.add(r, p)
		if r[0] != '/' { // an expression is taken as it is: lower case could turn its meaning
			p, _ = config.ParsePattern(strings.ToLower(r))
		}
		images.patterns = append(images.patterns, p)
	}
	return &Identity{Name: c.Name, rights: []right{own, images}}, nil
}

func scopeNames() string {
	var names []string
	for _, s := range Scopes() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}
