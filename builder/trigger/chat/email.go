package chat

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/guard"
)

// Ports of mail servers: RFC 5321, RFC 6409 and RFC 8314.
const (
	relay       = 25
	submission  = 587 // STARTTLS is asked for
	submissions = 465 // TLS from the first byte
	mailTimeout = 10 * time.Second
	maxSubject  = 150
)

// mailer is what the credential and the trigger say about one mail.
type mailer struct {
	host, where    string
	port           uint16
	from           *netmail.Address
	to             []*netmail.Address
	user, password string
}

// mail sends one message by SMTP. Answers of 4xx are temporary, those of 5xx
// final (RFC 5321, section 4.2.1).
func (k *Kind) mail(ctx context.Context, c builder.Credential, f trigger.Firing) (trigger.Answer, error) {
	m, err := mailerOf(c, f.Trigger.Chat.Credential, f.Trigger.Chat.To)
	if err != nil {
		return trigger.Answer{}, fmt.Errorf("chat: %w", err)
	}
	msg, err := k.letter(m, f)
	if err != nil {
		return trigger.Answer{}, fmt.Errorf("chat: %w", err)
	}
	client, err := mail.NewClient(m.host, k.mailOptions(ctx, m)...)
	if err != nil {
		return trigger.Answer{}, fmt.Errorf("chat: mail server in credential %q: %w", f.Trigger.Chat.Credential, err)
	}
	if err := client.DialWithContext(ctx); err != nil {
		return trigger.Answer{}, mailError(ctx, m.where, err)
	}
	defer client.Close()
	err = client.Send(msg)
	if err != nil && !msg.IsDelivered() { // what goes wrong behind that is the connection's end
		return trigger.Answer{}, mailError(ctx, m.where, err)
	}
	return trigger.Answer{Text: hider(c, "")(msg.ServerResponse())}, nil
}

func mailerOf(c builder.Credential, name string, to []string) (mailer, error) {
	m := mailer{user: c.Fields[builder.FieldUsername], password: c.Fields[builder.FieldPassword]}
	host, port, err := net.SplitHostPort(c.Fields[builder.FieldServer])
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || n == 0 || host == "" {
		return m, fmt.Errorf("the server in credential %q must be host:port, like smtp.example.com:587; set it again", name)
	}
	m.host, m.port = host, uint16(n)
	m.where = fmt.Sprintf("mail server %s (credential %s)", c.Fields[builder.FieldServer], name)
	if m.from, err = netmail.ParseAddress(c.Fields[builder.FieldFrom]); err != nil {
		return m, fmt.Errorf("the sender in credential %q must be an address, like builds@example.com; set it again", name)
	}
	if len(to) == 0 {
		return m, fmt.Errorf("credential %q sends e-mail, and the trigger says to nobody; write \"to: [team@example.com]\"", name)
	}
	for _, s := range to {
		a, err := netmail.ParseAddress(s)
		if err != nil {
			return m, fmt.Errorf("%q is no e-mail address; write one like team@example.com", clean(s, maxName))
		}
		m.to = append(m.to, a)
	}
	return m, nil
}

// mailOptions: credentials never go over a connection without TLS, and where
// the server offers TLS it is used, with a certificate that is checked.
func (k *Kind) mailOptions(ctx context.Context, m mailer) []mail.Option {
	policy := mail.TLSOpportunistic
	switch {
	case m.port == k.tlsPort:
		policy = mail.NoTLS // it is there already
	case m.port == submission, m.user != "":
		policy = mail.TLSMandatory
	}
	options := []mail.Option{
		mail.WithPort(int(m.port)), mail.WithTimeout(mailTimeout), mail.WithTLSPolicy(policy), mail.WithTLSConfig(k.o.Guard.TLS(m.host)),
		mail.WithHELO(domain(m.from.Address)), // a container's own name is none that servers accept
		mail.WithoutNoop(), mail.WithoutRset(),
		mail.WithDialContextFunc(func(_ context.Context, network, address string) (net.Conn, error) {
			return k.dialMail(ctx, network, address, m)
		}),
	}
	if m.user != "" {
		options = append(options, mail.WithUsername(m.user), mail.WithPassword(m.password), mail.WithOpportunisticSMTPAuth(
			mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthCramMD5))
	}
	return options
}

func (k *Kind) dialMail(ctx context.Context, network, address string, m mailer) (net.Conn, error) {
	conn, err := k.o.Guard.Dial(ctx, network, address, relay, submission, submissions)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() }) // the library looks at ctx only until it is connected
	if m.port != k.tlsPort {
		return conn, nil
	}
	secured := tls.Client(conn, k.o.Guard.TLS(m.host))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// letter is the mail. Its Message-ID is made of the delivery, so that a
// repeat is one to mail programs.
func (k *Kind) letter(m mailer, f trigger.Firing) (*mail.Msg, error) {
	text := k.message(f)
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.From(m.from.String()); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	for _, to := range m.to {
		if err := msg.AddTo(to.String()); err != nil {
			return nil, fmt.Errorf("recipient: %w", err)
		}
	}
	msg.Subject(clean(text.title(), maxSubject))
	msg.SetMessageIDWithValue(f.Delivery + "@" + domain(m.from.Address))
	msg.SetDateWithValue(k.o.Now().UTC())
	msg.SetGenHeader(mail.HeaderUserAgent, k.userAgent())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	var b strings.Builder
	b.WriteString(text.title() + "\n\n")
	for _, fact := range text.facts {
		b.WriteString(fact.name + ": " + fact.text + "\n")
	}
	b.WriteString("Build: " + text.build + "\n")
	if text.url != "" {
		b.WriteString("\n" + text.url + "\n")
	}
	msg.SetBodyString(mail.TypeTextPlain, b.String())
	return msg, nil
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// mailError says whether another attempt may help.
func mailError(ctx context.Context, where string, err error) error {
	var refused *guard.Refused
	if errors.As(err, &refused) {
		return refused
	}
	code := 0
	var reply *textproto.Error
	var send *mail.SendError
	switch {
	case errors.As(err, &send):
		code = send.ErrorCode()
	case errors.As(err, &reply):
		code = reply.Code
	}
	switch {
	case code >= 500:
		return fmt.Errorf("%s refused the message: %w", where, err)
	case code >= 400:
		return trigger.Temporary(fmt.Errorf("%s refused the message for now: %w", where, err), 0)
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		return fmt.Errorf("%s offers no STARTTLS, and a password is never sent without TLS; use its port %d or %d, or a credential without user name", where, submission, submissions)
	case strings.Contains(err.Error(), "does not support SMTP AUTH"), errors.Is(err, mail.ErrNoSupportedAuthDiscovered):
		return fmt.Errorf("%s takes no login that this server knows; set the credential without user name, or use another port", where)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return trigger.Temporary(fmt.Errorf("%s did not answer in time", where), 0)
	}
	return trigger.Temporary(fmt.Errorf("%s cannot be reached: %w", where, err), 0)
}
