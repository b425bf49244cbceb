package chat

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/guard"
	"github.com/registry-build/registry-build/builder/trigger/triggertest"
	"github.com/registry-build/registry-build/config"
)

var update = flag.Bool("update", false, "write the golden files")

// The clock of these tests, 2026-11-21T12:00:00Z.
const now = 1795262400

// vault is a builder.Vault of fixed credentials, which "trigger tell of …" may
// use.
type vault map[string]builder.Credential

func (v vault) Open(_ context.Context, name string, by builder.Use) (builder.Credential, error) {
	switch c, ok := v[name]; {
	case name == "away":
		return builder.Credential{}, errors.New("the store does not answer")
	case !ok:
		return builder.Credential{}, fmt.Errorf("there is no credential %q; set it with … %w", name, builder.ErrNotFound)
	case !strings.HasPrefix(by.For, "trigger tell of "):
		return builder.Credential{}, fmt.Errorf("%q may not be used for %s: %w", name, by.For, builder.ErrDenied)
	default:
		return c, nil
	}
}

func (vault) Logins(context.Context, builder.Use) ([]builder.Credential, error) { return nil, nil }

func robotOf(fields map[string]string) vault {
	return vault{"team-robot": {Name: "team-robot", Kind: builder.KindChatRobot, Fields: fields}}
}

func tell() config.Trigger {
	return config.Trigger{Name: "tell", Chat: &config.Chat{Credential: "team-robot"}}
}

func newKind(t *testing.T, v vault, o guard.Options) *Kind {
	t.Helper()
	o.AllowPrivate = true
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Client().CloseIdleConnections)
	k, err := New(Options{
		Vault: v, Guard: g, Registry: "registry.example.com", Version: "1.0.0",
		BuildURL: func(id string) string { return "https://build.example.com/builds/" + id },
		Now:      func() time.Time { return time.Unix(now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// chats are the services that speak HTTP, each with answers as its vendor
// gives them.
type chatService struct {
	path, secret         string
	accept, refuse, busy reply
}

type reply struct {
	status int
	body   string
}

func chats() map[string]chatService {
	return map[string]chatService{
		"slack": {
			path:   "/services/T0000/B0000/slack-url-secret",
			accept: reply{200, "welcome"}, refuse: reply{410, "channel_is_archived"}, busy: reply{429, "rate_limited"},
		},
		"dingtalk": {
			path: "/robot/send?access_token=ding-url-secret", secret: "SECd83f51b2c0a94e76",
			accept: reply{200, `{"errcode":0,"errmsg":"welcome"}`},
			refuse: reply{200, `{"errcode":310000,"errmsg":"sign not match"}`},
			busy:   reply{200, `{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`},
		},
		"wecom": {
			path:   "/cgi-bin/webhook/send?key=wecom-url-secret",
			accept: reply{200, `{"errcode":0,"errmsg":"welcome"}`},
			refuse: reply{200, `{"errcode":93000,"errmsg":"invalid webhook url, hint: [1234]"}`},
			busy:   reply{200, `{"errcode":45009,"errmsg":"api freq out of limit"}`},
		},
		"feishu": {
			path: "/open-apis/bot/v2/hook/feishu-url-secret", secret: "fs7KqZ0cVt2mXw9B",
			accept: reply{200, `{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"welcome"}`},
			refuse: reply{200, `{"code":19021,"data":{},"msg":"sign match fail or timestamp is not within one hour from current time"}`},
			busy:   reply{200, `{"code":11232,"data":{},"msg":"frequency limited psm[lark.oapi.app_platform_runtime]"}`},
		},
	}
}

// peer is a service that keeps what it was sent.
type peer struct {
	url   string
	ended chan struct{}

	mu       sync.Mutex
	answer   func(http.ResponseWriter)
	requests []string // as they came over the wire, as far as we make them
	seen     []string
}

var buildID = regexp.MustCompile(`06EXAMPLE0BUILD\d`)

func newPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{ended: make(chan struct{})}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.requests = append(p.requests, fmt.Sprintf("%s %s\nContent-Type: %s\nUser-Agent: %s\n\n%s\n",
			r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("User-Agent"), body))
		p.seen = append(p.seen, buildID.FindString(string(body)))
		answer := p.answer
		p.mu.Unlock()
		answer(w)
	}))
	t.Cleanup(func() { close(p.ended); s.Close() })
	p.url = s.URL
	return p
}

