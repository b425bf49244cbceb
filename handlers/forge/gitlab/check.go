package gitlab

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/registry-build/registry-build/builder"
)

const (
	scopeNeeded = "api"
	expiresSoon = 14 * 24 * time.Hour
	anyCommit   = "0000000000000000000000000000000000000001"
)

// Account is who we are at a GitLab server, and what our token may do.
type Account struct {
	ID        int
	Username  string
	Name      string
	Bot       bool      // of a project or group access token
	Scopes    []string  // of the token; nil where the server does not tell
	ExpiresAt time.Time // the token's last moment; zero: never, or unknown
	Version   string    // the server's, such as "17.5.1-ee"; "" where it does not tell
	Warning   string    // what is to be mended soon: the token expires
}

// Unusable is the error of a server that will not work as it is configured,
// however often it is tried: its token or its address is wrong.
type Unusable struct {
	Message string // what is wrong
	Mend    string // what to do
	Err     error  // the cause, nil where there is none
}

func (u *Unusable) Error() string { return u.Message + "; " + u.Mend }

func (u *Unusable) Unwrap() error { return u.Err }

// Check asks the server who we are there and what the token may do. Its error
// is an *Unusable when the token or the address cannot be used and trying again
// would not help, a builder.Later for a limit, and any other when the server is
// away. What expires soon is no error but the Account's Warning.
func (f *Forge) Check(ctx context.Context) (Account, error) {
	ctx = once(ctx)
	// https://docs.gitlab.com/api/users/#get-the-current-user
	var user struct {
		ID       int    `json:"id"`
		Username string `json:"username"`
		Name     string `json:"name"`
		Bot      bool   `json:"bot"`
	}
	_, err := f.get(ctx, "user", nil, &user)
	if err != nil && !tooNarrow(err) {
		return Account{}, f.refused(err)
	}
	if err == nil && (user.ID <= 0 || user.Username == "") {
		return Account{}, f.noGitLab(nil)
	}
	a := Account{ID: user.ID, Username: user.Username, Name: user.Name, Bot: user.Bot || botName.MatchString(user.Username)}
	if err := f.checkToken(ctx, &a, tooNarrow(err)); err != nil {
		return Account{}, err
	}
	var version struct {
		Version string `json:"version"`
	}
	if _, err := f.get(ctx, "version", nil, &version); err == nil {
		a.Version = version.Version // nothing hangs on it
	}
	return a, nil
}

// checkToken looks at the token's scopes and its end. narrow: it could not even
// read who we are.
// https://docs.gitlab.com/api/personal_access_tokens/#self-inform
func (f *Forge) checkToken(ctx context.Context, a *Account, narrow bool) error {
	var token struct {
		Scopes  []string        `json:"scopes"`
		Expires *gitlab.ISOTime `json:"expires_at"` // its midnight, UTC
		Revoked bool            `json:"revoked"`
	}
	_, err := f.get(ctx, "personal_access_tokens/self", nil, &token)
	switch status := answeredWith(err); {
	case narrow && (status == http.StatusForbidden || status == http.StatusNotFound):
		return f.lacks(nil)
	case status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusBadRequest:
		return f.probe(ctx) // before 15.5
	case err != nil:
		return f.refused(err)
	case token.Revoked:
		return f.badToken("is revoked", nil)
	}
	a.Scopes = token.Scopes
	if token.Expires != nil {
		a.ExpiresAt = time.Time(*token.Expires)
		left := a.ExpiresAt.Sub(f.Now())
		if left <= 0 {
			return f.badToken("expired on "+a.ExpiresAt.Format(time.DateOnly), nil)
		}
		if left < expiresSoon {
			a.Warning = fmt.Sprintf("the token of %s expires on %s; make a new one before, and put it into the server file", f.Config.URL, a.ExpiresAt.Format(time.DateOnly))
		}
	}
	if !slices.Contains(token.Scopes, scopeNeeded) {
		return f.lacks(token.Scopes)
	}
	return nil
}

