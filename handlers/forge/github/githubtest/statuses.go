package githubtest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is a commit status as somebody would see it.
type Status struct {
	ID                                          int64
	SHA, Context, State, Description, TargetURL string
	Creator                                     string
	At                                          time.Time
}

type status struct {
	Status
	by *account
}

// statusLimit is how many statuses a commit may have of one context:
// https://docs.github.com/rest/commits/statuses#create-a-commit-status
const statusLimit = 1000

// Statuses lists every status of a commit, newest first.
func (r *Repo) Statuses(sha string) []Status {
	r.s.mu.Lock()
	defer r.s.unlock()
	var out []Status
	for _, st := range slices.Backward(r.statuses) {
		if st.SHA == sha {
			out = append(out, st.Status)
		}
	}
	return out
}

// StatusOf is the newest status of a commit and context; ok is false if there is none.
func (r *Repo) StatusOf(sha, context string) (newest Status, ok bool) {
	for _, st := range r.Statuses(sha) {
		if st.Context == context {
			return st, true
		}
	}
	return Status{}, false
}

func (s *Server) createStatus(c *call) (answer, error) {
	var in struct {
		State       string
		TargetURL   *string `json:"target_url"`
		Description *string
		Context     *string
	}
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	sha := c.vars["sha"]
	if !c.repo.has(sha) {
		return answer{}, noCommit(sha)
	}
	st := &status{Status: Status{ID: s.id(), SHA: sha, Context: "default", State: in.State, At: s.now()}, by: s.actor(c.tok)}
	st.Creator = st.by.login
	if in.Context != nil && *in.Context != "" {
		st.Context = *in.Context
	}
	if in.Description != nil {
		st.Description = *in.Description
	}
	if in.TargetURL != nil {
		st.TargetURL = *in.TargetURL
	}
	same := 0
	for _, o := range c.repo.statuses {
		if o.SHA == sha && strings.EqualFold(o.Context, st.Context) {
			same++
		}
	}
	switch {
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, in.State):
		return answer{}, unprocessable("Status", "state", "state is not included in the list")
	case utf8.RuneCountInString(st.Description) > 140:
		return answer{}, unprocessable("Status", "description", "description is too long (maximum is 140 characters)")
	case st.TargetURL != "" && !webURL(st.TargetURL):
		return answer{}, unprocessable("Status", "target_url", "target_url must use http(s) scheme")
	case same >= statusLimit:
		return answer{}, unprocessable("Status", "", "This SHA and context has reached the maximum number of statuses.")
	}
	c.repo.statuses = append(c.repo.statuses, st)
	return created(st.json(c.repo))
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func (st *status) json(r *Repo) object {
	out := object{
		"url": r.api() + "/statuses/" + st.SHA, "avatar_url": r.s.URL + "/avatars/" + fmt.Sprint(st.by.id), "id": st.ID, "node_id": nodeID("Status", st.ID),
		"state": st.State, "description": nil, "target_url": nil, "context": st.Context, "created_at": stamp(st.At), "updated_at": stamp(st.At),
		"creator": r.s.userJSON(st.by),
	}
	if st.Description != "" {
		out["description"] = st.Description
	}
	if st.TargetURL != "" {
		out["target_url"] = st.TargetURL
	}
	return out
}

func (s *Server) listStatuses(c *call) (answer, error) {
	sha := c.repo.dir.Resolve(c.vars["ref"])
	if sha == "" {
		return answer{}, errNotFound
	}
	list := []any{}
	for _, st := range slices.Backward(c.repo.statuses) {
		if st.SHA == sha {
			list = append(list, st.json(c.repo))
		}
	}
	return c.page(list)
}

// combinedStatus takes the newest of each context:
// https://docs.github.com/rest/commits/statuses#get-the-combined-status-for-a-specific-reference
func (s *Server) combinedStatus(c *call) (answer, error) {
	sha := c.repo.dir.Resolve(c.vars["ref"])
	if sha == "" {
		return answer{}, errNotFound
	}
	list, seen, state := []any{}, map[string]bool{}, "success"
	for _, st := range slices.Backward(c.repo.statuses) {
		key := strings.ToLower(st.Context)
		if st.SHA != sha || seen[key] {
			continue
		}
		seen[key] = true
		one := st.json(c.repo)
		delete(one, "creator")
		list = append(list, one)
		switch {
		case st.State == "error" || st.State == "failure":
			state = "failure"
		case st.State == "pending" && state != "failure":
			state = "pending"
		}
	}
	if len(list) == 0 {
		state = "pending"
	}
	part, header := c.cut(list)
	return answer{status: 200, header: header, body: object{
		"state": state, "statuses": part, "sha": sha, "total_count": len(list), "repository": c.repo.json(),
		"commit_url": c.repo.api() + "/commits/" + sha, "url": c.repo.api() + "/commits/" + sha + "/status",
	}}, nil
}
