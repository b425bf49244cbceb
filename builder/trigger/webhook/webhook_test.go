package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
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

const secret = "correct-horse-battery-staple"

// vault is a builder.Vault of fixed credentials.
type vault map[string]builder.Credential

func (v vault) Open(_ context.Context, name string, by builder.Use) (builder.Credential, error) {
	switch c, ok := v[name]; {
	case !ok:
		return builder.Credential{}, fmt.Errorf("there is no credential %q; set it with: … %w", name, builder.ErrNotFound)
	case name == "away":
		return builder.Credential{}, errors.New("the store does not answer")
	case by.For != "trigger audit of acme/hello":
		return builder.Credential{}, fmt.Errorf("%q may not be used for %s: %w", name, by.For, builder.ErrDenied)
	default:
		return c, nil
	}
}

func (vault) Logins(context.Context, builder.Use) ([]builder.Credential, error) { return nil, nil }

func newKind(t *testing.T, o Options) *Kind {
	t.Helper()
	if o.Vault == nil {
		value := map[string]string{builder.FieldValue: secret}
		o.Vault = vault{
			"audit-secret": {Name: "audit-secret", Kind: builder.KindSigningSecret, Fields: value},
			"npm":          {Name: "npm", Kind: builder.KindToken, Fields: value},
			"away":         {},
		}
	}
	if o.Guard == nil {
		o.Guard = open(t, guard.Options{})
	}
	k, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open is what tests need to reach their own servers.
func open(t *testing.T, o guard.Options) *guard.Guard {
	t.Helper()
	o.AllowPrivate = true
	g, err := guard.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Client().CloseIdleConnections)
	return g
}

func hook(url string) config.Trigger {
	return config.Trigger{Name: "audit", Webhook: &config.Webhook{URL: url, Credential: "audit-secret"}}
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestContract(t *testing.T) {
	for _, format := range []config.WebhookFormat{config.FormatNative, config.FormatCloudEvents, config.FormatDockerHub} {
		t.Run(string(format), func(t *testing.T) { contract(t, format) })
	}
}

func contract(t *testing.T, format config.WebhookFormat) {
	triggertest.Run(t, func(t *testing.T) triggertest.Subject {
		var (
			mu   sync.Mutex
			mood triggertest.Mood
			seen []string
		)
		ended := make(chan struct{})
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			mu.Lock()
			seen = append(seen, r.Header.Get(DeliveryHeader))
			m := mood
			mu.Unlock()
			switch m {
			case triggertest.Accept:
				_, _ = io.WriteString(w, "welcome")
			case triggertest.Refuse:
				w.WriteHeader(http.StatusGone)
			case triggertest.Busy:
				w.WriteHeader(http.StatusServiceUnavailable)
			case triggertest.Hang:
				<-ended
			}
		})
		t.Cleanup(func() { close(ended) })
		tr := hook(s.URL + "/hook?key=query-secret")
		tr.Webhook.Format = format
		return triggertest.Subject{
			Kind: newKind(t, Options{}), Trigger: tr, Secret: secret,
			Peer: func(m triggertest.Mood) { mu.Lock(); defer mu.Unlock(); mood = m },
			Seen: func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), seen...) },
		}
	})
}

// The vector was made with openssl, as README.md shows it.
func TestSignVector(t *testing.T) {
	const want = "t=1795262400,v1=51b8c0edb0af9951d70ecbfea2ab63af95f12aedbe326a3ede6cd05bff87d58d"
	if got := Sign(secret, time.Unix(1795262400, 0), []byte(`{"event":"pushed"}`)); got != want {
		t.Errorf("Sign = %s\nwant   %s", got, want)
	}
}

func TestDelivery(t *testing.T) {
	type request struct {
		method, path string
		header       http.Header
		body         []byte
	}
	got := make(chan request, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Method, r.URL.RequestURI(), r.Header, body}
	})
	k := named(t)
	if _, err := k.Fire(t.Context(), triggertest.Firing(hook(s.URL+"/hook?a=b"), 1)); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.method != http.MethodPost || r.path != "/hook?a=b" {
		t.Errorf("%s %s", r.method, r.path)
	}
	want := map[string]string{
		"Content-Type":  "application/json",
		"User-Agent":    "registry-build/1.0.0",
		EventHeader:     "pushed",
		DeliveryHeader:  "06EXAMPLE0BUILD1-audit",
		SignatureHeader: Sign(secret, time.Unix(1795262400, 0), r.body),
	}
	for h, v := range want {
		if r.header.Get(h) != v {
			t.Errorf("%s: %q, want %q", h, r.header.Get(h), v)
		}
	}
	golden(t, "testdata/pushed.json", r.body)
}

// named is a kind that knows its own addresses, and its time stands still.
func named(t *testing.T) *Kind {
	t.Helper()
	k := newKind(t, Options{
		Registry: "registry.example.com", Version: "1.0.0",
		BuildURL: func(id string) string { return "https://build.example.com/builds/" + id },
	})
	k.now = func() time.Time { return time.Unix(1795262400, 0) }
	return k
}

func TestPayloadOfAFailure(t *testing.T) {
	k := newKind(t, Options{})
	f := triggertest.Firing(hook("https://example.com/"), 1)
	f.Event, f.Record.State, f.Record.Digest = config.OnFailed, builder.Failed, ""
	f.Record.Failure = &builder.Failure{
		Stage: builder.StageBuild, Message: "RUN make ended with exit code 2", File: "Dockerfile", Line: 7,
		Output: "a log with who knows what", Err: errors.New("for the operator"),
	}
	body, err := json.Marshal(k.payload(f))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/failed.json", body)
}

