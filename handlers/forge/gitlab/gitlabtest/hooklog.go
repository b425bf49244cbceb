package gitlabtest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// triggers name a delivery's event in the log: ProjectHook.triggers.
var triggers = map[string]string{
	"Push Hook": "push_hooks", "Tag Push Hook": "tag_push_hooks", "Merge Request Hook": "merge_request_hooks", "Note Hook": "note_hooks",
}

// testable are the triggers of the test delivery.
var testable = []string{
	"push_events", "tag_push_events", "issues_events", "confidential_issues_events", "note_events", "confidential_note_events",
	"merge_requests_events", "job_events", "pipeline_events", "wiki_page_events", "deployment_events", "feature_flag_events",
	"releases_events", "milestone_events", "emoji_events", "resource_access_token_events", "resource_deploy_token_events", "vulnerability_events",
}

// testHook: https://docs.gitlab.com/api/project_webhooks/#trigger-a-test-project-webhook
// It goes out whatever the state of the webhook, and a success switches the
// webhook on again.
func (s *Server) testHook(c *call) (answer, error) {
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	trigger := c.vars["trigger"]
	if !slices.Contains(testable, trigger) {
		return answer{}, invalid("trigger does not have a valid value")
	}
	kind, payload, err := s.sampleFor(c, h, trigger)
	if err != nil {
		return answer{}, err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return answer{}, err
	}
	d := s.delivery(h, kind, body, uuid.NewString())
	d.forced = true
	s.send(c.r.Context(), d)
	switch {
	case d.StatusCode == 0:
		return answer{}, refuse(http.StatusUnprocessableEntity, d.Error)
	case d.StatusCode > 299:
		return answer{}, refuse(http.StatusUnprocessableEntity, string(d.Response))
	}
	return created(object{"message": "201 Created"})
}

// send makes a delivery at once, without the lock: its receiver may ask back.
func (s *Server) send(ctx context.Context, d *Delivery) {
	s.unlock()
	defer s.mu.Lock()
	s.hooks.Deliver(ctx, d)
}

// sampleFor is what a test delivers: app/services/test_hooks/project_service.rb.
// A group's webhook is tested with its first project.
func (s *Server) sampleFor(c *call, h *hook, trigger string) (hookKind, object, error) {
	p := h.project
	if h.owner == "group" {
		i := slices.IndexFunc(s.all(), func(p *Project) bool { return p.space.within(h.group) && !p.empty() })
		if i < 0 {
			return hookKind{}, nil, refuse(http.StatusUnprocessableEntity, "Ensure the group has a project with commits.")
		}
		p = s.all()[i]
	}
	switch trigger {
	case pushHook.test:
		payload, err := p.samplePush(c.user)
		return pushHook, payload, err
	case tagPushHook.test: // the same payload under the other name
		payload, err := p.samplePush(c.user)
		return tagPushHook, payload, err
	}
	for _, kind := range []hookKind{mergeRequestHook, noteHook} {
		if kind.test != trigger {
			continue
		}
		payload, err := p.sample(kind, c.user)
		if err == nil && payload == nil {
			what := map[string]string{mergeRequestHook.test: "merge requests", noteHook.test: "notes"}[trigger]
			err = refuse(http.StatusUnprocessableEntity, "Ensure the project has "+what+".")
		}
		return kind, payload, err
	}
	return hookKind{}, nil, refuse(http.StatusUnprocessableEntity, "Testing not available for this hook")
}

// samplePush is Gitlab::DataBuilder::Push.build_sample: the last three commits
// of the default branch. A project without commits has data of a project that
// is none of this server's.
func (p *Project) samplePush(u *user) (object, error) {
	head := p.branch(p.defaultBranch)
	if head == "" {
		return foreignSample(), nil
	}
	out, err := p.dir.Run("rev-list", "--max-count=3", head)
	if err != nil {
		return nil, err
	}
	shas := strings.Fields(out)
	slices.Reverse(shas)
	return p.pushData(u, gitserver.Move{Ref: "refs/heads/" + p.defaultBranch, Before: shas[0], After: head}, shas, nil)
}

