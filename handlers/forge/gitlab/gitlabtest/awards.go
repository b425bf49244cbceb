package gitlabtest

import (
	"regexp"
	"slices"
	"time"
)

// Award is an emoji reaction to a note.
type Award struct {
	ID         int64
	Name, User string
}

type award struct {
	id   int64
	name string
	by   *user
	at   time.Time
}

// awardRoutes: notes of merge requests have awards, notes of commits none in
// the API (AWARDABLES of lib/api/award_emoji.rb).
// https://docs.gitlab.com/api/emoji_reactions/#add-reactions-to-comments
var awardRoutes = map[string]route{
	"GET /projects/{id}/merge_requests/{iid}/notes/{note}/award_emoji":            {who: onCode, handle: (*Server).listAwards},
	"POST /projects/{id}/merge_requests/{iid}/notes/{note}/award_emoji":           {who: onCode, handle: (*Server).createAward},
	"DELETE /projects/{id}/merge_requests/{iid}/notes/{note}/award_emoji/{award}": {who: onCode, handle: (*Server).deleteAward},
}

// Names that GitLab knows are in a list of 1,800; these look like one.
var emojiName = regexp.MustCompile(`^[a-z0-9_+-]+$`)

func (a *award) json(n *note) object {
	return object{
		"id": a.id, "name": a.name, "user": n.p.s.userJSON(a.by), "created_at": stamp(a.at), "updated_at": stamp(a.at),
		"awardable_id": n.ID, "awardable_type": "Note", "url": nil,
	}
}

func (s *Server) listAwards(c *call) (answer, error) {
	n, err := c.note()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, a := range n.awards {
		list = append(list, a.json(n))
	}
	return c.page(list)
}

// createAward: an award that the same person gave before is 404, as every
// other error of app/services/award_emojis/add_service.rb.
func (s *Server) createAward(c *call) (answer, error) {
	if err := c.writer(); err != nil {
		return answer{}, err
	}
	n, err := c.note()
	if err != nil {
		return answer{}, err
	}
	name := c.text("name")
	switch {
	case !c.has("name"):
		return answer{}, invalid("name is missing")
	case n.System:
		return answer{}, notFound("Award Emoji")
	case !emojiName.MatchString(name):
		return answer{}, notFound("Award Emoji Name is not a valid emoji name")
	case slices.ContainsFunc(n.awards, func(a *award) bool { return a.name == name && a.by == c.user }):
		return answer{}, notFound("Award Emoji Name has already been taken")
	}
	a := &award{id: s.id(), name: name, by: c.user, at: s.now()}
	n.awards = append(n.awards, a)
	return created(a.json(n))
}

func (s *Server) deleteAward(c *call) (answer, error) {
	n, err := c.note()
	if err != nil {
		return answer{}, err
	}
	i := slices.IndexFunc(n.awards, func(a *award) bool { return a.id == c.number("award") })
	switch {
	case i < 0:
		return answer{}, notFound("")
	case n.awards[i].by != c.user:
		return answer{}, unauthorized()
	}
	n.awards = slices.Delete(n.awards, i, i+1)
	return noContent()
}
