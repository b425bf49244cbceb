package gitlabtest

import "time"

// SetMember gives a person a level in the project; NoAccess takes it away.
func (p *Project) SetMember(username string, level Level) {
	p.SetMemberUntil(username, level, time.Time{})
}

// SetMemberUntil is SetMember with an end.
func (p *Project) SetMemberUntil(username string, level Level, expires time.Time) {
	p.s.mu.Lock()
	defer p.s.unlock()
	p.members = setMember(p.members, p.s.person(username), level, expires)
}

// Protect switches the protection of a branch; the default branch begins with
// it. Pushes to it need a maintainer, and git cannot force or delete it. The
// methods for people may, as whoever has unprotected it for a moment.
func (p *Project) Protect(branch string, on bool) {
	p.s.mu.Lock()
	defer p.s.unlock()
	p.protected[branch] = on
}

// member is what somebody has in the project, by themselves or from its
// groups; nil for nothing.
func (p *Project) member(u *user) *member {
	if u == nil {
		return nil
	}
	return higher(p.space.level(u, p.s.now()), p.members, u, p.s.now())
}

// level is member's, and all for administrators.
func (p *Project) level(u *user) Level {
	if u != nil && u.admin {
		return Owner
	}
	if m := p.member(u); m != nil {
		return m.level
	}
	return NoAccess
}

// visible reports whether somebody sees the project; nobody is nil. Bots are
// external: what is internal they see as members only.
func (p *Project) visible(u *user) bool {
	return p.visibility == "public" || p.level(u) > NoAccess || p.visibility == "internal" && u != nil && !u.bot
}

// readsCode reports whether somebody may read the repository: Guests of a
// private project may not. https://docs.gitlab.com/user/permissions/#repository
func (p *Project) readsCode(u *user) bool {
	return p.visible(u) && (p.visibility != "private" || p.level(u) >= Reporter)
}

// pushes reports whether somebody may move a branch; "" is any that is not
// protected.
func (p *Project) pushes(u *user, branch string) bool {
	need := Developer
	if p.protected[branch] {
		need = Maintainer
	}
	return p.level(u) >= need && !p.archived
}
