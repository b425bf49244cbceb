package gitlabtest

import (
	"fmt"
	"slices"
	"time"
)

// A Discussion is a thread, or a single note.
type Discussion struct {
	ID         string
	Individual bool // a single note, that no thread was made of
	Resolved   bool // every note that can be is
	Notes      []Note
}

var discussionRoutes = map[string]route{
	"GET /projects/{id}/merge_requests/{iid}/discussions":                              {who: onCode, handle: (*Server).listDiscussions},
	"POST /projects/{id}/merge_requests/{iid}/discussions":                             {who: onCode, handle: (*Server).createDiscussion},
	"GET /projects/{id}/merge_requests/{iid}/discussions/{discussion}":                 {who: onCode, handle: (*Server).getDiscussion},
	"PUT /projects/{id}/merge_requests/{iid}/discussions/{discussion}":                 {who: onCode, handle: (*Server).resolveDiscussion},
	"POST /projects/{id}/merge_requests/{iid}/discussions/{discussion}/notes":          {who: onCode, handle: (*Server).replyNote},
	"PUT /projects/{id}/merge_requests/{iid}/discussions/{discussion}/notes/{note}":    {who: onCode, handle: (*Server).updateDiscussionNote},
	"DELETE /projects/{id}/merge_requests/{iid}/discussions/{discussion}/notes/{note}": {who: onCode, handle: (*Server).deleteNote},

	"GET /projects/{id}/repository/commits/{sha}/discussions":                              {who: onCode, handle: (*Server).listCommitDiscussions},
	"POST /projects/{id}/repository/commits/{sha}/discussions":                             {who: onCode, handle: (*Server).createCommitDiscussion},
	"GET /projects/{id}/repository/commits/{sha}/discussions/{discussion}":                 {who: onCode, handle: (*Server).getCommitDiscussion},
	"POST /projects/{id}/repository/commits/{sha}/discussions/{discussion}/notes":          {who: onCode, handle: (*Server).replyCommitNote},
	"PUT /projects/{id}/repository/commits/{sha}/discussions/{discussion}/notes/{note}":    {who: onCode, handle: (*Server).updateCommitNote},
	"DELETE /projects/{id}/repository/commits/{sha}/discussions/{discussion}/notes/{note}": {who: onCode, handle: (*Server).deleteCommitNote},
}

// Discussions lists the threads and single notes of the merge request, oldest
// first.
func (m *Merge) Discussions() []Discussion {
	m.p.s.mu.Lock()
	defer m.p.s.unlock()
	return shownThreads(m.p.threads(func(n *note) bool { return n.m == m }))
}

// CommitDiscussions lists the threads and single notes of a commit.
func (p *Project) CommitDiscussions(sha string) []Discussion {
	p.s.mu.Lock()
	defer p.s.unlock()
	return shownThreads(p.threads(func(n *note) bool { return n.SHA == sha }))
}

func shownThreads(threads []thread) []Discussion {
	var out []Discussion
	for _, t := range threads {
		d := Discussion{ID: t[0].Discussion, Individual: t.individual(), Resolved: t.resolvable() && t.resolved()}
		for _, n := range t {
			d.Notes = append(d.Notes, n.shown())
		}
		out = append(out, d)
	}
	return out
}

// Reply is a person answering in a thread, which a single note becomes by it.
func (m *Merge) Reply(username, discussion, body string) (Note, error) {
	var made Note
	err := m.act(username, func(u *user) error {
		t := m.thread(discussion)
		if t == nil {
			return fmt.Errorf("merge request !%d has no thread %s", m.iid, discussion)
		}
		n, err := m.reply(u, t, body)
		if err == nil {
			made = n.shown()
		}
		return err
	})
	return made, err
}

// Resolve is a person who ends a thread, or opens it again.
func (m *Merge) Resolve(username, discussion string, resolved bool) error {
	return m.act(username, func(u *user) error {
		t := m.thread(discussion)
		if t == nil || !t.resolvable() {
			return fmt.Errorf("merge request !%d has no thread %s that can be resolved", m.iid, discussion)
		}
		m.resolve(u, t, resolved)
		return nil
	})
}

// thread is the notes of one discussion, oldest first; never empty.
type thread []*note

func (p *Project) threads(want func(*note) bool) []thread {
	var out []thread
	for _, n := range p.notes {
		if !want(n) {
			continue
		}
		i := slices.IndexFunc(out, func(t thread) bool { return t[0].Discussion == n.Discussion })
		if i < 0 {
			out, i = append(out, nil), len(out)
		}
		out[i] = append(out[i], n)
	}
	return out
}

func (p *Project) threadWhere(id string, want func(*note) bool) thread {
	for _, t := range p.threads(want) {
		if t[0].Discussion == id {
			return t
		}
	}
	return nil
}

func (m *Merge) thread(id string) thread {
	return m.p.threadWhere(id, func(n *note) bool { return n.m == m })
}

func (t thread) individual() bool { return t[0].Type == "" }
func (t thread) resolvable() bool { return slices.ContainsFunc(t, (*note).resolvable) }
func (t thread) resolved() bool {
	return !slices.ContainsFunc(t, func(n *note) bool { return n.resolvable() && !n.Resolved })
}

