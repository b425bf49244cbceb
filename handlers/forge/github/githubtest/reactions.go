package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Reaction is one person's or app's reaction.
type Reaction struct {
	ID            int64
	User, Content string
	by            *account
	at            time.Time
}

var reactions = []string{"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"}

func (k *comment) reactionsURL(r *Repo) string {
	if k.SHA != "" {
		return fmt.Sprintf("%s/comments/%d/reactions", r.api(), k.ID)
	}
	return fmt.Sprintf("%s/issues/comments/%d/reactions", r.api(), k.ID)
}

func (k *comment) rollup(r *Repo) object {
	out := object{"url": k.reactionsURL(r), "total_count": len(k.Reactions)}
	for _, content := range reactions {
		n := 0
		for _, one := range k.Reactions {
			if one.Content == content {
				n++
			}
		}
		out[content] = n
	}
	return out
}

func (one Reaction) json(s *Server) object {
	return object{"id": one.ID, "node_id": nodeID("Reaction", one.ID), "user": s.userJSON(one.by), "content": one.Content, "created_at": stamp(one.at)}
}

// createReaction answers 200 where the reaction was there already.
func (s *Server) createReaction(c *call) (answer, error) {
	k, err := c.comment()
	if err != nil {
		return answer{}, err
	}
	var in struct{ Content string }
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if !slices.Contains(reactions, in.Content) {
		return answer{}, invalid("%s is not a member of the reactions.", in.Content)
	}
	by := s.actor(c.tok)
	for _, one := range k.Reactions {
		if one.by == by && one.Content == in.Content {
			return ok(one.json(s))
		}
	}
	one := Reaction{ID: s.id(), User: by.login, Content: in.Content, by: by, at: s.now()}
	k.Reactions = append(k.Reactions, one)
	return created(one.json(s))
}

func (s *Server) listReactions(c *call) (answer, error) {
	k, err := c.comment()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, one := range k.Reactions {
		list = append(list, one.json(s))
	}
	return c.page(list)
}

func (s *Server) deleteReaction(c *call) (answer, error) {
	k, err := c.comment()
	if err != nil {
		return answer{}, err
	}
	n := len(k.Reactions)
	k.Reactions = slices.DeleteFunc(k.Reactions, func(one Reaction) bool { return one.ID == c.number("reaction_id") && one.by == s.actor(c.tok) })
	if len(k.Reactions) == n {
		return answer{}, errNotFound
	}
	return answer{status: http.StatusNoContent}, nil
}