// probe finds out whether the token may write where it cannot tell, by a write
// to a project that does not exist: its scopes are looked at first.
func (f *Forge) probe(ctx context.Context) error {
	err := f.call(repeatable(ctx), http.MethodPost, "projects/0/statuses/"+anyCommit, map[string]string{"state": "pending"}, nil)
	switch status := answeredWith(err); {
	case tooNarrow(err):
		return f.lacks(nil)
	case err == nil || status == http.StatusNotFound || status == http.StatusBadRequest || status == http.StatusForbidden:
		return nil
	}
	return f.refused(err)
}

// tooNarrow reports whether the token's scopes were refused.
func tooNarrow(err error) bool {
	var refused *gitlab.ErrorResponse
	return errors.As(err, &refused) && answeredWith(err) == http.StatusForbidden && strings.Contains(string(refused.Body), "insufficient_scope")
}

// lacks says that the token may do too little; nil: it is not known what.
func (f *Forge) lacks(scopes []string) error {
	has := "less than that"
	if len(scopes) > 0 {
		has = strings.Join(scopes, ", ")
	}
	return &Unusable{
		Message: fmt.Sprintf("the token of %s has %s; it needs %s", f.Config.URL, has, scopeNeeded),
		Mend:    "make a token with the scope " + scopeNeeded + ": " + f.tokenHome(),
	}
}

func (f *Forge) badToken(how string, err error) error {
	return &Unusable{Message: "the token of " + f.Config.URL + " " + how, Mend: "make a new one with the scope " + scopeNeeded + ": " + f.tokenHome(), Err: err}
}

// tokenHome is where tokens are made.
func (f *Forge) tokenHome() string {
	return f.Config.URL + "/-/user_settings/personal_access_tokens, or Settings > Access tokens of the project or group, with the role Maintainer"
}

func (f *Forge) noGitLab(err error) error {
	return &Unusable{
		Message: fmt.Sprintf("%s does not answer like a GitLab server", f.Config.URL),
		Mend:    "write the address of GitLab's website, with its path where it has one: https://HOST/gitlab",
		Err:     err,
	}
}

// refused tells what the operator has to mend from a server that is away.
func (f *Forge) refused(err error) error {
	var (
		unusable  *Unusable
		later     builder.Later
		answer    *gitlab.ErrorResponse
		syntax    *json.SyntaxError
		shape     *json.UnmarshalTypeError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
	)
	switch status := answeredWith(err); {
	case errors.As(err, &unusable):
		return unusable
	case errors.As(err, &later):
		return fmt.Errorf("GitLab %s: %w", f.Config.Name, later)
	case errors.As(err, &authority):
		return &Unusable{
			Message: fmt.Sprintf("the certificate of %s is signed by an authority that is not known here", f.Config.URL),
			Mend:    "name the authority's PEM file as the server's ca", Err: err,
		}
	case errors.As(err, &hostname):
		return &Unusable{Message: fmt.Sprintf("the certificate of %s is for another name: %s", f.Config.URL, hostname), Mend: "write the address with the certificate's name", Err: err}
	case errors.Is(err, http.ErrSchemeMismatch):
		return &Unusable{Message: f.Config.URL + " does not speak https", Mend: "write the address with http://, or the port of https", Err: err}
	case errors.As(err, &syntax), errors.As(err, &shape), status == http.StatusNotFound:
		return f.noGitLab(err)
	case status == http.StatusUnauthorized:
		return f.badToken(unauthorized(err), err)
	case status == http.StatusForbidden && errors.As(err, &answer) && json.Valid(answer.Body):
		return &Unusable{
			Message: fmt.Sprintf("%s does not let the token's user in: %s", f.Config.URL, answer.Message),
			Mend:    "let an administrator of the server unblock the user, or accept what GitLab asks for when the user signs in", Err: err,
		}
	}
	return fmt.Errorf("GitLab %s: %w", f.Config.Name, err)
}

// unauthorized is what is wrong with the token, as far as GitLab says it.
func unauthorized(err error) string {
	var answer *gitlab.ErrorResponse
	if errors.As(err, &answer) {
		switch said := strings.ToLower(answer.Message); {
		case strings.Contains(said, "revoked"):
			return "is revoked"
		case strings.Contains(said, "expired"):
			return "has expired"
		}
	}
	return "is not known there, has expired or is revoked"
}
