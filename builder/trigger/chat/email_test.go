package chat

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/guard"
	"github.com/registry-build/registry-build/builder/trigger/triggertest"
	"github.com/registry-build/registry-build/config"
)

const mailPassword = "mail-password-9f3c"

// mailServer is a real SMTP server that keeps what it was sent.
type mailServer struct {
	addr  string
	roots *x509.CertPool
	ended chan struct{}

	mu      sync.Mutex
	mood    triggertest.Mood
	letters []letter
}

type letter struct {
	from     string
	to       []string
	user     string
	tls      bool
	hello    string
	contents string
}

type security int

const (
	plaintext security = iota
	startTLS
	implicitTLS
)

func newMailServer(t *testing.T, how security) *mailServer {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate, which names 127.0.0.1
	certified.Close()
	m := &mailServer{ended: make(chan struct{}), roots: x509.NewCertPool()}
	m.roots.AddCert(certified.Certificate())
	settings := &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}

	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: m, conn: c}, nil
	}))
	s.Domain, s.ErrorLog, s.MaxMessageBytes = "mail.example.com", log.New(io.Discard, "", 0), 1<<20
	s.AllowInsecureAuth = true // whether a password comes is for the client to decide
	if how == startTLS {
		s.TLSConfig = settings
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	if how == implicitTLS {
		l = tls.NewListener(l, settings)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { close(m.ended); _ = s.Close(); _ = l.Close(); wg.Wait() }) // Close may come before Serve
	return m
}

type session struct {
	server *mailServer
	conn   *smtp.Conn
	letter letter
}

func (s *session) Reset()                   { s.letter.to = nil }
func (s *session) Logout() error            { return nil }
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "builds" || password != mailPassword {
			return smtp.ErrAuthFailed
		}
		s.letter.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.letter.from = from; return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.letter.to = append(s.letter.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.letter.contents, s.letter.hello = string(b), s.conn.Hostname()
	_, s.letter.tls = s.conn.TLSConnectionState()
	s.server.mu.Lock()
	s.server.letters = append(s.server.letters, s.letter)
	mood := s.server.mood
	s.server.mu.Unlock()
	switch mood {
	case triggertest.Refuse:
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "we do not want it"}
	case triggertest.Busy:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
	case triggertest.Hang:
		<-s.server.ended
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "welcome, queued as 4XyZ"}
}

func (m *mailServer) sent() []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]letter(nil), m.letters...)
}

// kind sends by the server; where is set as if the port were a well-known
// one.
func (m *mailServer) kind(t *testing.T, how security, fields map[string]string) *Kind {
	t.Helper()
	all := map[string]string{builder.FieldService: email, builder.FieldServer: m.addr, builder.FieldFrom: "Builds <builds@example.com>"}
	for name, value := range fields {
		all[name] = value
	}
	k := newKind(t, robotOf(all), guard.Options{RootCAs: m.roots})
	if how == implicitTLS {
		_, port, _ := net.SplitHostPort(m.addr)
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		k.tlsPort = uint16(n)
	}
	return k
}

func login() map[string]string {
	return map[string]string{builder.FieldUsername: "builds", builder.FieldPassword: mailPassword}
}

func letterTo(to ...string) config.Trigger {
	return config.Trigger{Name: "tell", Chat: &config.Chat{Credential: "team-robot", To: to}}
}

func TestContractOfEmail(t *testing.T) {
	triggertest.Run(t, func(t *testing.T) triggertest.Subject {
		m := newMailServer(t, startTLS)
		return triggertest.Subject{
			Kind: m.kind(t, startTLS, login()), Trigger: letterTo("team@example.com"), Secret: mailPassword,
			Peer: func(mood triggertest.Mood) { m.mu.Lock(); defer m.mu.Unlock(); m.mood = mood },
			Seen: func() []string {
				var ids []string
				for _, l := range m.sent() {
					parsed, err := mail.ReadMessage(strings.NewReader(l.contents))
					if err != nil {
						t.Error(err)
						continue
					}
					ids = append(ids, parsed.Header.Get("Message-ID"))
				}
				return ids
			},
		}
	})
}

// What is sent, to the byte.
func TestLetters(t *testing.T) {
	for story, f := range stories() {
		t.Run(story, func(t *testing.T) {
			m := newMailServer(t, startTLS)
			f.Trigger = letterTo("team@example.com", "Ada <ada@example.com>")
			k := m.kind(t, startTLS, login())
			answer, err := k.Fire(t.Context(), f)
			if err != nil || !strings.Contains(answer.Text, "queued as 4XyZ") {
				t.Fatal(answer, err)
			}
			l := m.sent()[0]
			golden(t, "testdata/email_"+story+".txt", strings.ReplaceAll(l.contents, "\r\n", "\n"))
			if diff := cmp.Diff([]string{"team@example.com", "ada@example.com"}, l.to); diff != "" {
				t.Error(diff)
			}
			if l.from != "builds@example.com" || l.user != "builds" || !l.tls || l.hello != "example.com" {
				t.Errorf("%+v", l)
			}
			if strings.Count(l.contents, "\n") != strings.Count(l.contents, "\r\n") {
				t.Error("bare line feeds")
			}
			head, _, _ := strings.Cut(l.contents, "\r\n\r\n")
			for _, line := range strings.Split(head, "\r\n") {
				if !regexp.MustCompile(`^( |(Auto-Submitted|Content-Transfer-Encoding|Content-Type|Date|From|MIME-Version|Message-ID|Subject|To|User-Agent): )`).MatchString(line) {
					t.Errorf("a header that nobody meant: %q", line)
				}
			}
			if got := k.Action(f.Trigger); got != "e-mail message by team-robot" {
				t.Errorf("action %q", got)
			}
		})
	}
}

