package gitlabtest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// Level is an access level: https://docs.gitlab.com/api/access_requests/#valid-access-levels
type Level int

// The levels, in rising order. NoAccess takes a membership away.
const (
	NoAccess   Level = 0
	Guest      Level = 10
	Planner    Level = 15
	Reporter   Level = 20
	Developer  Level = 30
	Maintainer Level = 40
	Owner      Level = 50
)

// user is a person, or the bot of a project's or group's token.
type user struct {
	id       int64
	username string
	name     string
	state    string // active, blocked or deactivated
	admin    bool
	bot      bool
	created  time.Time
	space    *namespace // nil for bots
	token    *Token     // the one that PushURL uses, scope api
}

func (u *user) email() string { return u.username + "@example.com" }

// member is somebody in a group or project.
type member struct {
	user    *user
	level   Level
	expires time.Time // zero: never
}

// namespace is a user's or a group's place for projects.
type namespace struct {
	id         int64
	user       *user // nil for groups
	name, path string
	parent     *namespace
	visibility string
	members    []*member
	hooks      []*hook
	created    time.Time
}

func (n *namespace) fullPath() string {
	if n.parent == nil {
		return n.path
	}
	return n.parent.fullPath() + "/" + n.path
}

func (n *namespace) fullName() string {
	if n.parent == nil {
		return n.name
	}
	return n.parent.fullName() + " / " + n.name
}

func (n *namespace) within(g *namespace) bool {
	for ; n != nil; n = n.parent {
		if n == g {
			return true
		}
	}
	return false
}

// AddUser makes a person, if there is none of that username, and returns a
// personal access token of theirs with all scopes. The other methods make the
// people they name.
func (s *Server) AddUser(username string) (token string) {
	s.mu.Lock()
	defer s.unlock()
	return s.person(username).token.Value
}

// AddAdmin is AddUser for an administrator of the server.
func (s *Server) AddAdmin(username string) (token string) {
	s.mu.Lock()
	defer s.unlock()
	u := s.person(username)
	u.admin = true
	return u.token.Value
}

// Block keeps a person out until Unblock.
func (s *Server) Block(username string) { s.setState(username, "blocked") }

// Unblock lets a blocked person in again.
func (s *Server) Unblock(username string) { s.setState(username, "active") }

func (s *Server) setState(username, state string) {
	s.mu.Lock()
	defer s.unlock()
	s.person(username).state = state
}

// UserID is the number of a person.
func (s *Server) UserID(username string) int64 {
	s.mu.Lock()
	defer s.unlock()
	return s.person(username).id
}

func (s *Server) findUser(username string) *user {
	for _, u := range s.users {
		if strings.EqualFold(u.username, username) {
			return u
		}
	}
	return nil
}

// person finds or makes one; "" is the person who does what nobody is named
// for.
func (s *Server) person(username string) *user {
	if username == "" {
		username = "root"
	}
	if u := s.findUser(username); u != nil {
		return u
	}
	name := strings.ToUpper(username[:1]) + username[1:]
	u := &user{id: s.id(), username: username, name: name, state: "active", created: s.now()}
	u.admin = username == "root"
	u.space = &namespace{id: s.id(), user: u, name: name, path: username, visibility: "public", created: s.now()}
	u.space.members = []*member{{user: u, level: Owner}}
	s.users = append(s.users, u)
	s.namespaces = append(s.namespaces, u.space)
	u.token = s.newToken(u, "glpat-", TokenOptions{Scopes: []string{"api", "read_repository", "write_repository"}})
	return u
}

// bot is the user of a project's or group's access token:
// https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects
func (s *Server) bot(kind string, id int64, name string) *user {
	u := &user{id: s.id(), username: fmt.Sprintf("%s_%d_bot_%s", kind, id, strings.ToLower(random(32))), name: name, state: "active", bot: true, created: s.now()}
	s.users = append(s.users, u)
	return u
}

