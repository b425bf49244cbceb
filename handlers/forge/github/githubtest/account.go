package githubtest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// object is a JSON object on its way out.
type object = map[string]any

// account is a user or an organisation.
type account struct {
	id    int64
	login string
	org   bool
	token string // of a user: what git's Basic auth and the API take
}

// AddUser makes a person, if there is none of that login, and returns their
// personal access token. The other methods make the people they name.
func (s *Server) AddUser(login string) (token string) {
	s.mu.Lock()
	defer s.unlock()
	return s.account(login, false).token
}

// AddOrg makes an organisation, if there is none of that login.
func (s *Server) AddOrg(login string) {
	s.mu.Lock()
	defer s.unlock()
	s.account(login, true)
}

// account finds or makes one.
func (s *Server) account(login string, org bool) *account {
	key := strings.ToLower(login)
	if a := s.accounts[key]; a != nil {
		return a
	}
	a := &account{id: s.id(), login: login, org: org}
	if !org {
		a.token = "ghp_" + random(36)
		s.tokens[a.token] = &token{value: a.token, kind: userToken, user: a, classic: true}
	}
	s.accounts[key] = a
	return a
}

func (s *Server) user(login string) *account {
	if login == "" {
		login = "octocat"
	}
	return s.account(login, false)
}

func (s *Server) userJSON(a *account) any {
	if a == nil {
		return nil
	}
	kind := "User"
	if a.org {
		kind = "Organization"
	}
	api, web := s.API+"/users/"+a.login, s.URL+"/"+a.login
	if strings.HasSuffix(a.login, "[bot]") {
		kind, web = "Bot", s.URL+"/apps/"+strings.TrimSuffix(a.login, "[bot]")
	}
	return object{
		"login": a.login, "id": a.id, "node_id": nodeID(kind, a.id), "avatar_url": s.URL + "/avatars/" + fmt.Sprint(a.id),
		"gravatar_id": "", "url": api, "html_url": web, "followers_url": api + "/followers",
		"following_url": api + "/following{/other_user}", "gists_url": api + "/gists{/gist_id}",
		"starred_url": api + "/starred{/owner}{/repo}", "subscriptions_url": api + "/subscriptions",
		"organizations_url": api + "/orgs", "repos_url": api + "/repos", "events_url": api + "/events{/privacy}",
		"received_events_url": api + "/received_events", "type": kind, "site_admin": false,
	}
}

func (s *Server) orgJSON(a *account) object {
	api := s.API + "/orgs/" + a.login
	return object{
		"login": a.login, "id": a.id, "node_id": nodeID("Organization", a.id), "url": api, "repos_url": api + "/repos",
		"events_url": api + "/events", "hooks_url": api + "/hooks", "issues_url": api + "/issues",
		"members_url": api + "/members{/member}", "public_members_url": api + "/public_members{/member}",
		"avatar_url": s.URL + "/avatars/" + fmt.Sprint(a.id), "description": nil,
	}
}

func (a *account) email() string { return fmt.Sprintf("%d+%s@users.noreply.github.com", a.id, a.login) }

func nodeID(kind string, id int64) string {
	return base64.RawStdEncoding.EncodeToString(fmt.Appendf(nil, "%03d:%s%d", len(kind), kind, id))
}

func random(n int) string { return (rand.Text() + rand.Text())[:n] }

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
