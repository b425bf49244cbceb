package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
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
