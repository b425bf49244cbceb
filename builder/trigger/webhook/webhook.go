package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/guard"
	"github.com/registry-build/registry-build/config"
)

// Options are the operator's.
type Options struct {
	Vault    builder.Vault // opens signing secrets
	Guard    *guard.Guard
	Registry string                 // host of images that are stored without one, "" leaves them so
	BuildURL func(id string) string // the build's page; nil: none
	Version  string                 // for User-Agent; "" leaves it out
}

// Kind delivers webhooks.
type Kind struct {
	o   Options
	now func() time.Time
}

var _ trigger.Kind = (*Kind)(nil)

// New makes the kind.
func New(o Options) (*Kind, error) {
	if o.Vault == nil || o.Guard == nil {
		return nil, errors.New("webhook: a vault and a guard are needed")
	}
	return &Kind{o: o, now: time.Now}, nil
}

// Action shows the address without query and user, which may be secrets.
func (k *Kind) Action(t config.Trigger) string {
	if t.Webhook == nil {
		return "webhook"
	}
	return "webhook " + publicURL(t.Webhook.URL)
}

func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(a URL that cannot be read)"
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

// Fire makes one delivery: one request, or one for each tag where the format
// holds one tag only. The first that is not taken ends it, and the next
// attempt sends all of them again. 2xx is success. 408, 425, 429, 5xx, a
// connection that fails and a time-out are temporary; any other answer is
// final.
func (k *Kind) Fire(ctx context.Context, f trigger.Firing) (trigger.Answer, error) {
	hook := f.Trigger.Webhook
	if hook == nil {
		return trigger.Answer{}, fmt.Errorf("trigger %q is no webhook", f.Trigger.Name)
	}
	if err := config.CheckWebhookURL(hook.URL); err != nil { // of a build file that another version read
		return trigger.Answer{}, fmt.Errorf("webhook: %w", err)
	}
	messages, err := k.messages(hook.Format, f)
	if err != nil {
		return trigger.Answer{}, err
	}
	secret, err := k.secret(ctx, hook, f)
	if err != nil {
		return trigger.Answer{}, err
	}
	var texts []string
	where := publicURL(hook.URL)
	for _, m := range messages {
		req, err := k.request(ctx, hook.URL, f.Event, m, secret)
		if err != nil {
			return trigger.Answer{}, err
		}
		answer, err := k.o.Guard.Do(req, where)
		if err == nil {
			texts = append(texts, answer.Text())
			err = answer.Err(where, k.now())
		}
		if err != nil {
			return trigger.Answer{Text: strings.Join(texts, "\n")}, err
		}
	}
	return trigger.Answer{Text: strings.Join(texts, "\n")}, nil
}

// secret opens what signs the delivery; "" where nothing does.
func (k *Kind) secret(ctx context.Context, hook *config.Webhook, f trigger.Firing) (string, error) {
	if hook.Credential == "" {
		return "", nil
	}
	c, err := k.o.Vault.Open(ctx, hook.Credential, f.Use())
	switch {
	case errors.Is(err, builder.ErrNotFound), errors.Is(err, builder.ErrDenied):
		return "", fmt.Errorf("webhook: %w", err)
	case err != nil:
		return "", trigger.Temporary(fmt.Errorf("webhook: credential %q cannot be opened now: %w", hook.Credential, err), 0)
	case c.Kind != builder.KindSigningSecret:
		return "", fmt.Errorf("webhook: credential %q is of the kind %s, and a webhook is signed with one of the kind %s; set one under another name: registry-build credentials set NAME --kind %s",
			hook.Credential, c.Kind, builder.KindSigningSecret, builder.KindSigningSecret)
	}
	return c.Value(), nil
}

func (k *Kind) request(ctx context.Context, to string, event config.Outcome, m message, secret string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(m.body))
	if err != nil {
		return nil, errors.New("webhook: the address is not valid; write https://host/path")
	}
	req.Header.Set("Content-Type", m.contentType)
	req.Header.Set("User-Agent", strings.TrimSuffix("registry-build/"+k.o.Version, "/"))
	req.Header.Set(EventHeader, string(event))
	req.Header.Set(DeliveryHeader, m.delivery)
	if secret != "" {
		req.Header.Set(SignatureHeader, Sign(secret, k.now(), m.body))
	}
	return req, nil
}