func TestMailSecurity(t *testing.T) {
	tests := map[string]struct {
		server security
		trust  bool
		fields map[string]string
		tls    bool
		want   string // "" is sent
	}{
		"implicit TLS with login":       {implicitTLS, true, login(), true, ""},
		"STARTTLS with login":           {startTLS, true, login(), true, ""},
		"STARTTLS where it is offered":  {startTLS, true, nil, true, ""},
		"no TLS, no login":              {plaintext, true, nil, false, ""},
		"no TLS, login":                 {plaintext, true, login(), false, "offers no STARTTLS, and a password is never sent without TLS"},
		"unknown authority":             {startTLS, false, login(), false, "certificate"},
		"unknown authority, no login":   {startTLS, false, nil, false, "certificate"},
		"unknown authority, TLS":        {implicitTLS, false, login(), false, "certificate"},
		"TLS expected, and none spoken": {implicitTLS + 1, true, login(), false, "cannot be reached"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server, client := tt.server, tt.server
			if tt.server > implicitTLS {
				server, client = plaintext, implicitTLS
			}
			m := newMailServer(t, server)
			if !tt.trust {
				m.roots = x509.NewCertPool()
			}
			_, err := m.kind(t, client, tt.fields).Fire(t.Context(), triggertest.Firing(letterTo("team@example.com"), 1))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want …%s…", err, tt.want)
			}
			sent := m.sent()
			if err == nil && (len(sent) != 1 || sent[0].tls != tt.tls || (sent[0].user != "") != (tt.fields != nil)) || err != nil && len(sent) != 0 {
				t.Errorf("%+v", sent)
			}
		})
	}
}

func TestMailRefused(t *testing.T) {
	wrong := login()
	wrong[builder.FieldPassword] = "wrong-password-77"
	field := func(name, value string) map[string]string {
		f := login()
		f[name] = value
		return f
	}
	tests := map[string]struct {
		fields map[string]string
		to     []string
		again  bool
		want   string
	}{
		"login":            {wrong, []string{"team@example.com"}, false, "535"},
		"recipient":        {login(), []string{"team@example.com", "nobody@example.com"}, false, "no such user"},
		"nobody":           {login(), nil, false, `write "to: [team@example.com]"`},
		"no address":       {login(), []string{"team\r\nBcc: eve@evil.example"}, false, "is no e-mail address"},
		"an added header":  {login(), []string{"a@example.com>\r\nBcc: <eve@evil.example"}, false, "is no e-mail address"},
		"no sender":        {field(builder.FieldFrom, "builds"), []string{"team@example.com"}, false, "the sender in credential"},
		"no server":        {field(builder.FieldServer, "smtp.example.com"), []string{"team@example.com"}, false, "must be host:port"},
		"private server":   {field(builder.FieldServer, "169.254.169.254:25"), []string{"team@example.com"}, false, "metadata"},
		"another protocol": {field(builder.FieldServer, "127.0.0.1:22"), []string{"team@example.com"}, false, "asked on port 22"},
		"nobody listens":   {field(builder.FieldServer, "127.0.0.1:587"), []string{"team@example.com"}, true, "cannot be reached"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMailServer(t, startTLS)
			_, err := m.kind(t, startTLS, tt.fields).Fire(t.Context(), triggertest.Firing(letterTo(tt.to...), 1))
			if _, again := trigger.IsTemporary(err); err == nil || again != tt.again || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, temporary %t; want …%s…", err, again, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), mailPassword) || strings.Contains(err.Error(), "wrong-password")) {
				t.Errorf("the password shows: %v", err)
			}
			if n := len(m.sent()); n != 0 {
				t.Errorf("%d sent", n)
			}
		})
	}
}

// A server that accepts connections and says nothing.
func TestMailServerThatIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	m := &mailServer{addr: l.Addr().String()}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := m.kind(t, plaintext, nil).Fire(ctx, triggertest.Firing(letterTo("team@example.com"), 1))
		failed <- err
	}()
	c := <-accepted
	cancel()
	if err := <-failed; err == nil {
		t.Error("no error")
	}
	// The connection is closed, and nothing was said on it.
	if b, err := io.ReadAll(c); err != nil && !errors.Is(err, net.ErrClosed) || !bytes.Equal(b, nil) {
		t.Errorf("%q, %v", b, err)
	}
}