func (p *peer) answers(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = func(w http.ResponseWriter) { w.WriteHeader(r.status); _, _ = io.WriteString(w, r.body) }
}

func (p *peer) hangs() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = func(http.ResponseWriter) { <-p.ended }
}

func (p *peer) fields(name string, s chatService) map[string]string {
	f := map[string]string{builder.FieldService: name, builder.FieldURL: p.url + s.path}
	if s.secret != "" {
		f[builder.FieldSecret] = s.secret
	}
	return f
}

func TestContract(t *testing.T) {
	for name, s := range chats() {
		t.Run(name, func(t *testing.T) {
			triggertest.Run(t, func(t *testing.T) triggertest.Subject {
				p := newPeer(t)
				secret := s.secret
				if secret == "" {
					secret = "url-secret" // it is in the address
				}
				return triggertest.Subject{
					Kind: newKind(t, robotOf(p.fields(name, s)), guard.Options{}), Trigger: tell(), Secret: secret,
					Peer: func(m triggertest.Mood) {
						switch m {
						case triggertest.Accept:
							p.answers(s.accept)
						case triggertest.Refuse:
							p.answers(s.refuse)
						case triggertest.Busy:
							p.answers(s.busy)
						case triggertest.Hang:
							p.hangs()
						}
					},
					Seen: func() []string { p.mu.Lock(); defer p.mu.Unlock(); return append([]string(nil), p.seen...) },
				}
			})
		})
	}
}

// What each service is sent, to the byte.
func TestRequests(t *testing.T) {
	for name, s := range chats() {
		for story, f := range stories() {
			t.Run(name+"/"+story, func(t *testing.T) {
				p := newPeer(t)
				p.answers(s.accept)
				k := newKind(t, robotOf(p.fields(name, s)), guard.Options{})
				if _, err := k.Fire(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				golden(t, fmt.Sprintf("testdata/%s_%s.txt", name, story), p.requests[0])
				if got := k.Action(f.Trigger); got != services()[name].name+" message by team-robot" {
					t.Errorf("action %q", got)
				}
			})
		}
	}
}

// stories are what may be told. In the hostile one every text that other
// people choose wants to call everybody, show a link or an image, or break
// out of its line.
func stories() map[string]trigger.Firing {
	pushed := triggertest.Firing(tell(), 1)
	pushed.Tags = []string{"v1.2.3", "latest"}

	failed := triggertest.Firing(tell(), 1)
	failed.Event, failed.Record.State, failed.Record.Digest = config.OnFailed, builder.Failed, ""
	failed.Record.Failure = &builder.Failure{
		Stage: builder.StageBuild, Message: "RUN make ended with exit code 2", File: "Dockerfile", Line: 7,
		Output: "a log with who knows what", Err: errors.New("for the operator"),
	}

	byHand := triggertest.Firing(tell(), 1)
	at := time.Unix(now, 0)
	byHand.Record = builder.Record{
		Build:    builder.Build{ID: "06EXAMPLE0BUILD1", Destination: "acme/hello", AcceptedAt: at},
		Progress: builder.Progress{State: builder.Pushed, FinishedAt: at},
		Result:   builder.Result{Digest: pushed.Record.Digest},
	}

	hostile := failed
	r := &hostile.Record
	r.Ref = "refs/heads/<!channel>&<@all>*x*[click](https://evil.example)"
	r.Actor = "<at user_id=\"all\">@all</at>\r\nBcc: eve@evil.example"
	r.Repository.Name = "![x](https://evil.example/x.png)"
	r.Destination = "acme/`hello`~|\\"
	r.Failure = &builder.Failure{
		Message: "\u202eno\u200b \x1b[31mred\x1b[0m <https://evil.example|here> &lt;@all&gt; @all\n\n# heading\n> quote \xff" + strings.Repeat("é", 400),
		File:    "a/../<!here>",
	}
	return map[string]trigger.Firing{"pushed": pushed, "failed": failed, "byhand": byHand, "hostile": hostile}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); run with -update where that is meant\n%s", path, diff)
	}
}

