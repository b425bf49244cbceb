package gitlabtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

const gitZero = gitserver.ZeroSHA

var mergeRoutes = map[string]route{
	"GET /projects/{id}/merge_requests":                          {who: onCode, handle: (*Server).listMerges},
	"POST /projects/{id}/merge_requests":                         {who: onCode, level: Developer, handle: (*Server).createMerge},
	"GET /projects/{id}/merge_requests/{iid}":                    {who: onCode, handle: (*Server).getMerge},
	"PUT /projects/{id}/merge_requests/{iid}":                    {who: onCode, level: Developer, handle: (*Server).updateMerge},
	"GET /projects/{id}/merge_requests/{iid}/diffs":              {who: onCode, handle: (*Server).mergeDiffs},
	"GET /projects/{id}/merge_requests/{iid}/changes":            {who: onCode, handle: (*Server).mergeChanges},
	"GET /projects/{id}/merge_requests/{iid}/pipelines":          {who: onCode, handle: (*Server).mergePipelines},
	"GET /projects/{id}/repository/commits/{sha}/merge_requests": {who: onCode, handle: (*Server).commitMerges},
}

// merge is the path's; a new one is read too early for a while.
func (c *call) merge() (*Merge, error) {
	m := c.proj.findMerge(int(c.number("iid")))
	if m == nil {
		return nil, notFound("")
	}
	return m, nil
}

func (s *Server) getMerge(c *call) (answer, error) {
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	a, err := ok(m.json(c.user))
	m.early = max(0, m.early-1)
	return a, err
}

// listMerges: https://docs.gitlab.com/api/merge_requests/#list-project-merge-requests
func (s *Server) listMerges(c *call) (answer, error) {
	state, iids := c.text("state"), c.list("iids")
	if !slices.Contains([]string{"", "all", "opened", "closed", "merged", "locked"}, state) {
		return answer{}, invalid("state does not have a valid value")
	}
	return c.listMergesWhere(func(m *Merge) bool {
		switch {
		case state != "" && state != "all" && state != m.state,
			c.has("source_branch") && c.text("source_branch") != m.source, c.has("target_branch") && c.text("target_branch") != m.target,
			c.has("author_username") && c.text("author_username") != m.by.username, c.has("author_id") && c.integer("author_id") != m.by.id,
			iids != nil && !slices.Contains(iids, fmt.Sprint(m.iid)),
			c.has("updated_after") && m.changed.Before(c.moment("updated_after")), c.has("updated_before") && m.changed.After(c.moment("updated_before")),
			c.has("created_after") && m.at.Before(c.moment("created_after")), c.has("created_before") && m.at.After(c.moment("created_before")),
			c.has("search") && !strings.Contains(strings.ToLower(m.title+m.description), strings.ToLower(c.text("search"))):
			return false
		}
		return true
	})
}

// commitMerges are all those of a commit, in any state:
// https://docs.gitlab.com/api/commits/#list-merge-requests-associated-with-a-commit
func (s *Server) commitMerges(c *call) (answer, error) {
	sha := c.proj.dir.Resolve(c.vars["sha"])
	if sha == "" {
		return answer{}, notFound("Commit")
	}
	return c.listMergesWhere(func(m *Merge) bool { return m.has(sha) && (!c.has("state") || c.text("state") == m.state) })
}

func (c *call) listMergesWhere(want func(*Merge) bool) (answer, error) {
	var found []*Merge
	for _, m := range c.proj.merges {
		if want(m) {
			found = append(found, m)
		}
	}
	slices.SortStableFunc(found, func(a, b *Merge) int {
		at := a.at.Compare(b.at)
		switch c.text("order_by") {
		case "updated_at":
			at = a.changed.Compare(b.changed)
		case "title":
			at = strings.Compare(a.title, b.title)
		}
		return cmp.Or(at, a.iid-b.iid)
	})
	if c.text("sort") != "asc" {
		slices.Reverse(found)
	}
	list := []any{}
	for _, m := range found {
		list = append(list, m.brief())
	}
	return c.page(list)
}

