package gitlabtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// TokenOptions say what an access token is good for.
type TokenOptions struct {
	Name    string    // default "token"
	Scopes  []string  // default api
	Level   Level     // of a project's or group's token; default Maintainer
	Expires time.Time // the day; zero: in a year
}

// Token is a personal, project or group access token.
type Token struct {
	ID       int64
	Value    string // what PRIVATE-TOKEN is set to
	Username string // of the person, or of the bot that the token made

	s       *Server
	user    *user
	name    string
	scopes  []string
	created time.Time
	expires time.Time
	revoked bool
}

// PersonalToken makes a personal access token.
func (s *Server) PersonalToken(username string, o TokenOptions) *Token {
	s.mu.Lock()
	defer s.unlock()
	return s.newToken(s.person(username), "glpat-", o)
}

// GroupToken makes a group access token, and its bot.
func (s *Server) GroupToken(fullPath string, o TokenOptions) (*Token, error) {
	s.mu.Lock()
	defer s.unlock()
	n, err := s.space(fullPath)
	if err != nil {
		return nil, err
	}
	u := s.bot("group", n.id, o.label())
	n.members = setMember(n.members, u, o.level(), time.Time{})
	return s.newToken(u, "glpat-", o), nil
}

// CreateToken makes a project access token, and its bot.
func (p *Project) CreateToken(o TokenOptions) *Token {
	s := p.s
	s.mu.Lock()
	defer s.unlock()
	u := s.bot("project", p.id, o.label())
	p.members = setMember(p.members, u, o.level(), time.Time{})
	return s.newToken(u, "glpat-", o)
}

func (o TokenOptions) label() string {
	if o.Name == "" {
		return "token"
	}
	return o.Name
}

func (o TokenOptions) level() Level {
	if o.Level == NoAccess {
		return Maintainer
	}
	return o.Level
}

func (s *Server) newToken(u *user, prefix string, o TokenOptions) *Token {
	if o.Scopes == nil {
		o.Scopes = []string{"api"}
	}
	if o.Expires.IsZero() {
		o.Expires = s.now().AddDate(1, 0, 0)
	}
	t := &Token{
		ID: s.id(), Value: prefix + random(20), Username: u.username,
		s: s, user: u, name: o.label(), scopes: o.Scopes, created: s.now(), expires: o.Expires.Truncate(24 * time.Hour),
	}
	s.tokens[t.Value] = t
	return t
}

// Revoke ends the token.
func (t *Token) Revoke() {
	t.s.mu.Lock()
	defer t.s.unlock()
	t.revoked = true
}

// SetScopes changes what the token is good for, which GitLab itself cannot.
func (t *Token) SetScopes(scopes ...string) {
	t.s.mu.Lock()
	defer t.s.unlock()
	t.scopes = scopes
}

// SetExpiry changes the day from whose beginning on the token is expired.
func (t *Token) SetExpiry(day time.Time) {
	t.s.mu.Lock()
	defer t.s.unlock()
	t.expires = day.UTC().Truncate(24 * time.Hour)
}

func (t *Token) active(now time.Time) bool { return !t.revoked && now.Before(t.expires) }

// has reports whether the token has one of the scopes.
func (t *Token) has(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(t.scopes, s) })
}

// authenticate reads who asks: PRIVATE-TOKEN, private_token or Authorization.
// No credentials at all are nobody, wrong ones an error:
// https://docs.gitlab.com/api/rest/authentication/
func (s *Server) authenticate(r *http.Request) (*Token, error) {
	value := r.Header.Get("Private-Token")
	if value == "" {
		value = r.URL.Query().Get("private_token")
	}
	if scheme, rest, found := strings.Cut(r.Header.Get("Authorization"), " "); value == "" && found && strings.EqualFold(scheme, "bearer") {
		value = strings.TrimSpace(rest)
	}
	if value == "" {
		return nil, nil
	}
	return s.token(value)
}

// token finds one that is good. What GitLab says of those that are not:
// lib/gitlab/auth/auth_finders.rb and lib/api/api_guard.rb.
func (s *Server) token(value string) (*Token, error) {
	t := s.tokens[value]
	oauth := func(what, description string) error {
		return &apiError{status: http.StatusUnauthorized, body: object{"error": what, "error_description": description},
			header: http.Header{"Www-Authenticate": {`Bearer realm="Protected by OAuth 2.0", error="` + what + `", error_description="` + description + `"`}}}
	}
	switch {
	case t == nil:
		return nil, unauthorized()
	case t.revoked:
		return nil, oauth("invalid_token", "Token was revoked. You have to re-authorize from the user.")
	case !t.active(s.now()):
		return nil, oauth("invalid_token", "Token is expired. You can either do re-authorization or token refresh.")
	case t.user.state != "active":
		return nil, refuse(http.StatusForbidden, "403 Forbidden - Your account has been blocked.")
	}
	return t, nil
}