// What the golden files of the hostile story show, said as a rule.
func TestNobodyIsCalledThroughAName(t *testing.T) {
	for name, s := range chats() {
		raw, err := os.ReadFile("testdata/" + name + "_hostile.txt")
		if err != nil {
			t.Fatal(err)
		}
		body := string(raw)
		bad := []string{"<!", "<@", "<at", "\\u202e", "\u202e", "\u200b", "\\u001b", "\\r", "<https://evil"}
		if name == "dingtalk" || name == "wecom" { // the others have no links of this form
			bad = append(bad, "](https://evil", "![", "*x*", "`", "&lt;", "@")
		}
		for _, bad := range bad {
			if strings.Contains(body, bad) {
				t.Errorf("%s %s: %q is in\n%s", name, s.path, bad, body)
			}
		}
	}
}

// The vectors were made with openssl, by the vendors' formulas:
//
//	printf '1795262400000\nSECRET' | openssl dgst -sha256 -hmac SECRET -binary | base64
//	printf '' | openssl dgst -sha256 -hmac "$(printf '1795262400\nSECRET')" -binary | base64
func TestSignatures(t *testing.T) {
	at := time.Unix(now, 0)
	const ding = "https://oapi.dingtalk.com/robot/send?access_token=t&timestamp=1795262400000&sign=KjBhZ8Hg0CYJMvjCMr5eF%2F8X%2BXQuVCMwgncxtl%2FCTtc%3D"
	if got := dingTalkSigned(robot{"https://oapi.dingtalk.com/robot/send?access_token=t", "SECd83f51b2c0a94e76"}, at); got != ding {
		t.Errorf("DingTalk: %s\nwant      %s", got, ding)
	}
	if got := dingTalkSigned(robot{"https://oapi.dingtalk.com/robot/send?access_token=t", ""}, at); strings.Contains(got, "sign") {
		t.Errorf("DingTalk without a secret: %s", got)
	}
	if got := feishuSign("1795262400", "fs7KqZ0cVt2mXw9B"); got != "/ShtOjxsDa1sLt1cMn6lK8LgT1ukI6GiDjZ8a2hYLKI=" {
		t.Errorf("Feishu: %s", got)
	}
	if _, body := feishu(message{}, robot{}, at); body.(feishuMessage).Sign != "" {
		t.Error("Feishu without a secret is signed")
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		service string
		reply   reply
		ok      bool
		again   bool
		after   time.Duration
		want    string
	}{
		"Slack":                           {"slack", reply{200, "ok"}, true, false, 0, ""},
		"Slack, payload":                  {"slack", reply{400, "invalid_payload"}, false, false, 0, "Slack (credential team-robot) answered 400 Bad Request: invalid_payload"},
		"Slack, prohibited":               {"slack", reply{403, "action_prohibited"}, false, false, 0, "action_prohibited"},
		"Slack, no channel":               {"slack", reply{404, "channel_not_found"}, false, false, 0, "channel_not_found"},
		"Slack, archived":                 {"slack", reply{410, "channel_is_archived"}, false, false, 0, "channel_is_archived"},
		"Slack, its own fault":            {"slack", reply{500, "rollup_error"}, false, true, 0, "rollup_error"},
		"DingTalk, signature":             {"dingtalk", reply{200, `{"errcode":310000,"errmsg":"sign not match"}`}, false, false, 0, "code 310000: sign not match; look at the robot's security settings"},
		"DingTalk, keyword":               {"dingtalk", reply{200, `{"errcode":310000,"errmsg":"keywords not in content"}`}, false, false, 0, "a keyword one that every message has"},
		"DingTalk, too fast":              {"dingtalk", reply{200, `{"errcode":130101,"errmsg":"send too fast"}`}, false, true, 10 * time.Minute, "130101"},
		"DingTalk, limited":               {"dingtalk", reply{200, `{"errcode":410100,"errmsg":"发送速度太快而限流"}`}, false, true, 10 * time.Minute, "发送速度太快而限流"},
		"DingTalk, busy":                  {"dingtalk", reply{200, `{"errcode":-1,"errmsg":"系统繁忙"}`}, false, true, 0, "code -1"},
		"DingTalk, gone":                  {"dingtalk", reply{200, `{"errcode":300001,"errmsg":"token is not exist"}`}, false, false, 0, "set the credential again"},
		"DingTalk, a proxy's page":        {"dingtalk", reply{200, `<html>log in</html>`}, false, true, 0, "not its own answer"},
		"DingTalk, no code":               {"dingtalk", reply{200, `{}`}, false, true, 0, "not its own answer"},
		"DingTalk, away":                  {"dingtalk", reply{502, `bad gateway`}, false, true, 0, "502 Bad Gateway: bad gateway"},
		"WeCom, too many":                 {"wecom", reply{200, `{"errcode":45009,"errmsg":"api freq out of limit"}`}, false, true, time.Minute, "45009"},
		"WeCom, key":                      {"wecom", reply{200, `{"errcode":93000,"errmsg":"invalid webhook url"}`}, false, false, 0, "its key is another"},
		"WeCom, type":                     {"wecom", reply{200, `{"errcode":40008,"errmsg":"invalid message type"}`}, false, false, 0, "40008"},
		"WeCom, its key in the answer":    {"wecom", reply{200, `{"errcode":93000,"errmsg":"invalid key wecom-url-secret"}`}, false, false, 0, "invalid key ***"},
		"Feishu, old":                     {"feishu", reply{200, `{"Extra":null,"StatusCode":0,"StatusMessage":"success"}`}, true, false, 0, ""},
		"Feishu, signature":               {"feishu", reply{200, `{"code":19021,"msg":"sign match fail"}`}, false, false, 0, "this machine's clock right"},
		"Feishu, address":                 {"feishu", reply{200, `{"code":19022,"msg":"Ip Not Allowed"}`}, false, false, 0, "not among those"},
		"Feishu, keyword":                 {"feishu", reply{200, `{"code":19024,"msg":"Key Words Not Found"}`}, false, false, 0, "keywords"},
		"Feishu, too many":                {"feishu", reply{200, `{"code":11232,"msg":"frequency limited"}`}, false, true, time.Minute, "11232"},
		"Feishu, too many, other servers": {"feishu", reply{200, `{"code":9499,"msg":"too many request"}`}, false, true, 0, "9499"},
		"Feishu, bad request":             {"feishu", reply{200, `{"code":9499,"msg":"Bad Request","data":{}}`}, false, false, 0, "Bad Request"},
		"Feishu, bad request, status":     {"feishu", reply{400, `{"code":9499,"msg":"Bad Request","data":{}}`}, false, false, 0, "400 Bad Request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.answers(tt.reply)
			k := newKind(t, robotOf(p.fields(tt.service, chats()[tt.service])), guard.Options{})
			answer, err := k.Fire(t.Context(), triggertest.Firing(tell(), 1))
			after, again := trigger.IsTemporary(err)
			if (err == nil) != tt.ok || again != tt.again || after != tt.after || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, temporary %t after %s", err, again, after)
			}
			if text := fmt.Sprint(answer, err); strings.Contains(text, "url-secret") || !strings.Contains(answer.Text, fmt.Sprint(tt.reply.status)) {
				t.Errorf("%s", text)
			}
		})
	}
}

