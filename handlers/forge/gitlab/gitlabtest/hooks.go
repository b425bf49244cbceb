package gitlabtest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// hookKind is what happens, as webhooks know it.
type hookKind struct {
	header string // X-Gitlab-Event
	flag   string // the switch of the webhook
	test   string // :trigger of the test delivery
}

var (
	pushHook         = hookKind{"Push Hook", "push_events", "push_events"}
	tagPushHook      = hookKind{"Tag Push Hook", "tag_push_events", "tag_push_events"}
	mergeRequestHook = hookKind{"Merge Request Hook", "merge_requests_events", "merge_requests_events"}
	noteHook         = hookKind{"Note Hook", "note_events", "note_events"}
)

// hook is a webhook of a project, of a group or of the server.
type hook struct {
	id            int64
	owner         string // project, group or system
	project       *Project
	group         *namespace
	name          string
	description   string
	url           string
	token         string
	events        map[string]bool
	verifyTLS     bool
	filter        string // of branches
	strategy      string // of the filter: wildcard, regex or all_branches
	created       time.Time
	failures      int       // in a row
	disabledUntil time.Time // zero: not disabled
	removed       bool
	log           []*Delivery
}

// The rules of switching off: app/models/concerns/web_hooks/auto_disabling.rb and
// https://docs.gitlab.com/user/project/integrations/webhooks/#auto-disabled-webhooks
const (
	graceFailures     = 3  // the fourth switches off for a while
	permanentFailures = 39 // the fortieth for good
	firstBackoff      = time.Minute
	longestBackoff    = 24 * time.Hour
)

// status is the webhook's alert_status. System hooks are never switched off.
func (h *hook) status(now time.Time) string {
	switch {
	case h.owner == "system":
	case h.failures > permanentFailures:
		return "disabled"
	case h.failures > graceFailures && !h.disabledUntil.Before(now):
		return "temporarily_disabled"
	}
	return "executable"
}

// failed counts an answer that was no success.
func (h *hook) failed(now time.Time) {
	if h.status(now) == "executable" {
		h.fail(now)
	}
}

func (h *hook) fail(now time.Time) {
	wait := firstBackoff
	for range h.failures - graceFailures {
		wait = min(2*wait, longestBackoff)
	}
	h.failures = min(h.failures+1, permanentFailures+1)
	if h.failures > graceFailures {
		h.disabledUntil = now.Add(wait)
	}
}

func (h *hook) enable() { h.failures, h.disabledUntil = 0, time.Time{} }

// passes is the webhook's branch filter, which pushes to branches obey.
func (h *hook) passes(branch string) bool {
	if branch == "" || h.filter == "" || h.strategy == "all_branches" {
		return true
	}
	if h.strategy == "regex" {
		return matches(h.filter, branch)
	}
	parts := strings.Split(h.filter, "*") // which stands for slashes, too
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return matches("^"+strings.Join(parts, ".*")+"$", branch)
}

// deliver sends what happened in a project to the webhooks of the project, its
// groups and the server that want it. It is called under the lock; the
// payloads go out when that is given back.
func (s *Server) deliver(p *Project, kind hookKind, payload object) {
	branch, _ := payload["ref"].(string)
	if kind != pushHook {
		branch = ""
	}
	list := slices.Clone(p.hooks)
	if !s.opts.Free {
		for n := p.space; n != nil; n = n.parent {
			list = append(list, n.hooks...)
		}
	}
	for _, h := range append(list, s.systemHook...) {
		if h.events[kind.flag] && h.passes(trimHeads(branch)) && h.status(s.now()) == "executable" {
			s.queue(h, kind, p, payload)
		}
	}
}

func trimHeads(ref string) string {
	const heads = "refs/heads/"
	if len(ref) > len(heads) && ref[:len(heads)] == heads {
		return ref[len(heads):]
	}
	return ref
}

// deliverSystem sends what only system hooks are told; the flag may be "".
func (s *Server) deliverSystem(flag string, payload object) {
	for _, h := range s.systemHook {
		if flag == "" || h.events[flag] {
			s.queue(h, hookKind{header: "System Hook"}, nil, payload)
		}
	}
}

// tellSystem sends a project's life to system hooks:
// https://docs.gitlab.com/administration/system_hooks/
func (s *Server) tellSystem(event string, p *Project, more object) {
	owner := s.person("")
	payload := object{
		"event_name": event, "created_at": p.created.Format(time.RFC3339), "updated_at": s.now().Format(time.RFC3339),
		"name": p.name, "path": p.path, "path_with_namespace": p.fullPath(), "project_id": p.id, "project_namespace_id": p.space.id,
		"owner_name": owner.name, "owner_email": owner.email(), "owners": []any{object{"name": owner.name, "email": owner.email()}},
		"project_visibility": p.visibility,
	}
	for k, v := range more {
		payload[k] = v
	}
	s.deliverSystem("", payload)
}

func (s *Server) queue(h *hook, kind hookKind, p *Project, payload any) *Delivery {
	body, err := json.Marshal(payload)
	if err != nil {
		s.log.Error("marshal webhook", "event", kind.header, "err", err)
		return nil
	}
	d := s.delivery(h, kind, body, uuid.NewString())
	if p != nil {
		d.Project = p.id
	}
	s.outgoing = append(s.outgoing, d)
	return d
}

// delivery makes the request: app/services/web_hook_service.rb.
func (s *Server) delivery(h *hook, kind hookKind, body []byte, key string) *Delivery {
	d := &Delivery{ID: s.id(), Hook: h.id, Event: kind.header, IdempotencyKey: key, Payload: body, Header: http.Header{}, hook: h, kind: kind, url: h.url}
	if h.owner == "system" {
		d.Event = "System Hook"
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitLab/" + s.opts.Version, "Idempotency-Key": key, "X-Gitlab-Event": d.Event,
		"X-Gitlab-Webhook-UUID": uuid.NewString(), "X-Gitlab-Event-UUID": uuid.NewString(), "X-Gitlab-Instance": s.URL,
	} {
		d.Header.Set(k, v)
	}
	if h.token != "" {
		d.Header.Set("X-Gitlab-Token", h.token)
	}
	return d
}

// delivered counts what came of a delivery, and keeps it in the log.
func (s *Server) delivered(d *Delivery) {
	s.mu.Lock()
	defer s.unlock()
	d.hook.log = append(d.hook.log, d)
	if d.OK() {
		d.hook.enable()
	} else {
		d.hook.failed(s.now())
	}
}

// wanted reports whether a delivery still goes out: a webhook that was
// switched off or deleted since gets nothing, and nothing is kept of it.
func (s *Server) wanted(d *Delivery) bool {
	s.mu.Lock()
	defer s.unlock()
	return !d.hook.removed && (d.forced || d.hook.status(s.now()) == "executable")
}
