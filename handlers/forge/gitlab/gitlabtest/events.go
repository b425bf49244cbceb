package gitlabtest

import (
	"slices"
	"strings"
	"time"
)

// listEvents lists what people commented, newest first; the double keeps no
// other events. after and before are days, themselves not among them:
// https://docs.gitlab.com/api/events/#list-all-visible-events-for-a-project
func (s *Server) listEvents(c *call) (answer, error) {
	if c.user == nil {
		return answer{}, unauthorized()
	}
	list := []any{}
	for _, n := range slices.Backward(c.proj.notes) {
		switch target := strings.ToLower(c.text("target_type")); {
		case n.System, c.has("action") && c.text("action") != "commented", target != "" && target != "note":
			continue
		case c.has("after") && n.At.Before(c.moment("after").Add(24*time.Hour)), c.has("before") && !n.At.Before(c.moment("before")):
			continue
		}
		list = append(list, n.event())
	}
	if c.text("sort") == "asc" {
		slices.Reverse(list)
	}
	return c.page(list)
}

// event: lib/api/entities/event.rb
func (n *note) event() object {
	s := n.p.s
	kind := n.Type
	if kind == "" {
		kind = "Note"
	}
	out := object{
		"id": n.eventID, "project_id": n.p.id, "action_name": "commented on", "target_id": n.ID, "target_iid": n.ID, "target_type": kind,
		"author_id": n.by.id, "target_title": nil, "created_at": stamp(n.At), "note": n.json(), "imported": false, "imported_from": "none",
		"author": s.userJSON(n.by), "author_username": n.by.username,
	}
	if n.m != nil {
		out["target_title"] = n.m.title
	}
	return out
}