// createMerge: https://docs.gitlab.com/api/merge_requests/#create-mr
// The project of the path is the one that the commits come from;
// target_project_id is where they go.
func (s *Server) createMerge(c *call) (answer, error) {
	if err := c.require("title", "source_branch", "target_branch"); err != nil {
		return answer{}, err
	}
	into := c.proj
	if c.has("target_project_id") {
		if into = s.projects[c.integer("target_project_id")]; into == nil || !into.readsCode(c.user) {
			return answer{}, notFound("Project")
		}
	}
	o := MergeOptions{Title: c.text("title"), Description: c.text("description"), From: c.proj, Source: c.text("source_branch"), Target: c.text("target_branch")}
	if err := into.refuseMerge(nil, o); err != nil {
		return answer{}, err
	}
	m, err := into.openMerge(c.user, o)
	if err != nil { // GitLab's own answer to a branch that is not there is not known
		return answer{}, refuse(http.StatusBadRequest, object{"source_branch": []any{err.Error()}})
	}
	return created(m.json(c.user))
}

// refuseMerge says what the models and handle_merge_request_errors! of
// lib/api/helpers/merge_requests_helpers.rb would.
func (p *Project) refuseMerge(m *Merge, o MergeOptions) error {
	switch {
	case utf8.RuneCountInString(o.Title) > 255:
		return refuse(http.StatusBadRequest, object{"title": []any{"is too long (maximum is 255 characters)"}})
	case strings.TrimSpace(o.Title) == "":
		return refuse(http.StatusBadRequest, object{"title": []any{"can't be blank"}})
	case utf8.RuneCountInString(o.Description) > 1<<20:
		return refuse(http.StatusBadRequest, object{"description": []any{"is too long (maximum is 1048576 characters)"}})
	case o.From == p && o.Source == o.Target:
		return refuse(http.StatusUnprocessableEntity, []any{"You can't use same project/branch for source and target"})
	}
	for _, other := range p.merges {
		if other != m && other.state == "opened" && other.from == o.From && other.source == o.Source && other.target == o.Target {
			return refuse(http.StatusConflict, []any{fmt.Sprintf("Another open merge request already exists for this source branch: !%d", other.iid)})
		}
	}
	return nil
}

// updateMerge: https://docs.gitlab.com/api/merge_requests/#update-mr
func (s *Server) updateMerge(c *call) (answer, error) {
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	fields, o := map[string]string{}, MergeOptions{Title: m.title, Description: m.description, From: m.from, Source: m.source, Target: m.target}
	for name, field := range map[string]*string{"title": &o.Title, "description": &o.Description, "target_branch": &o.Target} {
		if c.has(name) {
			fields[name], *field = c.text(name), c.text(name)
		}
	}
	event := c.text("state_event")
	if len(fields) == 0 && event == "" && len(c.params) == 0 {
		return answer{}, invalid("assignee_id, description, labels, state_event, target_branch, title are missing, at least one parameter must be provided")
	}
	if m.state == "opened" && event != "close" {
		if err := c.proj.refuseMerge(m, o); err != nil {
			return answer{}, err
		}
	}
	if err := m.edit(c.user, fields); err != nil {
		return answer{}, refuse(http.StatusBadRequest, object{"target_branch": []any{err.Error()}})
	}
	switch {
	case event == "close" && m.state == "opened":
		err = m.close(c.user)
	case event == "reopen" && m.state == "closed":
		err = m.reopen(c.user)
	case event != "" && event != "close" && event != "reopen":
		err = invalid("state_event does not have a valid value")
	}
	if err != nil {
		return answer{}, err
	}
	return ok(m.json(c.user))
}

func (s *Server) mergePipelines(c *call) (answer, error) {
	m, err := c.merge()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	if m.from != nil {
		for _, l := range slices.Backward(m.from.pipelines) {
			if l.ref == m.source && m.has(l.sha) {
				list = append(list, l.brief())
			}
		}
	}
	return c.page(list)
}
