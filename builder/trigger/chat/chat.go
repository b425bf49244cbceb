package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/guard"
	"github.com/registry-build/registry-build/config"
)

// Options are the operator's.
type Options struct {
	Vault    builder.Vault // opens chat robots
	Guard    *guard.Guard
	Registry string                 // host of images that are stored without one, "" leaves them so
	BuildURL func(id string) string // the build's page; nil: none
	Version  string                 // for User-Agent; "" leaves it out
	Now      func() time.Time       // nil: time.Now
}

// Kind sends chat messages.
type Kind struct {
	o       Options
	tlsPort uint16 // of mail servers that speak TLS from the first byte

	mu    sync.Mutex
	names map[string]string // of services, by credential, as far as they were opened
}

var _ trigger.Kind = (*Kind)(nil)

// New makes the kind.
func New(o Options) (*Kind, error) {
	if o.Vault == nil || o.Guard == nil {
		return nil, errors.New("chat: a vault and a guard are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Kind{o: o, tlsPort: submissions, names: map[string]string{}}, nil
}

// service is one that takes messages over HTTP.
type service struct {
	name string // as people write it
	// encode makes the request's body, and its address of the credential's.
	encode func(m message, to robot, now time.Time) (address string, body any)
	// judge reads an answer that came with status 200: these services say so
	// of refusals too. nil: the status tells all.
	judge func(body string) verdict
}

// robot is what the credential holds.
type robot struct{ url, secret string }

func services() map[string]service {
	return map[string]service{
		"slack":    {"Slack", slack, nil},
		"dingtalk": {"DingTalk", dingTalk, judgeDingTalk},
		"wecom":    {"WeCom", weCom, judgeWeCom},
		"feishu":   {"Feishu", feishu, judgeFeishu},
	}
}

const email = "email"

// Action shows the service and the credential's name; the service is known
// once the credential was opened.
func (k *Kind) Action(t config.Trigger) string {
	if t.Chat == nil {
		return "chat"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if name := k.names[t.Chat.Credential]; name != "" {
		return fmt.Sprintf("%s message by %s", name, t.Chat.Credential)
	}
	return "message by " + t.Chat.Credential
}

// Fire sends one message. Chats know no repeats: an attempt whose answer was
// lost may show twice, with the same build's id. Of e-mail the Message-ID is
// the same for every attempt.
func (k *Kind) Fire(ctx context.Context, f trigger.Firing) (trigger.Answer, error) {
	chat := f.Trigger.Chat
	if chat == nil {
		return trigger.Answer{}, fmt.Errorf("trigger %q is no chat", f.Trigger.Name)
	}
	c, err := k.open(ctx, chat.Credential, f)
	if err != nil {
		return trigger.Answer{}, err
	}
	called := c.Fields[builder.FieldService]
	if called == email {
		k.remember(chat.Credential, "e-mail")
		return k.mail(ctx, c, f)
	}
	s, ok := services()[called]
	if !ok {
		return trigger.Answer{}, fmt.Errorf("chat: credential %q is for the service %q, which this server does not know; set it again with slack, dingtalk, wecom, feishu or email", chat.Credential, called)
	}
	k.remember(chat.Credential, s.name)
	if len(chat.To) > 0 {
		return trigger.Answer{}, fmt.Errorf("chat: credential %q speaks to %s, where the robot's address says who is told; remove \"to\", which is for e-mail", chat.Credential, s.name)
	}
	return k.post(ctx, s, c, f)
}

func (k *Kind) remember(credential, service string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names[credential] = service
}

func (k *Kind) open(ctx context.Context, name string, f trigger.Firing) (builder.Credential, error) {
	c, err := k.o.Vault.Open(ctx, name, f.Use())
	switch {
	case errors.Is(err, builder.ErrNotFound), errors.Is(err, builder.ErrDenied):
		return c, fmt.Errorf("chat: %w", err)
	case err != nil:
		return c, trigger.Temporary(fmt.Errorf("chat: credential %q cannot be opened now: %w", name, err), 0)
	case c.Kind != builder.KindChatRobot:
		return c, fmt.Errorf("chat: credential %q is of the kind %s, and messages need one of the kind %s; set one under another name: registry-build credentials set NAME --kind %s",
			name, c.Kind, builder.KindChatRobot, builder.KindChatRobot)
	}
	return c, nil
}

// post sends the message to a service that takes it over HTTP.
func (k *Kind) post(ctx context.Context, s service, c builder.Credential, f trigger.Firing) (trigger.Answer, error) {
	to := robot{url: c.Fields[builder.FieldURL], secret: c.Fields[builder.FieldSecret]}
	address, payload := s.encode(k.message(f), to, k.o.Now())
	body, err := encode(payload)
	if err != nil {
		return trigger.Answer{}, fmt.Errorf("chat: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil { // its text shows the address
		return trigger.Answer{}, fmt.Errorf("chat: the url in credential %q is not valid; set it again, as %s shows it", f.Trigger.Chat.Credential, s.name)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", k.userAgent())
	where := fmt.Sprintf("%s (credential %s)", s.name, f.Trigger.Chat.Credential)
	hide := hider(c, address)
	answer, err := k.o.Guard.Do(req, where)
	if err != nil {
		return trigger.Answer{}, err
	}
	text := trigger.Answer{Text: hide(answer.Text())}
	if err := answer.Err(where, k.o.Now()); err != nil || s.judge == nil {
		return text, explain(err, hide(answer.Body))
	}
	return text, s.judge(answer.Body).err(where, hide)
}

func (k *Kind) userAgent() string { return strings.TrimSuffix("registry-build/"+k.o.Version, "/") }

// encode writes JSON as it is meant, without \u003c for <.
func encode(payload any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(payload); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// explain adds the service's own word for what is wrong to the status.
func explain(err error, body string) error {
	if err == nil {
		return nil
	}
	if word := clean(body, maxWord); word != "" {
		err2 := fmt.Errorf("%w: %s", err, word)
		if after, again := trigger.IsTemporary(err); again {
			return trigger.Temporary(err2, after)
		}
		return err2
	}
	return err
}