func TestPayloadNames(t *testing.T) {
	tests := map[string]struct{ registry, destination, want string }{
		"embedded":           {"127.0.0.1:5000", "acme/hello", "127.0.0.1:5000/acme/hello"},
		"outside":            {"127.0.0.1:5000", "registry.example.com/acme/hello", "registry.example.com/acme/hello"},
		"outside, with port": {"127.0.0.1:5000", "registry:5000/acme/hello", "registry:5000/acme/hello"},
		"localhost":          {"127.0.0.1:5000", "localhost/acme/hello", "localhost/acme/hello"},
		"no registry":        {"", "acme/hello", "acme/hello"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := newKind(t, Options{Registry: tt.registry})
			f := triggertest.Firing(hook("https://example.com/"), 1)
			f.Record.Destination, f.Record.Repository, f.Tags = tt.destination, builder.Repository{}, nil
			p := k.payload(f)
			if p.Image.Repository != tt.want || p.Image.Reference != tt.want+"@"+f.Record.Digest {
				t.Errorf("repository %s, reference %s", p.Image.Repository, p.Image.Reference)
			}
			if p.Build.Repository != "" || p.Image.Tags == nil {
				t.Errorf("of an upload without tags: %+v", p)
			}
		})
	}
}

// golden compares JSON, indented as README.md shows it.
func golden(t *testing.T, path string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		t.Fatal(err)
	}
	got := append(b.Bytes(), '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); run with -update where that is meant\n%s", path, diff)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, "pushed.json") && !strings.Contains(string(readme), string(want)) {
		t.Errorf("README.md does not show %s as it is", path)
	}
}

func TestRetriesThroughTheSet(t *testing.T) {
	var (
		mu    sync.Mutex
		calls []string
	)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, r.Header.Get(DeliveryHeader))
		if len(calls) == 1 {
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, strings.Repeat("busy, and you sent "+secret+" ", 10_000))
		}
	})
	set, err := trigger.NewSet(trigger.Options{
		Kinds:  map[string]trigger.Kind{"webhook": newKind(t, Options{})},
		Redact: func(_ context.Context, s string) string { return strings.ReplaceAll(s, secret, "***") },
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := builder.Firing{Record: triggertest.Firing(hook(s.URL), 1).Record, Trigger: "audit"}
	run := set.Fire(t.Context(), f)
	if run.State != builder.RunWaiting || run.Retry != 90*time.Second || len(run.Answer) > 4<<10 || strings.Contains(run.Answer, "correct-horse") {
		t.Errorf("first: %s, retry after %s, answer of %d bytes: %.200s", run.State, run.Retry, len(run.Answer), run.Answer)
	}
	f.Before = &run
	if run = set.Fire(t.Context(), f); run.State != builder.RunSucceeded || run.Attempts != 2 {
		t.Errorf("second: %+v", run)
	}
	if len(calls) != 2 || calls[0] != calls[1] {
		t.Errorf("deliveries %q", calls)
	}
}

func TestTimeout(t *testing.T) {
	ended := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-ended })
	defer close(ended)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := newKind(t, Options{}).Fire(ctx, triggertest.Firing(hook(s.URL+"/?k=v"), 1))
	if _, again := trigger.IsTemporary(err); !again || err.Error() != s.URL+"/?… did not answer in time" {
		t.Errorf("error %v, temporary %t", err, again)
	}
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	_, err := newKind(t, Options{}).Fire(t.Context(), triggertest.Firing(hook(s.URL+"/?k=v"), 1))
	if _, again := trigger.IsTemporary(err); !again || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "k=v") {
		t.Errorf("error %v, temporary %t", err, again)
	}
}

func TestCredentials(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "signed %t", r.Header.Get(SignatureHeader) != "")
	})
	k := newKind(t, Options{})
	tr := hook(s.URL)
	tr.Webhook.Credential = ""
	if answer, err := k.Fire(t.Context(), triggertest.Firing(tr, 1)); err != nil || !strings.Contains(answer.Text, "signed false") {
		t.Errorf("without a credential: %q, %v", answer.Text, err)
	}
	tests := map[string]struct {
		credential, trigger, want string
		again                     bool
	}{
		"not there":       {"typo", "audit", `webhook: there is no credential "typo"; set it with`, false},
		"not for us":      {"audit-secret", "other", `"audit-secret" may not be used for trigger other of acme/hello`, false},
		"of another kind": {"npm", "audit", `credential "npm" is of the kind token, and a webhook is signed with one of the kind signing-secret; set one`, false},
		"cannot be read":  {"away", "audit", `credential "away" cannot be opened now: the store does not answer`, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tr := hook(s.URL)
			tr.Name, tr.Webhook.Credential = tt.trigger, tt.credential
			answer, err := k.Fire(t.Context(), triggertest.Firing(tr, 1))
			if _, again := trigger.IsTemporary(err); again != tt.again || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, temporary %t; want …%s…", err, again, tt.want)
			}
			if answer.Text != "" {
				t.Errorf("it was sent: %s", answer.Text)
			}
		})
	}
}

func TestWhatTheGuardRefusesIsFinal(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	g, err := guard.New(guard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = newKind(t, Options{Guard: g}).Fire(t.Context(), triggertest.Firing(hook(s.URL), 1))
	if _, again := trigger.IsTemporary(err); again || err == nil || !strings.Contains(err.Error(), "is a loopback address") {
		t.Errorf("error %v, temporary %t", err, again)
	}
	for _, u := range []string{"https://good.example@evil.example/", "unix:///run/docker.sock", "file:///etc/passwd", "https:///"} {
		if _, err := newKind(t, Options{Guard: g}).Fire(t.Context(), triggertest.Firing(hook(u), 1)); err == nil || strings.Contains(err.Error(), u) {
			t.Errorf("%s: %v", u, err)
		}
	}
}
