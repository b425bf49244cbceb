package gitlabtest

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// writer refuses who may not write notes.
func (c *call) writer() error {
	switch {
	case c.user == nil:
		return unauthorized()
	case c.proj.archived:
		return forbidden()
	}
	return nil
}

// noteBody checks the text as app/models/note.rb does; the message is the
// error hash as Ruby prints it.
func (c *call) noteBody(param string) (string, error) {
	if !c.has(param) {
		return "", invalid(param + " is missing")
	}
	body := c.text(param)
	switch {
	case strings.TrimSpace(body) == "":
		return "", badRequest(`Note {:note=>["can't be blank"]}`)
	case utf8.RuneCountInString(body) > maxNote:
		return "", badRequest(`Note {:note=>["is too long (maximum is 1000000 characters)"]}`)
	}
	return body, nil
}

// note is the path's, of the path's merge request, and of its thread if it
// names one.
func (c *call) note() (*note, error) {
	m, err := c.merge()
	if err != nil {
		return nil, err
	}
	n := c.proj.findNote(c.number("note"))
	if n == nil || n.m != m || c.vars["discussion"] != "" && n.Discussion != c.vars["discussion"] {
		return nil, notFound("")
	}
	return n, nil
}

// ownNote is note, of which the caller is the author or a Maintainer:
// app/policies/note_policy.rb
func (c *call) ownNote() (*note, error) {
	n, err := c.note()
	switch {
	case err != nil:
		return nil, err
	case c.user == nil:
		return nil, unauthorized()
	case n.System, n.by != c.user && c.proj.level(c.user) < Maintainer:
		return nil, forbidden()
	}
	return n, nil
}

// createNote: https://docs.gitlab.com/api/notes/#create-new-merge-request-note
// A text of quick actions only is answered with 202 and without a note.
func (s *Server) createNote(c *call) (answer, error) {
	if err := c.writer(); err != nil {
		return answer{}, err
	}
	if err := s.limitNotes(c); err != nil {
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
	n, err := m.write(c.user, body, &note{})
	if err != nil {
		return answer{}, badRequest(err.Error())
	}
	if n.ID == 0 {
		return answer{status: http.StatusAccepted, body: object{"commands_changes": object{}, "summary": n.said(m)}}, nil
	}
	return created(n.json())
}

func (s *Server) getNote(c *call) (answer, error) {
	n, err := c.note()
	if err != nil {
		return answer{}, err
	}
	return ok(n.json())
}

func (s *Server) updateNote(c *call) (answer, error) {
	n, err := c.ownNote()
	if err != nil {
		return answer{}, err
	}
	if c.has("body") && strings.TrimSpace(c.text("body")) == "" {
		return answer{}, invalid("body is empty")
	}
	body, err := c.noteBody("body")
	if err != nil {
		return answer{}, err
	}
	text, actions := s.extract(body)
	if err := n.m.run(c.user, actions); err != nil {
		return answer{}, badRequest(err.Error())
	}
	if len(actions) > 0 {
		body = text
	}
	if strings.TrimSpace(body) == "" { // app/services/notes/update_service.rb deletes what only_commands leaves
		c.proj.dropNote(n)
		return ok(n.json())
	}
	n.change(body)
	return ok(n.json())
}

func (s *Server) deleteNote(c *call) (answer, error) {
	n, err := c.ownNote()
	if err != nil {
		return answer{}, err
	}
	c.proj.dropNote(n)
	return noContent()
}

// listNotes: https://docs.gitlab.com/api/notes/#list-all-merge-request-notes
// newest first unless asked otherwise.
func (s *Server) listNotes(c *call) (answer, error) {
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	var found []*note
	for _, n := range c.proj.notes {
		if n.m == m && (c.text("activity_filter") != "only_comments" || !n.System) {
			found = append(found, n)
		}
	}
	if c.text("order_by") == "updated_at" {
		slices.SortStableFunc(found, func(a, b *note) int { return a.Updated.Compare(b.Updated) })
	}
	if c.text("sort") != "asc" {
		slices.Reverse(found)
	}
	list := []any{}
	for _, n := range found {
		list = append(list, n.json())
	}
	return c.page(list)
}
