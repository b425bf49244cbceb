package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"
)

// hook is a webhook as GitLab tells of it. It does not tell the token.
// https://docs.gitlab.com/api/project_webhooks/#get-a-project-webhook
type hook struct {
	ID            int    `json:"id"`
	GroupID       int    `json:"group_id"` // of a group's
	URL           string `json:"url"`
	Push          bool   `json:"push_events"`
	TagPush       bool   `json:"tag_push_events"`
	MergeRequests bool   `json:"merge_requests_events"`
	Notes         bool   `json:"note_events"`
	Filter        string `json:"push_events_branch_filter"`
	VerifiesTLS   bool   `json:"enable_ssl_verification"`
	Template      string `json:"custom_webhook_template"`
	Status        string `json:"alert_status"` // since 14.9
}

// off reports whether GitLab has switched the webhook off, for a while or
// until it is tried with success.
// https://docs.gitlab.com/user/project/integrations/webhooks/#auto-disabled-webhooks
func (h hook) off() bool { return h.Status == "disabled" || h.Status == "temporarily_disabled" }

// hookSettings are the webhook as we want it. What is not named here stays as
// GitLab has it: the other events are off from the beginning.
type hookSettings struct {
	URL           string `json:"url"`
	Name          string `json:"name,omitempty"` // since 17.1
	Token         string `json:"token"`
	Push          bool   `json:"push_events"`
	TagPush       bool   `json:"tag_push_events"`
	MergeRequests bool   `json:"merge_requests_events"`
	Notes         bool   `json:"note_events"`
	Filter        string `json:"push_events_branch_filter"`
	VerifiesTLS   bool   `json:"enable_ssl_verification"`
	Template      string `json:"custom_webhook_template"` // since 16.10
}

// verifiesTLS reports whether a webhook has to check our certificate.
func (f *Forge) verifiesTLS() bool { return strings.HasPrefix(f.HookURL(), "https:") }

// wrongs lists in words what is wrong with a webhook of ours.
func (f *Forge) wrongs(h hook) (wrong []string) {
	for _, want := range []struct {
		there bool
		event string
	}{
		{h.Push, "push events"}, {h.TagPush, "tag push events"}, {h.MergeRequests, "merge request events"}, {h.Notes, "comments"},
	} {
		if !want.there {
			wrong = append(wrong, "does not tell of "+want.event)
		}
	}
	if h.Filter != "" {
		wrong = append(wrong, fmt.Sprintf("tells only of branches like %q", h.Filter))
	}
	if h.Template != "" {
		wrong = append(wrong, "has a custom template")
	}
	if f.verifiesTLS() && !h.VerifiesTLS {
		wrong = append(wrong, "does not verify our certificate")
	}
	return wrong
}

