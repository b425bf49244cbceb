package gitlabtest

import (
	"crypto/sha1"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Note is a comment on a merge request or a commit, or what GitLab itself says
// there.
type Note struct {
	ID         int64
	Discussion string // the thread's id; a single comment has one, too
	Type       string // "", DiscussionNote, DiffNote or LegacyDiffNote
	Author     string
	Body       string
	System     bool
	Path       string // of a note at a line
	Line       int    // in the new file; 0 at removed lines
	SHA        string // of the commit; empty on a merge request
	Resolvable bool
	Resolved   bool
	ResolvedBy string
	Awards     []Award
	At         time.Time
	Updated    time.Time
}

type note struct {
	Note
	p          *Project
	m          *Merge // nil on a commit
	by         *user
	position   object // of a DiffNote
	lineCode   string
	lineType   string // of a LegacyDiffNote: new or old
	resolver   *user
	resolvedAt time.Time
	eventID    int64
	awards     []*award
}

// maxNote is in characters: https://docs.gitlab.com/api/notes/
const maxNote = 1_000_000

var noteRoutes = map[string]route{
	"GET /projects/{id}/merge_requests/{iid}/notes":           {who: onCode, handle: (*Server).listNotes},
	"POST /projects/{id}/merge_requests/{iid}/notes":          {who: onCode, handle: (*Server).createNote},
	"GET /projects/{id}/merge_requests/{iid}/notes/{note}":    {who: onCode, handle: (*Server).getNote},
	"PUT /projects/{id}/merge_requests/{iid}/notes/{note}":    {who: onCode, handle: (*Server).updateNote},
	"DELETE /projects/{id}/merge_requests/{iid}/notes/{note}": {who: onCode, handle: (*Server).deleteNote},
	"GET /projects/{id}/repository/commits/{sha}/comments":    {who: onCode, handle: (*Server).listCommitComments},
	"POST /projects/{id}/repository/commits/{sha}/comments":   {who: onCode, handle: (*Server).createCommitComment},
	"GET /projects/{id}/events":                               {who: onProject, handle: (*Server).listEvents},
}

// Notes lists the notes of the merge request, oldest first, those in threads
// and GitLab's own too.
func (m *Merge) Notes() []Note { return m.p.notesWhere(func(n *note) bool { return n.m == m }) }

// CommitNotes lists the notes on a commit, oldest first.
func (p *Project) CommitNotes(sha string) []Note {
	return p.notesWhere(func(n *note) bool { return n.SHA == sha })
}

func (p *Project) notesWhere(want func(*note) bool) []Note {
	p.s.mu.Lock()
	defer p.s.unlock()
	var out []Note
	for _, n := range p.notes {
		if want(n) {
			out = append(out, n.shown())
		}
	}
	return out
}

func (n *note) shown() Note {
	one := n.Note
	one.Resolvable = n.resolvable()
	if n.resolver != nil {
		one.ResolvedBy = n.resolver.username
	}
	for _, a := range n.awards {
		one.Awards = append(one.Awards, Award{ID: a.id, Name: a.name, User: a.by.username})
	}
	return one
}

// Comment is a person writing on the merge request. Quick actions of GitLab in
// it are carried out and taken away; a comment of nothing else is never made,
// which is an error here.
func (m *Merge) Comment(username, body string) (Note, error) {
	var made Note
	err := m.act(username, func(u *user) error {
		n, err := m.write(u, body, &note{})
		if err != nil {
			return err
		}
		if n.ID == 0 {
			return fmt.Errorf("GitLab took %q for its own quick actions, and made no note: %s", body, strings.Join(n.said(m), " "))
		}
		made = n.shown()
		return nil
	})
	return made, err
}

// CommentCommit is a person writing on a commit.
func (p *Project) CommentCommit(username, sha, body string) (Note, error) {
	p.s.mu.Lock()
	defer p.s.unlock()
	if p.dir.Resolve(sha) != sha {
		return Note{}, fmt.Errorf("%s has no commit %s", p.fullPath(), sha)
	}
	n := p.addNote(&note{by: p.s.person(username), Note: Note{SHA: sha, Body: body}})
	n.tell("create")
	return n.shown(), nil
}

// EditNote is somebody changing a note of theirs; a different body is told of.
func (p *Project) EditNote(username string, id int64, body string) error {
	p.s.mu.Lock()
	defer p.s.unlock()
	n := p.findNote(id)
	if n == nil {
		return fmt.Errorf("%s has no note %d", p.fullPath(), id)
	}
	n.change(body)
	return nil
}

// DeleteNote is somebody deleting a note; nobody is told.
func (p *Project) DeleteNote(id int64) error {
	p.s.mu.Lock()
	defer p.s.unlock()
	n := p.findNote(id)
	if n == nil {
		return fmt.Errorf("%s has no note %d", p.fullPath(), id)
	}
	p.dropNote(n)
	return nil
}

func (p *Project) findNote(id int64) *note {
	for _, n := range p.notes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

func (p *Project) dropNote(n *note) {
	p.notes = slices.DeleteFunc(p.notes, func(o *note) bool { return o == n })
}

// write makes a note on the merge request, after its quick actions; a note
// without an id was nothing but those.
func (m *Merge) write(u *user, body string, n *note) (*note, error) {
	n.m, n.by = m, u
	text, actions := m.p.s.extract(body)
	if err := m.run(u, actions); err != nil {
		return nil, err
	}
	if len(actions) > 0 && strings.TrimSpace(text) == "" {
		return n, nil
	}
	n.Body = body
	if len(actions) > 0 {
		n.Body = text
	}
	m.p.addNote(n)
	m.changed = n.At
	n.tell("create")
	return n, nil
}

// addNote keeps a note. Its thread is its own, unless it is a reply.
func (p *Project) addNote(n *note) *note {
	n.p, n.ID, n.eventID, n.Author, n.At, n.Updated = p, p.s.id(), p.s.id(), n.by.username, p.s.now(), p.s.now()
	if n.Discussion == "" {
		n.Discussion = fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "discussion of note %d", n.ID)))
	}
	p.notes = append(p.notes, n)
	return n
}