// AddGroup makes a group, and those above it, if there are none of that path,
// and answers its number. visibility is private, internal or public; "" is
// private.
func (s *Server) AddGroup(fullPath, visibility string) (id int64, err error) {
	s.mu.Lock()
	defer s.unlock()
	n, err := s.space(fullPath)
	if err != nil {
		return 0, err
	}
	if visibility != "" {
		n.visibility = visibility
	}
	return n.id, nil
}

// SetGroupMember gives a person a level in a group and all below it; NoAccess
// takes it away.
func (s *Server) SetGroupMember(fullPath, username string, level Level) error {
	s.mu.Lock()
	defer s.unlock()
	n, err := s.space(fullPath)
	if err != nil {
		return err
	}
	n.members = setMember(n.members, s.person(username), level, time.Time{})
	return nil
}

func setMember(list []*member, u *user, level Level, expires time.Time) []*member {
	var out []*member
	for _, m := range list {
		if m.user != u {
			out = append(out, m)
		}
	}
	if level != NoAccess {
		out = append(out, &member{u, level, expires})
	}
	return out
}

func (s *Server) findSpace(fullPath string) *namespace {
	for _, n := range s.namespaces {
		if strings.EqualFold(n.fullPath(), fullPath) {
			return n
		}
	}
	return nil
}

// space finds a namespace or makes groups.
func (s *Server) space(fullPath string) (*namespace, error) {
	if n := s.findSpace(fullPath); n != nil {
		return n, nil
	}
	var parent *namespace
	name := fullPath
	if i := strings.LastIndex(fullPath, "/"); i >= 0 {
		above, err := s.space(fullPath[:i])
		if err != nil {
			return nil, err
		}
		parent, name = above, fullPath[i+1:]
	}
	if name == "" || strings.ContainsAny(name, " %") {
		return nil, fmt.Errorf("group %q: write GROUP or GROUP/SUBGROUP", fullPath)
	}
	if parent != nil && parent.user != nil {
		return nil, fmt.Errorf("group %q: %s is a user", fullPath, parent.fullPath())
	}
	n := &namespace{id: s.id(), name: strings.ToUpper(name[:1]) + name[1:], path: name, parent: parent, visibility: "private", created: s.now()}
	s.namespaces = append(s.namespaces, n)
	return n, nil
}

// level is what somebody has in a group, by themselves or from above.
func (n *namespace) level(u *user, now time.Time) (best *member) {
	for ; n != nil; n = n.parent {
		best = higher(best, n.members, u, now)
	}
	return best
}

// higher answers the better of a membership and somebody's in the list;
// expired ones do not count.
func higher(best *member, list []*member, u *user, now time.Time) *member {
	for _, m := range list {
		if m.user == u && (m.expires.IsZero() || now.Before(m.expires)) && (best == nil || m.level > best.level) {
			best = m
		}
	}
	return best
}

// visible reports whether somebody sees a group; nobody is nil.
func (n *namespace) visible(s *Server, u *user) bool {
	switch {
	case n.user != nil || n.visibility == "public", u != nil && n.visibility == "internal" && !u.bot:
		return true
	case u == nil:
		return false
	case u.admin || n.level(u, s.now()) != nil:
		return true
	}
	for _, p := range s.projects { // who is in a project below sees the groups above it
		if p.space.within(n) && p.member(u) != nil {
			return true
		}
	}
	return false
}

// userJSON is the short form of a user, as in lists, notes and merge requests.
func (s *Server) userJSON(u *user) any {
	if u == nil {
		return nil
	}
	return object{
		"id": u.id, "username": u.username, "public_email": "", "name": u.name, "state": u.state, "locked": false,
		"avatar_url": s.avatar(u), "web_url": s.URL + "/" + u.username,
	}
}

func (s *Server) avatar(u *user) string {
	return fmt.Sprintf("%s/uploads/-/system/user/avatar/%d/avatar.png", s.URL, u.id)
}

func random(n int) string { return (rand.Text() + rand.Text())[:n] }

// stamp is a time as the API writes it; null for none.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// day is a date as the API writes it.
func day(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.DateOnly)
}
