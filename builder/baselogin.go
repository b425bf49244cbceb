package builder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// baseLogins are the registry logins that policy gives this build, for those
// of its bases that they are for and for nothing else. Where two are for the
// same base, the one for the longer name counts.
//
// The daemon is given them for the whole names of these bases, to pull. A
// registry that takes passwords and not tokens does not say what it is asked
// for; there one login does for all of the host (see builder/buildkit).
func (a *attempt) baseLogins(ctx context.Context, bases []string) ([]BaseLogin, error) {
	if a.lease.Lane == ForkLane || a.Vault == nil || len(bases) == 0 {
		return nil, nil
	}
	logins, err := a.Vault.Logins(ctx, a.use())
	if err != nil {
		return nil, fmt.Errorf("registry logins: %w", err)
	}
	// Longest first; names make the order the same each time.
	slices.SortFunc(logins, func(a, b Credential) int {
		return cmp.Or(cmp.Compare(len(b.Fields[FieldRegistry]), len(a.Fields[FieldRegistry])), cmp.Compare(a.Name, b.Name))
	})
	var out []BaseLogin
	for _, c := range logins {
		host, prefix := splitRegistry(c.Fields[FieldRegistry])
		var mine []string
		for _, base := range bases {
			if at, path := splitBase(base); at == host && within(prefix, path) && !covered(out, at, path) && !slices.Contains(mine, path) {
				mine = append(mine, path)
			}
		}
		if len(mine) == 0 {
			continue
		}
		if a.daemon.Shared {
			return nil, sharedDaemon(a.lease.Build, "a registry login for "+host+"/"+mine[0])
		}
		if c, err = a.open(ctx, c.Name); err != nil { // notes the use, and hides it
			return nil, err
		}
		out = append(out, BaseLogin{
			Login:        Login{Host: host, Username: c.Fields[FieldUsername], Password: c.Fields[FieldPassword]},
			Repositories: mine,
		})
	}
	return out, nil
}

// loginForBase picks what a base's digest is asked for with.
func loginForBase(base string, logins []BaseLogin, destination Login) Login {
	host, path := splitBase(base)
	for _, l := range logins {
		if l.Host == host && slices.Contains(l.Repositories, path) {
			return l.Login
		}
	}
	if destination.Host != "" && hubHost(destination.Host) == host {
		return destination
	}
	return Login{}
}

func covered(logins []BaseLogin, host, path string) bool {
	return slices.ContainsFunc(logins, func(l BaseLogin) bool { return l.Host == host && slices.Contains(l.Repositories, path) })
}

// splitBase takes a base as Inspection names it apart: host/path[:tag][@digest].
func splitBase(base string) (host, path string) {
	base, _, _ = strings.Cut(base, "@")
	host, path, _ = strings.Cut(base, "/")
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		path = path[:i]
	}
	return hubHost(host), path
}

// splitRegistry takes a login's host[:port][/prefix] apart.
func splitRegistry(registry string) (host, prefix string) {
	host, prefix, _ = strings.Cut(registry, "/")
	return hubHost(strings.ToLower(host)), strings.Trim(prefix, "/")
}

// hubHost gives Docker Hub one name, the one that images have.
func hubHost(host string) string {
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return host
}

// within reports whether the path is the prefix or lies below it.
func within(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (prefix == "" || rest == "" || rest[0] == '/')
}