func TestSlackRetryAfter(t *testing.T) {
	p := newPeer(t)
	p.answer = func(w http.ResponseWriter) { w.Header().Set("Retry-After", "30"); w.WriteHeader(429) }
	k := newKind(t, robotOf(p.fields("slack", chats()["slack"])), guard.Options{})
	_, err := k.Fire(t.Context(), triggertest.Firing(tell(), 1))
	if after, again := trigger.IsTemporary(err); !again || after != 30*time.Second {
		t.Errorf("error %v, temporary %t after %s", err, again, after)
	}
}

// The address is a secret, whatever goes wrong.
func TestTheAddressShowsNowhere(t *testing.T) {
	p := newPeer(t)
	p.answer = func(w http.ResponseWriter) {
		w.Header().Set("Location", "https://elsewhere.example/url-secret")
		w.WriteHeader(308)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	closed, err := guard.New(guard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		url   string
		guard *guard.Guard
		want  string
	}{
		"redirected":     {p.url + "/url-secret", nil, "redirected to another host, elsewhere.example"},
		"nobody listens": {gone.URL + "/url-secret", nil, "Slack (credential team-robot) cannot be reached"},
		"refused":        {p.url + "/url-secret", closed, "is a loopback address"},
		"no address":     {"https://bad host/url-secret", nil, "the url in credential \"team-robot\" is not valid"},
		"no host":        {"/url-secret", nil, "neither https nor http"},
		"a user name":    {"https://hooks.slack.com@127.0.0.1/url-secret", nil, "user name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := newKind(t, robotOf(map[string]string{builder.FieldService: "slack", builder.FieldURL: tt.url}), guard.Options{})
			if tt.guard != nil {
				k.o.Guard = tt.guard
			}
			answer, err := k.Fire(t.Context(), triggertest.Firing(tell(), 1))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(fmt.Sprint(answer, err, k.Action(tell())), "url-secret") {
				t.Errorf("answer %v, error %v; want …%s…", answer, err, tt.want)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	v := vault{
		"npm":   {Kind: builder.KindToken, Fields: map[string]string{builder.FieldValue: "x"}},
		"irc":   {Kind: builder.KindChatRobot, Fields: map[string]string{builder.FieldService: "irc"}},
		"slack": {Kind: builder.KindChatRobot, Fields: map[string]string{builder.FieldService: "slack"}},
	}
	tests := map[string]struct {
		trigger string
		chat    config.Chat
		want    string
		again   bool
	}{
		"not there":       {"tell", config.Chat{Credential: "typo"}, `chat: there is no credential "typo"`, false},
		"not for us":      {"other", config.Chat{Credential: "slack"}, `may not be used for trigger other of acme/hello`, false},
		"cannot be read":  {"tell", config.Chat{Credential: "away"}, `credential "away" cannot be opened now`, true},
		"of another kind": {"tell", config.Chat{Credential: "npm"}, `is of the kind token, and messages need one of the kind chat-robot; set one`, false},
		"another service": {"tell", config.Chat{Credential: "irc"}, `is for the service "irc", which this server does not know`, false},
		"to whom":         {"tell", config.Chat{Credential: "slack", To: []string{"ada@example.com"}}, `remove "to", which is for e-mail`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newKind(t, v, guard.Options{}).Fire(t.Context(), triggertest.Firing(config.Trigger{Name: tt.trigger, Chat: &tt.chat}, 1))
			if _, again := trigger.IsTemporary(err); err == nil || again != tt.again || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, temporary %t; want …%s…", err, again, tt.want)
			}
		})
	}
}
