package webhook

import (
	"bytes"
	"context"
	"crypto/x509"
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
	"github.com/registry-build/registry-build/builder/trigger/triggertest"
	"github.com/registry-build/registry-build/config"
)

var update = flag.Bool("update", false, "write the golden files")

const secret = "correct-horse-battery-staple"

// secrets is a store with one signing secret.
type secrets map[string]string

func (s secrets) SigningSecret(_ context.Context, name string) (string, error) {
	if v, ok := s[name]; ok {
		return v, nil
	}
	return "", fmt.Errorf("credential %q: %w", name, builder.ErrNotFound)
}

func newKind(t *testing.T, o Options) *Kind {
	t.Helper()
	if o.Secrets == nil {
		o.Secrets = secrets{"audit-secret": secret}
	}
	k, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// local is what tests need to reach their own servers.
func local() Options { return Options{AllowPrivate: true} }

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
		return triggertest.Subject{
			Kind: newKind(t, local()), Trigger: hook(s.URL + "/hook?key=query-secret"), Secret: secret,
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
	o := local()
	o.Registry, o.Version = "registry.example.com", "1.0.0"
	o.BuildURL = func(id string) string { return "https://build.example.com/builds/" + id }
	k := newKind(t, o)
	k.now = func() time.Time { return time.Unix(1795262400, 0) }
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

func TestPayloadOfAFailure(t *testing.T) {
	k := newKind(t, local())
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

func TestStatuses(t *testing.T) {
	later := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	tests := map[string]struct {
		status     int
		retryAfter string
		ok, again  bool
		low, high  time.Duration
	}{
		"200":                 {status: 200, ok: true},
		"202":                 {status: 202, ok: true},
		"204":                 {status: 204, ok: true},
		"301":                 {status: 301},
		"304":                 {status: 304},
		"400":                 {status: 400},
		"404":                 {status: 404},
		"410":                 {status: 410},
		"408":                 {status: 408, again: true},
		"429":                 {status: 429, again: true},
		"429 with seconds":    {status: 429, retryAfter: "120", again: true, low: 2 * time.Minute, high: 2 * time.Minute},
		"500":                 {status: 500, again: true},
		"503 with a date":     {status: 503, retryAfter: later, again: true, low: 59 * time.Minute, high: time.Hour},
		"503 with a past one": {status: 503, retryAfter: "Sun, 06 Nov 1994 08:49:37 GMT", again: true},
		"503 with nonsense":   {status: 503, retryAfter: "-5 soon", again: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(tt.status)
			})
			answer, err := newKind(t, local()).Fire(t.Context(), triggertest.Firing(hook(s.URL), 1))
			after, again := trigger.IsTemporary(err)
			if (err == nil) != tt.ok || again != tt.again || after < tt.low || after > tt.high {
				t.Errorf("error %v, temporary %t after %s", err, again, after)
			}
			if !strings.HasPrefix(answer.Text, fmt.Sprint(tt.status)) {
				t.Errorf("answer %q", answer.Text)
			}
		})
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
		Kinds:  map[string]trigger.Kind{"webhook": newKind(t, local())},
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
	_, err := newKind(t, local()).Fire(ctx, triggertest.Firing(hook(s.URL+"/?k=v"), 1))
	if _, again := trigger.IsTemporary(err); !again || err.Error() != s.URL+"/?… did not answer in time" {
		t.Errorf("error %v, temporary %t", err, again)
	}
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	_, err := newKind(t, local()).Fire(t.Context(), triggertest.Firing(hook(s.URL+"/?k=v"), 1))
	if _, again := trigger.IsTemporary(err); !again || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "k=v") {
		t.Errorf("error %v, temporary %t", err, again)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	o := local()
	if _, err := newKind(t, o).Fire(t.Context(), triggertest.Firing(hook(s.URL), 1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(s.Certificate())
	if _, err := newKind(t, o).Fire(t.Context(), triggertest.Firing(hook(s.URL), 1)); err != nil {
		t.Error(err)
	}
}

func TestCredentials(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "signed %t", r.Header.Get(SignatureHeader) != "")
	})
	k := newKind(t, local())
	tr := hook(s.URL)
	tr.Webhook.Credential = ""
	if answer, err := k.Fire(t.Context(), triggertest.Firing(tr, 1)); err != nil || !strings.Contains(answer.Text, "signed false") {
		t.Errorf("without a credential: %q, %v", answer.Text, err)
	}
	tr.Webhook.Credential = "typo"
	_, err := k.Fire(t.Context(), triggertest.Firing(tr, 1))
	if _, again := trigger.IsTemporary(err); again || err == nil || !strings.Contains(err.Error(), `there is no credential "typo"; set it with`) {
		t.Errorf("a credential that is not there: %v", err)
	}
}
