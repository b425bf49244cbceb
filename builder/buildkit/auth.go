package buildkit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	authutil "github.com/containerd/containerd/v2/core/remotes/docker/auth"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/distribution/reference"
	sessionauth "github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/registry-build/registry-build/builder"
)

// hubHost is what a daemon calls Docker Hub when it asks for credentials.
const hubHost = "registry-1.docker.io"

// auth answers the daemon's questions for credentials during one solve. It
// knows the destination's host and those of private bases; for every other the
// daemon goes on anonymously and by itself, so that a realm that a stranger's
// registry names is never called from this process.
//
// Its key is made for the solve and kept nowhere: a daemon shares a token
// between sessions that prove the same key, and a token of another build may
// have ended with it.
type auth struct {
	sessionauth.UnimplementedAuthServer
	grants map[string][]grant // by host; the destination's first
	key    ed25519.PrivateKey
	http   *http.Client
}

// grant is a login and the repositories that it may be used for.
type grant struct {
	login        builder.Login
	repositories []string // paths without host
	push         bool     // and not pull only
}

func newAuth(destination string, login builder.Login, bases []builder.BaseLogin) *auth {
	// The only error is a reader's; the default one does not fail.
	_, key, _ := ed25519.GenerateKey(nil)
	a := &auth{grants: map[string][]grant{}, key: key, http: &http.Client{Timeout: 30 * time.Second}}
	if login.Host != "" && login.Password != "" {
		g := grant{login: login, push: true}
		if name, err := reference.ParseNormalizedNamed(destination); err == nil && hostOf(reference.Domain(name)) == hostOf(login.Host) {
			g.repositories = append(g.repositories, reference.Path(name))
		}
		a.grants[hostOf(login.Host)] = []grant{g}
	}
	for _, b := range bases {
		if b.Host != "" && b.Password != "" && len(b.Repositories) > 0 {
			host := hostOf(b.Host)
			a.grants[host] = append(a.grants[host], grant{login: b.Login, repositories: b.Repositories})
		}
	}
	return a
}

// hostOf maps Docker Hub's names to the one that the daemon uses.
func hostOf(host string) string {
	switch host {
	case "docker.io", "index.docker.io":
		return hubHost
	}
	return host
}

func (a *auth) Register(server *grpc.Server) { sessionauth.RegisterAuthServer(server, a) }

// Credentials serves registries that ask for Basic authentication. The
// question names no repository, so a login for such a registry must itself be
// no wider than it may be. One answer has to do for the whole host: the
// destination's login, which has to push, else that of the first private base.
func (a *auth) Credentials(_ context.Context, req *sessionauth.CredentialsRequest) (*sessionauth.CredentialsResponse, error) {
	for _, g := range a.grants[req.Host] {
		if len(g.repositories) > 0 {
			return &sessionauth.CredentialsResponse{Username: g.login.Username, Secret: g.login.Password}, nil
		}
	}
	return &sessionauth.CredentialsResponse{}, nil
}

// FetchToken serves registries with a token server. Of the logins for a host
// the first counts that covers some of the scopes. Scopes beyond its grant are
// left out of what the login asks for; where nothing remains the token is an
// anonymous one.
func (a *auth) FetchToken(ctx context.Context, req *sessionauth.FetchTokenRequest) (*sessionauth.FetchTokenResponse, error) {
	grants, ok := a.grants[req.Host]
	if !ok {
		return nil, status.Errorf(codes.PermissionDenied, "no credentials for %s", req.Host)
	}
	options := authutil.TokenOptions{Realm: req.Realm, Service: req.Service, Scopes: req.Scopes}
	what := ""
	for _, g := range grants {
		scopes := g.allowed(req.Scopes)
		if len(scopes) == 0 {
			continue
		}
		options.Scopes = scopes
		options.Username, options.Secret = g.login.Username, g.login.Password
		if what = baseFailed; g.push {
			what = tokenFailed
		}
		break
	}
	t, err := authutil.FetchToken(ctx, a.http, nil, options)
	if err == nil {
		return tokenResponse(t.Token, t.IssuedAt, t.ExpiresInSeconds), nil
	}
	if options.Secret == "" {
		return nil, err
	}
	if wantsPost(err) {
		o, posted := authutil.FetchTokenWithOAuth(ctx, a.http, nil, "registry-build", options)
		if posted == nil {
			return tokenResponse(o.AccessToken, o.IssuedAt, o.ExpiresInSeconds), nil
		}
	}
	return nil, fmt.Errorf("%s: %w", what, err)
}

// tokenFailed begins the error of a login that got no token. The daemon passes
// it on without saying that it was about to push.
const tokenFailed = "log in to the destination's registry"

// baseFailed begins the error of a private base's login that got no token.
const baseFailed = "log in to the base's registry"

// wantsPost reports whether a token server may know the OAuth2 form only.
func wantsPost(err error) bool {
	var refused remoteerrors.ErrUnexpectedStatus
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusNotFound, http.StatusUnauthorized:
		return true
	}
	return false
}

// allowed keeps what the grant covers of scopes such as
// "repository:acme/api:pull,push".
func (g grant) allowed(scopes []string) []string {
	var out []string
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		kind, rest, _ := strings.Cut(scope, ":")
		i := strings.LastIndexByte(rest, ':')
		if kind != "repository" || i < 0 || !slices.Contains(g.repositories, rest[:i]) {
			continue
		}
		actions := slices.DeleteFunc(strings.Split(rest[i+1:], ","), func(action string) bool {
			return action != "pull" && (action != "push" || !g.push)
		})
		if len(actions) > 0 {
			out = append(out, "repository:"+rest[:i]+":"+strings.Join(actions, ","))
		}
	}
	return out
}

func tokenResponse(token string, issued time.Time, expires int) *sessionauth.FetchTokenResponse {
	r := &sessionauth.FetchTokenResponse{Token: token, ExpiresIn: int64(expires)}
	if !issued.IsZero() {
		r.IssuedAt = issued.Unix()
	}
	return r
}

// GetTokenAuthority makes the daemon ask FetchToken for a host's tokens.
// Unavailable means that it gets them itself.
func (a *auth) GetTokenAuthority(_ context.Context, req *sessionauth.GetTokenAuthorityRequest) (*sessionauth.GetTokenAuthorityResponse, error) {
	if _, ok := a.grants[req.Host]; !ok {
		return nil, status.Errorf(codes.Unavailable, "no credentials for %s", req.Host)
	}
	return &sessionauth.GetTokenAuthorityResponse{PublicKey: a.key.Public().(ed25519.PublicKey)}, nil
}

// VerifyTokenAuthority signs in NaCl's form: signature, then message.
func (a *auth) VerifyTokenAuthority(_ context.Context, req *sessionauth.VerifyTokenAuthorityRequest) (*sessionauth.VerifyTokenAuthorityResponse, error) {
	if _, ok := a.grants[req.Host]; !ok {
		return nil, status.Errorf(codes.Unavailable, "no credentials for %s", req.Host)
	}
	return &sessionauth.VerifyTokenAuthorityResponse{Signed: append(ed25519.Sign(a.key, req.Payload), req.Payload...)}, nil
}