// systemNote is what GitLab writes into the merge request by itself. Nobody is
// told: app/services/notes/post_process_service.rb.
func (m *Merge) systemNote(u *user, body string) {
	m.p.addNote(&note{m: m, by: u, Note: Note{Body: body, System: true}})
}

func (n *note) change(body string) {
	if n.Body == body {
		return
	}
	n.Body, n.Updated = body, n.p.s.now()
	n.tell("update")
}

func (n *note) resolvable() bool {
	return n.m != nil && !n.System && (n.Type == "DiscussionNote" || n.Type == "DiffNote")
}

func (m *Merge) userNotes() int {
	count := 0
	for _, n := range m.p.notes {
		if n.m == m && !n.System {
			count++
		}
	}
	return count
}

// json: lib/api/entities/note.rb
func (n *note) json() object {
	s := n.p.s
	out := object{
		"id": n.ID, "type": orNull(n.Type), "body": n.Body, "attachment": nil, "author": s.userJSON(n.by), "created_at": stamp(n.At),
		"updated_at": stamp(n.Updated), "system": n.System, "noteable_id": nil, "noteable_type": "Commit", "project_id": n.p.id,
		"resolvable": n.resolvable(), "confidential": false, "internal": false, "imported": false, "imported_from": "none",
		"noteable_iid": nil, "commands_changes": object{},
	}
	if n.m != nil {
		out["noteable_id"], out["noteable_iid"], out["noteable_type"] = n.m.id, n.m.iid, "MergeRequest"
	}
	if n.Type == "DiffNote" {
		out["position"] = n.position
		if n.m != nil {
			out["commit_id"] = nil
		}
	}
	if n.resolvable() {
		out["resolved"], out["resolved_by"], out["resolved_at"] = n.Resolved, s.userJSON(n.resolver), stamp(n.resolvedAt)
	}
	return out
}

func (n *note) web() string {
	if n.m != nil {
		return fmt.Sprintf("%s#note_%d", n.m.web(), n.ID)
	}
	return fmt.Sprintf("%s/-/commit/%s#note_%d", n.p.web(), n.SHA, n.ID)
}

// tell sends the webhook:
// https://docs.gitlab.com/user/project/integrations/webhook_events/#comment-events
func (n *note) tell(action string) { n.p.s.deliver(n.p, noteHook, n.payload(action)) }

func (n *note) payload(action string) object {
	s := n.p.s
	attributes := object{
		"id": n.ID, "note": n.Body, "description": n.Body, "noteable_type": "Commit", "author_id": n.by.id, "created_at": hookStamp(n.At),
		"updated_at": hookStamp(n.Updated), "project_id": n.p.id, "attachment": nil, "line_code": orNull(n.lineCode), "commit_id": orNull(n.SHA),
		"noteable_id": nil, "system": n.System, "st_diff": nil, "action": action, "url": n.web(), "discussion_id": n.Discussion, "type": orNull(n.Type),
		"internal": false, "position": nil, "original_position": nil, "change_position": nil, "resolved_at": hookStamp(n.resolvedAt),
		"resolved_by_id": nil, "resolved_by_push": nil, "updated_by_id": nil,
	}
	if n.position != nil {
		attributes["position"], attributes["original_position"] = n.position, n.position
	}
	payload := object{
		"object_kind": "note", "event_type": "note", "user": s.hookUser(n.by), "project_id": n.p.id, "project": n.p.hookJSON(),
		"object_attributes": attributes, "repository": n.p.hookRepositoryShort(),
	}
	if n.m != nil {
		attributes["noteable_type"], attributes["noteable_id"] = "MergeRequest", n.m.id
		payload["merge_request"] = n.m.attributes()
	} else if commit, err := n.p.hookCommitShort(n.SHA); err == nil {
		payload["commit"] = commit
	}
	return payload
}