// hooksAt lists the webhooks of a place. Only maintainers of a project and
// owners of a group may; groups have none where that is not sold (404).
// https://docs.gitlab.com/api/project_webhooks/#list-webhooks-for-a-project
// https://docs.gitlab.com/api/group_webhooks/#list-group-hooks
func (f *Forge) hooksAt(ctx context.Context, p place) ([]hook, error) {
	var all []hook
	err := pages(once(ctx), f, p.inPath()+"/hooks", &paged{}, func(h hook) (bool, error) {
		all = append(all, h)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("webhooks of %s: %w", p.Path, err)
	}
	return all, nil
}

// ours returns the webhooks that deliver to us.
func (f *Forge) ours(all []hook) (ours []hook) {
	for _, h := range all {
		if h.URL == f.HookURL() {
			ours = append(ours, h)
		}
	}
	return ours
}

// saveHook makes a webhook, or makes the one of that id as it should be.
// https://docs.gitlab.com/api/project_webhooks/#add-a-webhook-to-a-project
// https://docs.gitlab.com/api/project_webhooks/#edit-a-project-webhook
func (f *Forge) saveHook(ctx context.Context, p place, id int, probe bool) (hook, error) {
	secrets, err := f.Secrets.Secrets(ctx)
	if err != nil {
		return hook{}, fmt.Errorf("secret of webhooks: %w", err)
	}
	if len(secrets) == 0 || secrets[0] == "" {
		return hook{}, errors.New("there is no secret that webhooks could be signed with")
	}
	settings := hookSettings{
		URL: f.HookURL(), Name: "registry-build", Token: hookToken(secrets[0], f.Config.Name, scope{Kind: p.Kind, ID: p.ID, Probe: probe}),
		Push: true, TagPush: true, MergeRequests: true, Notes: true, VerifiesTLS: f.verifiesTLS(),
	}
	method, path := http.MethodPost, p.api()+"/hooks"
	if id != 0 {
		method, path = http.MethodPut, path+"/"+strconv.Itoa(id)
		ctx = repeatable(ctx)
	}
	var h hook
	if err := f.call(ctx, method, path, settings, &h); err != nil {
		return hook{}, fmt.Errorf("webhook of %s: %w", p.Path, err)
	}
	return h, nil
}

// removeHook removes a webhook; one that is gone is fine.
// https://docs.gitlab.com/api/project_webhooks/#delete-project-webhook
func (f *Forge) removeHook(ctx context.Context, p place, id int) error {
	err := f.call(repeatable(once(ctx)), http.MethodDelete, p.api()+"/hooks/"+strconv.Itoa(id), nil, nil)
	if err != nil && answeredWith(err) != http.StatusNotFound {
		return fmt.Errorf("remove the webhook of %s: %w", p.Path, err)
	}
	return nil
}

func (f *Forge) call(ctx context.Context, method, path string, body, into any) error {
	req, err := f.api.NewRequest(method, path, body, []gitlab.RequestOptionFunc{with(ctx)})
	if err != nil {
		return err
	}
	_, err = f.api.Do(req, into)
	return err
}

// words are what GitLab said when it refused a call.
func words(err error) string {
	var refused *gitlab.ErrorResponse
	if !errors.As(err, &refused) {
		return ""
	}
	var body struct {
		Message any    `json:"message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(refused.Body, &body) != nil {
		return cut(strings.TrimSpace(string(refused.Body)))
	}
	if text, ok := body.Message.(string); ok {
		return text
	}
	if body.Message != nil {
		return strings.TrimSpace(refused.Message)
	}
	return body.Error
}

// logged is one delivery in a webhook's log.
// https://docs.gitlab.com/api/project_webhooks/#get-a-list-of-project-webhook-events
type logged struct {
	ID        int64             `json:"id"`
	Trigger   string            `json:"trigger"` // push_hooks
	Headers   map[string]string `json:"request_headers"`
	Status    any               `json:"response_status"` // "200", "internal error"
	CreatedAt *time.Time        `json:"created_at"`      // not in the first versions that have the log
}

func (l logged) status() string { return fmt.Sprint(l.Status) }

// ok reports whether the delivery was taken.
func (l logged) ok() bool { return len(l.status()) == 3 && strings.HasPrefix(l.status(), "2") }

// event names what was delivered; the same for each attempt.
func (l logged) event() string {
	for _, header := range []string{headerIdempotency, "X-Gitlab-Event-UUID"} {
		if key := l.Headers[header]; key != "" {
			return key
		}
	}
	return strconv.FormatInt(l.ID, 10)
}

// logPage is the most that one page of a log has: a delivery's whole payload
// comes with it.
const logPage = 20

// log reads one page of a webhook's log, the newest first. It has been there
// since GitLab 17.3; 404 before.
func (f *Forge) log(ctx context.Context, p place, id, page int) (list []logged, next int, err error) {
	query := &paged{Page: page, PerPage: logPage}
	resp, err := f.get(once(ctx), fmt.Sprintf("%s/hooks/%d/events", p.api(), id), query, &list)
	if err != nil {
		return nil, 0, fmt.Errorf("deliveries of the webhook of %s: %w", p.Path, err)
	}
	return list, nextPage(resp, page), nil
}