// foreignSample is what GitLab has in store: project 15, with commits that are
// nowhere.
func foreignSample() object {
	const after, web = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7", "http://test.example.com/gitlab/gitlab"
	return object{
		"object_kind": "push", "event_name": "push", "before": "95790bf891e76fee5e1747ab589903a6a1f80f22", "after": after, "ref": "refs/heads/master",
		"checkout_sha": after, "message": "Hello World", "user_id": 4, "user_name": "John Smith", "user_email": "john@example.com", "user_avatar": nil,
		"project_id": 15, "total_commits_count": 1, "push_options": object{"ci": object{"skip": true}},
		"project": object{
			"id": 15, "name": "gitlab", "description": "", "web_url": web, "avatar_url": nil, "git_ssh_url": "git@test.example.com:gitlab/gitlab.git",
			"git_http_url": web + ".git", "namespace": "gitlab", "visibility_level": 0, "path_with_namespace": "gitlab/gitlab", "default_branch": "master",
		},
		"commits": []any{object{
			"id": "c5feabde2d8cd023215af4d2ceeb7a64839fc428", "message": "Add a search", "title": "Add a search", "timestamp": "2013-05-13T18:18:08+00:00",
			"url": web + "/-/commit/c5feabde2d8cd023215af4d2ceeb7a64839fc428", "author": object{"name": "Test User", "email": "test@example.com"},
		}},
	}
}

// hookLogDays is for how long deliveries are told of.
const hookLogDays = 7

// hookEvents: https://docs.gitlab.com/api/project_webhooks/#list-all-events-for-a-project-webhook
func (s *Server) hookEvents(c *call) (answer, error) {
	if s.opts.NoHookLogs {
		return answer{}, errUnknown
	}
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	if c.integer("per_page") > 20 {
		return answer{}, invalid("per_page does not have a valid value")
	}
	list := []any{}
	for _, d := range slices.Backward(h.log) {
		if s.now().Sub(d.At) <= hookLogDays*24*time.Hour && d.hasStatus(c.list("status")) {
			list = append(list, d.json())
		}
	}
	return c.page(list)
}

// status is the log's: what has no answer is an internal error.
func (d *Delivery) status() string {
	if d.StatusCode == 0 {
		return "internal error"
	}
	return strconv.Itoa(d.StatusCode)
}

func (d *Delivery) hasStatus(wanted []string) bool {
	return wanted == nil || slices.ContainsFunc(wanted, func(w string) bool {
		switch w {
		case "successful":
			return d.StatusCode/100 == 2
		case "client_failure":
			return d.StatusCode/100 == 4
		case "server_failure":
			return d.StatusCode/100 == 5 || d.StatusCode == 0
		}
		return w == d.status()
	})
}

// json: lib/api/entities/web_hook_log.rb.
func (d *Delivery) json() object {
	flat := func(h http.Header) object {
		out := object{}
		for _, k := range slices.Sorted(maps.Keys(h)) {
			name := k
			if rest, found := strings.CutSuffix(k, "-Uuid"); found {
				name = rest + "-UUID"
			}
			out[name] = h.Get(k)
		}
		return out
	}
	request := flat(d.Header)
	if request["X-Gitlab-Token"] != nil {
		request["X-Gitlab-Token"] = "[REDACTED]"
	}
	return object{
		"id": d.ID, "url": d.url, "trigger": triggers[d.kind.header], "request_headers": request, "request_data": json.RawMessage(d.Payload),
		"response_headers": flat(d.ResponseHeader), "response_body": string(d.Response), "execution_duration": d.Duration.Seconds(),
		"response_status": d.status(), "created_at": stamp(d.At),
	}
}

// resend: https://docs.gitlab.com/api/project_webhooks/#resend-a-project-webhook-event
// It is a delivery like the first, with its idempotency key: a webhook that is
// switched off sends nothing, and an answer that is no success still counts as
// sent (app/services/web_hooks/events/resend_service.rb).
func (s *Server) resend(c *call) (answer, error) {
	if s.opts.NoHookLogs {
		return answer{}, errUnknown
	}
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	i := slices.IndexFunc(h.log, func(d *Delivery) bool { return d.ID == c.number("event_id") })
	switch {
	case i < 0:
		return answer{}, refuse(http.StatusNotFound, "404 Not found")
	case h.log[i].url != h.url:
		return answer{}, refuse(http.StatusUnprocessableEntity, "The hook URL has changed, and this log entry cannot be retried")
	case h.status(s.now()) != "executable":
		return answer{}, refuse(http.StatusUnprocessableEntity, "Hook disabled")
	}
	old := h.log[i]
	d := s.delivery(h, old.kind, old.Payload, old.IdempotencyKey)
	d.Project = old.Project
	s.send(c.r.Context(), d)
	if d.StatusCode == 0 {
		return answer{}, refuse(http.StatusUnprocessableEntity, d.Error)
	}
	return created(object{"response_status": d.StatusCode})
}
