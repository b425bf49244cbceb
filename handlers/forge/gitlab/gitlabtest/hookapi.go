package gitlabtest

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// hookFlags are the switches of every webhook; the others are those of project
// and group webhooks, and of group webhooks alone.
var (
	hookFlags       = []string{"push_events", "tag_push_events", "merge_requests_events", "repository_update_events"}
	anyProjectFlags = []string{
		"issues_events", "confidential_issues_events", "note_events", "confidential_note_events", "pipeline_events", "wiki_page_events",
		"deployment_events", "feature_flag_events", "job_events", "releases_events", "milestone_events", "emoji_events",
		"resource_access_token_events", "resource_deploy_token_events", "vulnerability_events",
	}
	groupFlags = []string{"subgroup_events", "member_events", "project_events"}
)

// json: lib/api/entities/hook.rb. The token is never told.
func (h *hook) json(s *Server) object {
	body := object{
		"id": h.id, "url": h.url, "name": h.name, "description": h.description, "created_at": stamp(h.created), "enable_ssl_verification": h.verifyTLS,
		"alert_status": h.status(s.now()), "disabled_until": stamp(h.disabledUntil), "url_variables": []any{}, "push_events_branch_filter": h.filter,
		"branch_filter_strategy": h.strategy, "custom_webhook_template": "", "custom_headers": []any{},
	}
	flags := hookFlags
	switch h.owner {
	case "project":
		body["project_id"] = h.project.id
		flags = append(slices.Clone(flags), anyProjectFlags...)
	case "group":
		body["group_id"] = h.group.id
		flags = append(append(slices.Clone(flags), anyProjectFlags...), groupFlags...)
	}
	for _, flag := range flags {
		body[flag] = h.events[flag]
	}
	return body
}

// ownHooks is where the path's webhooks are kept.
func (c *call) ownHooks() *[]*hook {
	switch {
	case c.proj != nil:
		return &c.proj.hooks
	case c.group != nil:
		return &c.group.hooks
	}
	return &c.s.systemHook
}

// groupHooks answers where the server has no webhooks of groups: an edition
// without them does not know the address, one without a licence refuses it.
func (c *call) groupHooks() error {
	switch {
	case c.group == nil || !c.s.opts.Free:
		return nil
	case strings.HasSuffix(c.s.opts.Version, "-ce"):
		return errUnknown
	}
	return forbidden()
}

func (c *call) hook() (*hook, error) {
	if err := c.groupHooks(); err != nil {
		return nil, err
	}
	for _, h := range *c.ownHooks() {
		if h.id == c.number("hook_id") {
			return h, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "404 Not found")
}

// listHooks: https://docs.gitlab.com/api/project_webhooks/#list-webhooks-for-a-project
func (s *Server) listHooks(c *call) (answer, error) {
	if err := c.groupHooks(); err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, h := range *c.ownHooks() {
		list = append(list, h.json(s))
	}
	return c.page(list)
}

func (s *Server) getHook(c *call) (answer, error) {
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	return ok(h.json(s))
}

// addHook: https://docs.gitlab.com/api/project_webhooks/#add-a-webhook-to-a-project
func (s *Server) addHook(c *call) (answer, error) {
	if err := c.groupHooks(); err != nil {
		return answer{}, err
	}
	if err := c.require("url"); err != nil {
		return answer{}, err
	}
	h := &hook{
		id: s.id(), owner: "system", project: c.proj, group: c.group, events: map[string]bool{"push_events": true}, verifyTLS: true,
		strategy: "wildcard", created: s.now(),
	}
	switch {
	case c.proj != nil:
		h.owner = "project"
	case c.group != nil:
		h.owner = "group"
	default:
		h.events = map[string]bool{"repository_update_events": true}
	}
	if err := c.change(h); err != nil {
		return answer{}, err
	}
	own := c.ownHooks()
	*own = append(*own, h)
	return created(h.json(s))
}

// editHook: https://docs.gitlab.com/api/project_webhooks/#edit-a-webhook-for-a-project
// Another url without its token takes the token away, so that nobody learns it
// by turning the webhook to their own server (WebHook#reset_token).
func (s *Server) editHook(c *call) (answer, error) {
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	if err := c.change(h); err != nil {
		return answer{}, err
	}
	return ok(h.json(s))
}

func (c *call) change(h *hook) error {
	if c.has("url") {
		address := c.text("url")
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return &apiError{status: http.StatusUnprocessableEntity, body: object{"error": "Invalid url given"}}
		}
		if h.url != "" && h.url != address && !c.has("token") {
			h.token = ""
		}
		h.url = address
	}
	if strategy := c.text("branch_filter_strategy"); strategy != "" {
		if !slices.Contains([]string{"wildcard", "regex", "all_branches"}, strategy) {
			return invalid("branch_filter_strategy does not have a valid value")
		}
		h.strategy = strategy
	}
	if c.has("push_events_branch_filter") {
		h.filter = c.text("push_events_branch_filter")
		_, wrong := path.Match(h.filter, "")
		if h.strategy == "regex" {
			_, wrong = regexp.Compile(h.filter)
		}
		if wrong != nil || strings.Contains(h.filter, " ") {
			return &apiError{status: http.StatusUnprocessableEntity, body: object{"error": "Invalid branch filter given"}}
		}
	}
	if c.has("token") {
		h.token = c.text("token")
	}
	if c.has("name") {
		h.name = c.text("name")
	}
	if c.has("description") {
		h.description = c.text("description")
	}
	if on, given := c.boolean("enable_ssl_verification"); given {
		h.verifyTLS = on
	}
	for _, flag := range slices.Concat(hookFlags, anyProjectFlags, groupFlags) {
		if on, given := c.boolean(flag); given {
			h.events[flag] = on
		}
	}
	return nil
}

// deleteHook: https://docs.gitlab.com/api/project_webhooks/#delete-a-project-webhook
func (s *Server) deleteHook(c *call) (answer, error) {
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	h.removed = true
	own := c.ownHooks()
	*own = slices.DeleteFunc(*own, func(o *hook) bool { return o == h })
	return noContent()
}
