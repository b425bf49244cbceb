package gitlabtest

import "strings"

// place reads the position of a DiffNote and finds its line. A line stands in
// the diff between the position's commits with its numbers on both sides; a
// line that is the same on both needs both. Lines of a changed file outside
// its hunks count too: lib/gitlab/diff/lines_unfolder.rb
func (c *call) place(n *note) error {
	in := c.fields("position")
	var missing []string
	for _, name := range []string{"base_sha", "start_sha", "head_sha", "position_type"} {
		if in[name] == nil {
			missing = append(missing, "position["+name+"] is missing")
		}
	}
	if missing != nil {
		return invalid(strings.Join(missing, ", "))
	}
	at := &call{params: in}
	pos := object{"base_sha": at.text("base_sha"), "start_sha": at.text("start_sha"), "head_sha": at.text("head_sha"), "position_type": at.text("position_type"),
		"old_path": orNull(at.text("old_path")), "new_path": orNull(at.text("new_path")), "old_line": nil, "new_line": nil, "line_range": in["line_range"]}
	for _, name := range []string{"old_line", "new_line"} {
		if at.has(name) {
			pos[name] = at.integer(name)
		}
	}
	n.Type, n.position = "DiffNote", pos
	n.Path, n.Line = at.text("new_path"), int(at.integer("new_line"))
	if n.Path == "" {
		n.Path = at.text("old_path")
	}
	switch at.text("position_type") {
	case "file":
		return nil
	case "text":
	default:
		return invalid("position[position_type] does not have a valid value")
	}
	old, now := int(at.integer("old_line")), int(at.integer("new_line"))
	if old == 0 && now == 0 {
		return badRequest(`Note {:line_code=>["can't be blank", "must be a valid line code"], :position=>["is incomplete"]}`)
	}
	base, head := c.proj.dir.Resolve(at.text("base_sha")), c.proj.dir.Resolve(at.text("head_sha"))
	if base != "" && head != "" && c.proj.dir.Resolve(at.text("start_sha")) != "" {
		for _, f := range c.proj.diff(base, head, 1<<20) {
			if at.has("new_path") && f.newPath != at.text("new_path") || !at.has("new_path") && f.oldPath != at.text("old_path") {
				continue
			}
			for _, l := range f.lines {
				if l.old == old && l.new == now {
					n.lineCode = lineCode(f.newPath, l)
					return nil
				}
			}
		}
	}
	return badRequest(`Note {:line_code=>["can't be blank", "must be a valid line code"]}`)
}
