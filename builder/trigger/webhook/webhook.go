package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/config"
)

const (
	maxRedirects = 3
	maxBody      = 64 << 10 // of an answer that is read; the record keeps less
	maxHeaders   = 64 << 10
)

// Secrets looks up signing secrets; builder.ErrNotFound where there is none.
type Secrets interface {
	SigningSecret(ctx context.Context, name string) (string, error)
}

// Options are the operator's.
type Options struct {
	Secrets Secrets
	// AllowPrivate opens the private, shared, link-local and loopback
	// addresses; AllowHosts opens single hosts, addresses and networks,
	// whatever they are: triggers.allowPrivate and triggers.allowHosts of the
	// server file.
	AllowPrivate bool
	AllowHosts   []string
	Registry     string                 // host of images that are stored without one, "" leaves them so
	BuildURL     func(id string) string // the build's page; nil: none
	RootCAs      *x509.CertPool         // nil: the machine's
	Resolver     *net.Resolver          // nil: the machine's
	Version      string                 // for User-Agent; "" leaves it out
}

// Kind delivers webhooks.
type Kind struct {
	o      Options
	guard  *guard
	client *http.Client
	now    func() time.Time
}

var _ trigger.Kind = (*Kind)(nil)

// New checks the options; an entry of AllowHosts that cannot be understood is
// one clear sentence.
func New(o Options) (*Kind, error) {
	if o.Secrets == nil {
		return nil, errors.New("webhook: a store of signing secrets is needed")
	}
	g, err := newGuard(o)
	if err != nil {
		return nil, err
	}
	k := &Kind{o: o, guard: g, now: time.Now}
	k.client = &http.Client{
		CheckRedirect: checkRedirect,
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would dial for us, past the guard
			DialContext:            g.dial(o.Resolver),
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableKeepAlives:      true, // every delivery passes the guard
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaders,
		},
	}
	return k, nil
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

// Fire makes one delivery. 2xx is success. 408, 425, 429, 5xx, a connection
// that fails and a time-out are temporary; any other answer is final.
func (k *Kind) Fire(ctx context.Context, f trigger.Firing) (trigger.Answer, error) {
	hook := f.Trigger.Webhook
	if hook == nil {
		return trigger.Answer{}, fmt.Errorf("trigger %q is no webhook", f.Trigger.Name)
	}
	if err := config.CheckWebhookURL(hook.URL); err != nil { // of a build file that another version read
		return trigger.Answer{}, fmt.Errorf("webhook: %w", err)
	}
	req, err := k.request(ctx, hook, f)
	if err != nil {
		return trigger.Answer{}, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return trigger.Answer{}, unreachable(hook, err)
	}
	defer resp.Body.Close()
	// A body that breaks off does not undo the status.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	answer := strings.TrimSpace(resp.Status + "\n" + string(body))
	return trigger.Answer{Text: answer}, k.judge(hook, resp)
}

func (k *Kind) request(ctx context.Context, hook *config.Webhook, f trigger.Firing) (*http.Request, error) {
	body, err := json.Marshal(k.payload(f))
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("webhook: the address is not valid; write https://host/path")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", strings.TrimSuffix("registry-build/"+k.o.Version, "/"))
	req.Header.Set(EventHeader, string(f.Event))
	req.Header.Set(DeliveryHeader, f.Delivery)
	if hook.Credential == "" {
		return req, nil
	}
	secret, err := k.o.Secrets.SigningSecret(ctx, hook.Credential)
	switch {
	case errors.Is(err, builder.ErrNotFound):
		return nil, fmt.Errorf("webhook: there is no credential %q; set it with: registry-build credentials set %s --kind signing-secret", hook.Credential, hook.Credential)
	case err != nil:
		return nil, fmt.Errorf("webhook: %w", err)
	}
	req.Header.Set(SignatureHeader, Sign(secret, k.now(), body))
	return req, nil
}

// judge turns a status into an error, and says whether trying again may help.
func (k *Kind) judge(hook *config.Webhook, resp *http.Response) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("%s answered %s", publicURL(hook.URL), resp.Status)
	switch {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return trigger.Temporary(err, retryAfter(resp.Header.Get("Retry-After"), k.now()))
	case code >= 300 && code < 400:
		return fmt.Errorf("%w, and a delivery follows 307 and 308 only; write the new address into the trigger", err)
	}
	return err
}

// retryAfter reads both forms of RFC 9110, seconds and a date; 0 where there
// is none to understand.
func retryAfter(v string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// errRedirect is final: the other side's configuration sends us on.
type errRedirect string

func (e errRedirect) Error() string { return string(e) }

// checkRedirect lets a delivery be sent on within its host: what was signed
// for one host is no other host's business.
func checkRedirect(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return errRedirect(fmt.Sprintf("it was redirected more than %d times", maxRedirects))
	case req.Method != http.MethodPost: // 301, 302 and 303 make it a GET
		return http.ErrUseLastResponse
	case req.URL.User != nil:
		return errRedirect("it was redirected to a URL with a user name")
	case !strings.EqualFold(req.URL.Hostname(), from.Hostname()):
		return errRedirect(fmt.Sprintf("it was redirected to another host, %s; write that address into the trigger", req.URL.Hostname()))
	case req.URL.Scheme != from.Scheme && req.URL.Scheme != "https":
		return errRedirect("it was redirected from " + from.Scheme + " to " + req.URL.Scheme)
	}
	return nil
}

// unreachable words an error of the HTTP client. The client's own text holds
// the whole URL, query and all, so only its cause is used.
func unreachable(hook *config.Webhook, err error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused
	}
	where := publicURL(hook.URL)
	var redirect errRedirect
	if errors.As(err, &redirect) {
		return fmt.Errorf("%s: %w", where, redirect)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return trigger.Temporary(fmt.Errorf("%s did not answer in time", where), 0)
	}
	return trigger.Temporary(fmt.Errorf("%s cannot be reached: %w", where, err), 0)
}
