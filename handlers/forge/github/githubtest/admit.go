package githubtest

import (
	"fmt"
	"net/http"
	"strings"
)

// admit decides whether the caller may call the route at all.
func (c *call) admit(rt route) error {
	t := c.tok
	switch rt.who {
	case anyone:
		return nil
	case asApp, asAppOnRepo:
		if t.kind != appToken {
			return &apiError{status: http.StatusUnauthorized, message: "A JSON web token could not be decoded"}
		}
	case asInstallation:
		if t.kind != installationToken {
			return errIntegration
		}
	case asUser:
		if t.kind != userToken {
			return errIntegration
		}
	}
	if t.inst != nil && !t.inst.suspended.IsZero() {
		return errSuspended
	}
	if rt.who == onRepo || rt.who == asAppOnRepo {
		return c.admitRepo(rt)
	}
	return nil
}

func (c *call) admitRepo(rt route) error {
	if err := c.findRepo(); err != nil || rt.who == asAppOnRepo {
		return err
	}
	t, public := c.tok, !c.repo.private && strings.HasSuffix(rt.permission, ":read")
	switch {
	case t.kind == appToken:
		return &apiError{status: http.StatusUnauthorized, message: "Bad credentials"}
	case public: // everybody may read what is public
		return nil
	case t.kind == noToken && !c.repo.private:
		return &apiError{status: http.StatusUnauthorized, message: "Requires authentication"}
	case !t.reaches(c.repo) && c.repo.private:
		return errNotFound
	case !t.reaches(c.repo) || !t.may(c.repo, rt.permission):
		return errIntegration
	}
	return nil
}

// findRepo looks the path's repository up; an old name answers with the way to
// the new one: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
func (c *call) findRepo() error {
	if id := c.number("repository_id"); id != 0 {
		if c.repo = c.s.repos[id]; c.repo == nil {
			return errNotFound
		}
		return nil
	}
	full := c.vars["owner"] + "/" + c.vars["repo"]
	r := c.s.repos[c.s.names[strings.ToLower(full)]]
	if r == nil {
		return errNotFound
	}
	c.repo = r
	if strings.EqualFold(r.fullName(), full) {
		return nil
	}
	if c.tok.kind != appToken && !c.tok.reaches(r) && r.private {
		return errNotFound
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(c.r.URL.EscapedPath(), "/repos/"), "/")
	_, rest, found := strings.Cut(rest, "/")
	if found {
		rest = "/" + rest
	}
	location := fmt.Sprintf("%s/repositories/%d%s", c.s.API, r.id, rest)
	if c.r.URL.RawQuery != "" {
		location += "?" + c.r.URL.RawQuery
	}
	status, message := http.StatusMovedPermanently, "Moved Permanently"
	if c.r.Method != http.MethodGet {
		status, message = http.StatusTemporaryRedirect, "Temporary Redirect"
	}
	return &apiError{status: status, message: message, header: http.Header{"Location": {location}}}
}
