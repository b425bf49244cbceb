package gitlabtest

import (
	"slices"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// commit is the path's.
func (c *call) commit() (string, error) {
	sha := c.proj.dir.Resolve(c.vars["sha"])
	if sha == "" {
		return "", notFound("Commit")
	}
	return sha, nil
}

func (p *Project) commitThreads(sha string) []thread {
	return p.threads(func(n *note) bool { return n.SHA == sha })
}

// createCommitComment: https://docs.gitlab.com/api/commits/#post-comment-to-commit
// A line that the commit did not change makes a comment without a line:
// lib/api/commits.rb
func (s *Server) createCommitComment(c *call) (answer, error) {
	if err := c.writer(); err != nil {
		return answer{}, err
	}
	sha, err := c.commit()
	if err != nil {
		return answer{}, err
	}
	body, err := c.noteBody("note")
	if err != nil {
		return answer{}, err
	}
	n := &note{by: c.user, Note: Note{SHA: sha, Body: body}}
	if c.text("path") != "" {
		if err := c.require("line"); err != nil {
			return answer{}, err
		}
		if kind := c.text("line_type"); kind != "new" && kind != "old" && kind != "" {
			return answer{}, invalid("line_type does not have a valid value")
		}
		c.placeInCommit(n)
	}
	c.proj.addNote(n)
	n.tell("create")
	return created(n.commitJSON())
}

// placeInCommit looks for an added line by its new number, or for a removed
// one by its old number.
func (c *call) placeInCommit(n *note) {
	parent := n.SHA + "^"
	if c.proj.dir.Resolve(parent) == "" {
		parent = gitserver.EmptyTree
	}
	old, line := c.text("line_type") == "old", int(c.integer("line"))
	for _, f := range c.proj.diff(parent, n.SHA, 3) {
		if f.newPath != c.text("path") {
			continue
		}
		for _, l := range f.lines {
			if old && l.new == 0 && l.old == line || !old && l.old == 0 && l.new == line {
				n.Type, n.Path, n.lineCode, n.lineType = "LegacyDiffNote", f.newPath, lineCode(f.newPath, l), "new"
				n.Line = line
				if old {
					n.lineType = "old"
				}
				return
			}
		}
	}
}

// commitJSON: lib/api/entities/commit_note.rb
func (n *note) commitJSON() object {
	out := object{"note": n.Body, "path": nil, "line": nil, "line_type": nil, "author": n.p.s.userJSON(n.by), "created_at": stamp(n.At)}
	if n.lineCode != "" {
		out["path"], out["line"] = n.Path, n.Line
		out["line_type"] = orNull(n.lineType)
	}
	return out
}

func (s *Server) listCommitComments(c *call) (answer, error) {
	sha, err := c.commit()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, n := range c.proj.notes {
		if n.SHA == sha {
			list = append(list, n.commitJSON())
		}
	}
	return c.page(list)
}

func (s *Server) listCommitDiscussions(c *call) (answer, error) {
	sha, err := c.commit()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, t := range c.proj.commitThreads(sha) {
		list = append(list, t.json())
	}
	return c.page(list)
}

// createCommitDiscussion: https://docs.gitlab.com/api/discussions/#create-a-new-commit-thread
func (s *Server) createCommitDiscussion(c *call) (answer, error) {
	if err := c.writer(); err != nil {
		return answer{}, err
	}
	sha, err := c.commit()
	if err != nil {
		return answer{}, err
	}
	body, err := c.noteBody("body")
	if err != nil {
		return answer{}, err
	}
	n := &note{by: c.user, Note: Note{SHA: sha, Body: body, Type: "DiscussionNote"}}
	if c.has("position") {
		if err := c.place(n); err != nil {
			return answer{}, err
		}
	}
	c.proj.addNote(n)
	n.tell("create")
	return created(thread{n}.json())
}

func (c *call) commitThread() (thread, error) {
	sha, err := c.commit()
	if err != nil {
		return nil, err
	}
	t := c.proj.threadWhere(c.vars["discussion"], func(n *note) bool { return n.SHA == sha })
	if t == nil {
		return nil, notFound("Discussion")
	}
	return t, nil
}

func (s *Server) getCommitDiscussion(c *call) (answer, error) {
	t, err := c.commitThread()
	if err != nil {
		return answer{}, err
	}
	return ok(t.json())
}

func (s *Server) replyCommitNote(c *call) (answer, error) {
	if err := c.writer(); err != nil {
		return answer{}, err
	}
	t, err := c.commitThread()
	if err != nil {
		return answer{}, err
	}
	body, err := c.noteBody("body")
	if err != nil {
		return answer{}, err
	}
	if t.individual() {
		t[0].Type = "DiscussionNote"
	}
	n := c.proj.addNote(&note{by: c.user, Note: Note{SHA: t[0].SHA, Body: body, Type: "DiscussionNote", Discussion: t[0].Discussion}})
	n.tell("create")
	return created(n.json())
}

// ownCommitNote is the path's, of the caller's own.
func (c *call) ownCommitNote() (*note, error) {
	t, err := c.commitThread()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(t, func(n *note) bool { return n.ID == c.number("note") })
	switch {
	case i < 0:
		return nil, notFound("")
	case c.user == nil:
		return nil, unauthorized()
	case t[i].by != c.user && c.proj.level(c.user) < Maintainer:
		return nil, forbidden()
	}
	return t[i], nil
}

func (s *Server) updateCommitNote(c *call) (answer, error) {
	n, err := c.ownCommitNote()
	if err != nil {
		return answer{}, err
	}
	body, err := c.noteBody("body")
	if err != nil {
		return answer{}, err
	}
	n.change(body)
	return ok(n.json())
}

func (s *Server) deleteCommitNote(c *call) (answer, error) {
	n, err := c.ownCommitNote()
	if err != nil {
		return answer{}, err
	}
	c.proj.dropNote(n)
	return noContent()
}
