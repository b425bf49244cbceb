package githubtest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// createToken gives a token for an hour, for all of the installation or less:
// https://docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app
func (s *Server) createToken(c *call) (answer, error) {
	i, err := c.installation()
	if err != nil {
		return answer{}, err
	}
	if !i.suspended.IsZero() {
		return answer{}, errSuspended
	}
	var in struct {
		Repositories  []string
		RepositoryIDs []int64 `json:"repository_ids"`
		Permissions   map[string]string
	}
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	t := &token{value: "ghs_" + random(36), kind: installationToken, app: i.App, inst: i, permissions: i.permissions, expires: s.now().Add(time.Hour)}
	refuse := &apiError{status: http.StatusUnprocessableEntity}
	byID := map[int64]bool{}
	for _, r := range i.all() {
		byID[r.id] = true
		if slices.ContainsFunc(in.Repositories, func(n string) bool { return strings.EqualFold(n, r.name) }) {
			t.repos = append(t.repos, r.id)
		}
	}
	for _, id := range in.RepositoryIDs {
		if byID[id] && !slices.Contains(t.repos, id) {
			t.repos = append(t.repos, id)
		}
	}
	if asked := len(in.Repositories) + len(in.RepositoryIDs); asked > len(t.repos) || asked > 500 {
		refuse.message = "There is at least one repository that does not exist or is not accessible to the parent installation."
		return answer{}, refuse
	}
	for name, level := range in.Permissions {
		if !grants(i.permissions, name+":"+level) {
			refuse.message = "The permissions requested are not granted to this installation."
			return answer{}, refuse
		}
	}
	if in.Permissions != nil {
		t.permissions = maps.Clone(in.Permissions)
		t.permissions["metadata"] = "read"
	}
	s.tokens[t.value] = t
	body := object{"token": t.value, "expires_at": stamp(t.expires), "permissions": t.permissions, "repository_selection": i.selection()}
	if t.repos != nil {
		body["repository_selection"] = "selected"
		body["repositories"] = s.repoList(t.repos)
	}
	return created(body)
}

func (s *Server) repoList(ids []int64) []any {
	out := []any{}
	for _, id := range ids {
		if r := s.repos[id]; r != nil {
			out = append(out, r.json())
		}
	}
	return out
}

func (s *Server) revokeToken(c *call) (answer, error) {
	delete(s.tokens, c.tok.value)
	return answer{status: http.StatusNoContent}, nil
}

func (s *Server) installationRepositories(c *call) (answer, error) {
	list := []any{}
	for _, r := range c.tok.inst.all() {
		if c.tok.reaches(r) {
			list = append(list, r.json())
		}
	}
	return c.pageIn("repositories", list, object{"repository_selection": c.tok.inst.selection()})
}
