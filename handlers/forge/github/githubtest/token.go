package githubtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type tokenKind string

// What a request may come as; the value is what Request.Token says.
const (
	noToken           tokenKind = ""
	appToken          tokenKind = "app"
	installationToken tokenKind = "installation"
	userToken         tokenKind = "user"
)

type token struct {
	value       string
	kind        tokenKind
	app         *App          // appToken, installationToken, userToken of OAuth
	inst        *Installation // installationToken
	repos       []int64       // nil: every repository of the installation
	permissions map[string]string
	expires     time.Time
	user        *account // userToken
	classic     bool     // a personal access token: all that the person may
}

// levels in rising order.
var levels = []string{"", "read", "write", "admin"}

// grants reports whether have covers a permission like "checks:write". Every
// installation may read metadata.
func grants(have map[string]string, want string) bool {
	name, level, _ := strings.Cut(want, ":")
	if want == "metadata:read" {
		return true
	}
	return slices.Index(levels, have[name]) >= slices.Index(levels, level)
}

// grantsAny takes alternatives separated by |.
func grantsAny(have map[string]string, want string) bool {
	return slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return grants(have, w) })
}

// authenticate reads who asks. No credentials at all are nobody, wrong ones an
// error, as on github.com.
func (s *Server) authenticate(r *http.Request) (*token, error) {
	value := ""
	if _, password, ok := r.BasicAuth(); ok {
		value = password
	} else if header := r.Header.Get("Authorization"); header != "" {
		scheme, rest, _ := strings.Cut(header, " ")
		if scheme = strings.ToLower(scheme); scheme != "bearer" && scheme != "token" {
			return nil, &apiError{status: http.StatusUnauthorized, message: "Bad credentials"}
		}
		value = strings.TrimSpace(rest)
	}
	switch {
	case value == "":
		return &token{}, nil
	case strings.Count(value, ".") == 2:
		return s.assertion(value)
	}
	t := s.tokens[value]
	if t == nil || !t.expires.IsZero() && !s.opts.Now().Before(t.expires) {
		return nil, &apiError{status: http.StatusUnauthorized, message: "Bad credentials"}
	}
	if t.inst != nil && t.inst.gone {
		return nil, &apiError{status: http.StatusUnauthorized, message: "Bad credentials"}
	}
	return t, nil
}

// assertion checks the JWT of an app:
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
func (s *Server) assertion(value string) (*token, error) {
	refuse := func(format string, args ...any) error {
		return &apiError{status: http.StatusUnauthorized, message: fmt.Sprintf(format, args...)}
	}
	var app *App
	var claims jwt.RegisteredClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(value, &claims, func(*jwt.Token) (any, error) {
		for _, a := range s.apps {
			if claims.Issuer == fmt.Sprint(a.ID) || claims.Issuer == a.ClientID {
				app = a
				return &a.key.PublicKey, nil
			}
		}
		return nil, refuse("Integration not found")
	})
	now := s.opts.Now()
	switch {
	case app == nil && err != nil && claims.Issuer != "":
		return nil, &apiError{status: http.StatusNotFound, message: "Integration not found"}
	case err != nil:
		return nil, refuse("A JSON web token could not be decoded")
	case claims.IssuedAt == nil:
		return nil, refuse("Missing 'issued at' claim ('iat') in assertion")
	case claims.ExpiresAt == nil:
		return nil, refuse("Missing 'expiration time' claim ('exp') in assertion")
	case claims.IssuedAt.After(now):
		return nil, refuse("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case !claims.ExpiresAt.After(now):
		return nil, refuse("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.ExpiresAt.After(now.Add(10 * time.Minute)):
		return nil, refuse("'Expiration time' claim ('exp') is too far in the future")
	}
	return &token{kind: appToken, app: app}, nil
}

// reaches reports whether the token's installation or person has the
// repository at all, before any single permission.
func (t *token) reaches(r *Repo) bool {
	switch t.kind {
	case installationToken:
		return t.inst.covers(r) && (t.repos == nil || slices.Contains(t.repos, r.id))
	case userToken:
		return r.permission(t.user) != "none"
	}
	return false
}

// may reports whether the token has a permission such as "contents:read" on a
// repository that it reaches.
func (t *token) may(r *Repo, want string) bool {
	if t.kind == installationToken {
		return grantsAny(t.permissions, want)
	}
	return t.kind == userToken && (strings.HasSuffix(want, ":read") || canWrite(r.permission(t.user)))
}

// name is how the token's owner signs what it makes.
func (s *Server) actor(t *token) *account {
	switch {
	case t.kind == userToken:
		return t.user
	case t.app != nil:
		return s.account(t.app.Slug+"[bot]", false)
	}
	return nil
}

// ExpireTokens ends every installation token that was given out, as an hour
// that passed would.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.unlock()
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool { return t.kind == installationToken })
}
