package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/handlers"
	"github.com/registry-build/registry-build/handlers/forge"
	"github.com/registry-build/registry-build/handlers/oci"
)

// access asks one authority for every door: git, the registry, the API and
// the pages. No right follows from an address.
type access struct{ tokens *credential.Tokens }

func (a access) identity(r *http.Request) *credential.Identity {
	id, err := a.tokens.Check(credential.FromRequest(r))
	if err != nil {
		return nil
	}
	return id
}

// gitAccess is plaingit's door.
type gitAccess struct{ access }

func (a gitAccess) Allow(r *http.Request, repository string, write bool) (string, error) {
	id := a.identity(r)
	if id == nil {
		return "", fmt.Errorf("%w: git needs a token as the password, with any user name", forge.ErrUnauthenticated)
	}
	scope := credential.GitRead
	if write {
		scope = credential.GitWrite
	}
	if !id.May(scope, repository) {
		return "", fmt.Errorf("%w: token %s has no %s on %s", forge.ErrForbidden, id.Name, scope, repository)
	}
	return id.Name, nil
}

// registryAccess is the embedded registry's door.
func (a access) registry(r *http.Request, repository string, pull, push, remove bool) error {
	id := a.identity(r)
	if id == nil {
		return oci.ErrUnauthenticated
	}
	if repository == "" {
		return nil // docker login: the token is known
	}
	if repository == oci.AllRepositories {
		return fmt.Errorf("%w: images are not listed here; the API lists builds", oci.ErrDenied)
	}
	if pull && !id.May(credential.RegistryPull, repository) || (push || remove) && !id.May(credential.RegistryPush, repository) {
		return fmt.Errorf("%w: token %s may not do this to %s", oci.ErrDenied, id.Name, repository)
	}
	return nil
}

// apiAccess is the API's door. The log's address may carry a right itself.
type apiAccess struct {
	access
	links links
}

func (a apiAccess) Caller(r *http.Request) handlers.Caller {
	if id := a.identity(r); id != nil {
		return apiCaller{id}
	}
	if strings.HasSuffix(r.URL.Path, "/log") && a.links.maySee(r) {
		return linkCaller{}
	}
	return nil
}

// linkCaller came by a link to one build's log, and asks for that.
type linkCaller struct{}

func (linkCaller) Name() string              { return "link" }
func (linkCaller) MayUseAPI(string) bool     { return true }
func (linkCaller) MayPush(image string) bool { return false }
func (linkCaller) MayNotify(string) bool     { return false }

type apiCaller struct{ id *credential.Identity }

func (c apiCaller) Name() string { return c.id.Name }
func (c apiCaller) MayPush(image string) bool {
	return c.id.May(credential.RegistryPush, image)
}
func (c apiCaller) MayNotify(image string) bool {
	return c.id.May(credential.RegistryNotify, image)
}

// MayUseAPI is true for a token that names the repository, whatever its forge,
// and for one that names it behind its forge.
func (c apiCaller) MayUseAPI(repository string) bool {
	instance, name, behind := strings.Cut(repository, ":")
	if !behind {
		return c.id.May(credential.API, repository)
	}
	return c.id.MayAt(credential.API, instance, name)
}

// nowhere is a repository that only a token for all repositories covers.
const nowhere = "\x00/\x00"

// operator reports whether the request has a token for everything.
func (a access) operator(r *http.Request) bool { return a.identity(r).May(credential.API, nowhere) }

// maySee is the pages' door: what the API would show.
func (a access) maySee(r *http.Request) func(repository string) bool {
	if id := a.identity(r); id != nil {
		return apiCaller{id}.MayUseAPI
	}
	return nil
}

// logins mints what one attempt may do at our own registry. An outside
// registry is asked with the logins of the operator's Docker configuration.
type logins struct {
	tokens  *credential.Tokens
	host    string // of the embedded registry; "" where there is none
	timeout time.Duration
	outside func(destination string) (builder.Login, error)
}

func (l logins) Login(_ context.Context, b builder.Build, destination string) (builder.Login, func(), error) {
	if name, ours := strings.CutPrefix(destination, l.host+"/"); l.host != "" && ours {
		token, revoke := l.tokens.Mint("build "+b.ID, credential.BuildGrants(name), l.timeout)
		return builder.Login{Host: l.host, Username: "build", Password: token}, revoke, nil
	}
	login, err := l.outside(destination)
	return login, func() {}, err
}