// json: lib/api/entities/discussion.rb
func (t thread) json() object {
	notes := []any{}
	for _, n := range t {
		notes = append(notes, n.json())
	}
	return object{"id": t[0].Discussion, "individual_note": t.individual(), "notes": notes}
}

func (m *Merge) unresolved() int {
	count := 0
	for _, t := range m.p.threads(func(n *note) bool { return n.m == m }) {
		if t.resolvable() && !t.resolved() {
			count++
		}
	}
	return count
}

// reply makes a thread of a single note first.
func (m *Merge) reply(u *user, t thread, body string) (*note, error) {
	if t.individual() {
		t[0].Type = "DiscussionNote"
	}
	kind := t[0].Type
	return m.write(u, body, &note{position: t[0].position, lineCode: t[0].lineCode, Note: Note{Discussion: t[0].Discussion, Type: kind, Path: t[0].Path, Line: t[0].Line}})
}

// resolve sets all notes of a thread. The last open one is told of: "All
// threads are resolved on the merge request".
// https://docs.gitlab.com/user/project/integrations/webhook_events/#merge-request-events
func (m *Merge) resolve(u *user, t thread, resolved bool) {
	open := m.unresolved()
	for _, n := range t {
		if !n.resolvable() || n.Resolved == resolved {
			continue
		}
		n.Resolved, n.Updated, n.resolver, n.resolvedAt = resolved, m.p.s.now(), nil, time.Time{}
		if resolved {
			n.resolver, n.resolvedAt = u, n.Updated
		}
	}
	if open > 0 && m.unresolved() == 0 {
		m.systemNote(u, "resolved all threads")
		m.tell(u, "update", nil)
	}
}

func (s *Server) listDiscussions(c *call) (answer, error) {
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, t := range c.proj.threads(func(n *note) bool { return n.m == m }) {
		list = append(list, t.json())
	}
	return c.page(list)
}

// mergeThread is the path's.
func (c *call) mergeThread() (*Merge, thread, error) {
	m, err := c.merge()
	if err != nil {
		return nil, nil, err
	}
	t := m.thread(c.vars["discussion"])
	if t == nil {
		return nil, nil, notFound("Discussion")
	}
	return m, t, nil
}

func (s *Server) getDiscussion(c *call) (answer, error) {
	_, t, err := c.mergeThread()
	if err != nil {
		return answer{}, err
	}
	return ok(t.json())
}

// createDiscussion: https://docs.gitlab.com/api/discussions/#create-a-new-thread-in-the-merge-request-diff
func (s *Server) createDiscussion(c *call) (answer, error) {
	if err := c.writer(); err != nil {
		return answer{}, err
	}
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	body, err := c.noteBody("body")
	if err != nil {
		return answer{}, err
	}
	n := &note{Note: Note{Type: "DiscussionNote"}}
	if c.has("position") {
		if err := c.place(n); err != nil {
			return answer{}, err
		}
	}
	if n, err = m.write(c.user, body, n); err != nil {
		return answer{}, badRequest(err.Error())
	}
	if n.ID == 0 {
		return answer{status: 202, body: object{"commands_changes": object{}, "summary": n.said(m)}}, nil
	}
	return created(m.thread(n.Discussion).json())
}

func (s *Server) replyNote(c *call) (answer, error) {
	if err := c.writer(); err != nil {
		return answer{}, err
	}
	m, t, err := c.mergeThread()
	if err != nil {
		return answer{}, err
	}
	body, err := c.noteBody("body")
	if err != nil {
		return answer{}, err
	}
	n, err := m.reply(c.user, t, body)
	if err != nil {
		return answer{}, badRequest(err.Error())
	}
	if n.ID == 0 {
		return answer{status: 202, body: object{"commands_changes": object{}, "summary": n.said(m)}}, nil
	}
	return created(n.json())
}

// resolveDiscussion: https://docs.gitlab.com/api/discussions/#resolve-a-merge-request-thread
// Developers and the author of the merge request may; what cannot be resolved
// is forbidden, too: lib/api/helpers/notes_helpers.rb
func (s *Server) resolveDiscussion(c *call) (answer, error) {
	m, t, err := c.mergeThread()
	if err != nil {
		return answer{}, err
	}
	resolved, given := c.boolean("resolved")
	switch {
	case !given:
		return answer{}, invalid("resolved is missing")
	case c.user == nil:
		return answer{}, unauthorized()
	case !t.resolvable(), c.proj.level(c.user) < Developer && c.user != m.by:
		return answer{}, forbidden()
	}
	m.resolve(c.user, t, resolved)
	return ok(t.json())
}

// updateDiscussionNote changes a text or resolves one note, not both.
func (s *Server) updateDiscussionNote(c *call) (answer, error) {
	resolved, given := c.boolean("resolved")
	if given == c.has("body") {
		return answer{}, invalid("body, resolved are mutually exclusive")
	}
	if !given {
		return s.updateNote(c)
	}
	n, err := c.note()
	switch {
	case err != nil:
		return answer{}, err
	case c.user == nil:
		return answer{}, unauthorized()
	case c.proj.level(c.user) < Developer && c.user != n.m.by:
		return answer{}, forbidden()
	case !n.resolvable():
		return answer{}, badRequest("Note is not resolvable")
	}
	n.m.resolve(c.user, thread{n}, resolved)
	return ok(n.json())
}
