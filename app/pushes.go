package app

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
)

// pusher is oci.JournalOptions.Pusher.
func (a access) pusher(r *http.Request) (name string, build bool) {
	id := a.identity(r)
	if id == nil {
		return "", false
	}
	return id.Name, ofBuild(id.Name)
}

// ofBuild reports whether a token of this name was minted for a build.
func ofBuild(name string) bool {
	id, ok := strings.CutPrefix(name, "build ")
	return ok && builder.ValidBuildID(id)
}

// tagReader asks registries what tags name now: them, and none of their
// mirrors, which may not have heard of it yet.
type tagReader struct {
	images interface { // has no mirrors
		Resolve(ctx context.Context, reference string, login builder.Login) (string, error)
	}
	tokens  *credential.Tokens
	host    string // of the embedded registry; "" where there is none
	outside func(destination string) (builder.Login, error)
}

// TagNames is builder.Dispatcher.TagNames.
func (t tagReader) TagNames(ctx context.Context, destination, tag string) (string, error) {
	full := builder.FullDestination(t.host, destination)
	var login builder.Login
	if name, ours := strings.CutPrefix(full, t.host+"/"); t.host != "" && ours {
		token, revoke := t.tokens.Mint("push of "+name, []credential.Grant{
			{Repositories: []string{name}, Scopes: []credential.Scope{credential.RegistryPull}}}, time.Minute)
		defer revoke()
		login = builder.Login{Host: t.host, Username: "push", Password: token}
	} else {
		var err error
		if login, err = t.outside(full); err != nil {
			return "", err
		}
	}
	return t.images.Resolve(ctx, full+":"+tag, login)
}
